package serializer_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

// The event "customer.registered" has come a long way: version 1 was a plain name, of which no type is left; 2 had a full
// name; 3 has two, and a country.
type (
	registeredV2 struct{ Name string }
	registeredV3 struct{ First, Last, Country string }
	movedAndPaid struct{ Country, Amount string } // taken apart
	moved        struct{ Country string }
	paid         struct{ Amount string }
	clicked      struct{ Where string } // dropped
)

var errUpcast = errors.New("no such name")

func evolved() *serializer.Types {
	types := serializer.NewTypes()
	serializer.RegisterVersion[registeredV2](types, "customer.registered", 2)
	serializer.RegisterVersion[registeredV3](types, "customer.registered", 3)
	serializer.Register[movedAndPaid](types, "customer.moved-and-paid")
	serializer.Register[moved](types, "customer.moved")
	serializer.Register[paid](types, "customer.paid")
	serializer.Register[clicked](types, "clicked")
	serializer.UpcastRaw(types, "customer.registered", 1, func(data []byte) ([]byte, error) {
		if data[0] != '"' {
			return nil, errUpcast
		}
		return []byte(`{"Name":` + string(data) + `}`), nil
	})
	serializer.Upcast(types, func(old registeredV2) (registeredV3, error) {
		first, last, ok := strings.Cut(old.Name, " ")
		if !ok {
			return registeredV3{}, errUpcast
		}
		return registeredV3{First: first, Last: last, Country: "?"}, nil
	})
	serializer.UpcastMany(types, func(old movedAndPaid) ([]any, error) {
		return []any{moved{old.Country}, paid{old.Amount}}, nil
	})
	serializer.Drop[clicked](types)
	return types
}

func TestUpcast(t *testing.T) {
	t.Parallel()
	s := serializer.JSON(evolved())
	for _, c := range []struct {
		eventType, contentType, data string
		want                         []any
	}{
		{"customer.registered", "json", `"Ada Lovelace"`, []any{registeredV3{"Ada", "Lovelace", "?"}}},
		{"customer.registered", "json;v=2", `{"Name":"Ada Lovelace"}`, []any{registeredV3{"Ada", "Lovelace", "?"}}},
		{"customer.registered", "json;v=3", `{"First":"Ada","Country":"UK"}`, []any{registeredV3{First: "Ada", Country: "UK"}}},
		{"customer.moved-and-paid", "json", `{"Country":"UK","Amount":"7"}`, []any{moved{"UK"}, paid{"7"}}},
		{"customer.paid", "json", `{"Amount":"7"}`, []any{paid{"7"}}},
		{"clicked", "json", `{}`, []any{}},
	} {
		values, err := s.DecodeAll(c.eventType, c.contentType, []byte(c.data))
		require.NoError(t, err, c)
		assert.Equal(t, len(c.want), len(values))
		for i := range c.want {
			assert.Equal(t, c.want[i], values[i])
		}
		var one any = "as it was"
		err = s.Decode(c.eventType, c.contentType, []byte(c.data), &one)
		if len(c.want) == 1 {
			require.NoError(t, err)
			assert.Equal(t, c.want[0], one)
			continue
		}
		var split *serializer.SplitError
		require.ErrorIs(t, err, store.ErrSplit)
		require.ErrorAs(t, err, &split)
		assert.Equal(t, len(c.want), split.Values)
		assert.Equal(t, "as it was", one)
	}
}

// TestDecodeIntoTypes: the newest type gets what upcasters made; any other type shows what is stored.
func TestDecodeIntoTypes(t *testing.T) {
	t.Parallel()
	s := serializer.JSON(evolved())
	old := []byte(`{"Name":"Ada Lovelace"}`)
	var newest registeredV3
	require.NoError(t, s.Decode("customer.registered", "json;v=2", old, &newest))
	assert.Equal(t, registeredV3{"Ada", "Lovelace", "?"}, newest)
	var stored registeredV2
	require.NoError(t, s.Decode("customer.registered", "json;v=2", old, &stored))
	assert.Equal(t, registeredV2{"Ada Lovelace"}, stored)
	var raw map[string]string
	require.NoError(t, s.Decode("customer.registered", "json;v=2", old, &raw))
	assert.Equal(t, map[string]string{"Name": "Ada Lovelace"}, raw)
	require.NoError(t, s.Decode("customer.registered", "json", []byte(`"Ada Lovelace"`), &newest))
	assert.Equal(t, "Ada", newest.First, "from version 1, through the raw upcaster")
	assert.ErrorIs(t, s.Decode("customer.moved-and-paid", "json", []byte(`{}`), new(moved)), store.ErrSplit)
}

func TestUpcastErrors(t *testing.T) {
	t.Parallel()
	s := serializer.JSON(evolved())
	for _, c := range []struct {
		eventType, contentType, data string
		is                           error
	}{
		{"customer.registered", "json", `7`, errUpcast},
		{"customer.registered", "json;v=2", `{"Name":"Ada"}`, errUpcast},
		{"customer.registered", "json;v=4", `{}`, store.ErrUnknownVersion},
		{"unheard.of", "json", `{}`, store.ErrUnknownType},
		{"customer.paid", "json;v=1", `{}`, store.ErrContentType},
		{"customer.paid", "json;v=02", `{}`, store.ErrContentType},
		{"customer.paid", "json;v=", `{}`, store.ErrContentType},
		{"customer.paid", "json+", `{}`, store.ErrContentType},
		{"customer.paid", "json+zstd", `{}`, store.ErrContentType},
		{"customer.paid", "msgpack", `{}`, store.ErrContentType},
		{"customer.paid", "", `{}`, store.ErrContentType},
	} {
		var value any = "as it was"
		assert.ErrorIs(t, s.Decode(c.eventType, c.contentType, []byte(c.data), &value), c.is, "%v", c)
		assert.Equal(t, "as it was", value)
	}
	var panicked *serializer.UpcastError
	require.ErrorAs(t, s.Decode("customer.registered", "json", nil, new(any)), &panicked, "the upcaster does not expect that")
	assert.ErrorContains(t, panicked, `version 1 of "customer.registered": panic`)
	var unknown *serializer.UnknownVersionError
	require.ErrorAs(t, s.Decode("customer.registered", "json;v=4", []byte(`{}`), new(any)), &unknown)
	assert.NotErrorIs(t, unknown, store.ErrUnknownType, "or code that passes over other types passes over this event")
	assert.Equal(t, serializer.UnknownVersionError{Type: "customer.registered", Version: 4, Newest: 3}, *unknown)
	assert.Contains(t, unknown.Error(), "a newer program wrote it")
	_, _, err := s.Encode("customer.registered", registeredV2{})
	var wrong *serializer.WrongTypeError
	require.ErrorAs(t, err, &wrong, "nobody writes old versions")
	assert.Contains(t, wrong.Error(), "append that")
}

func TestUpcastersInCircles(t *testing.T) {
	t.Parallel()
	types := evolved()
	serializer.Upcast(types, func(moved) (paid, error) { return paid{}, nil })
	serializer.UpcastMany(types, func(paid) ([]any, error) { return []any{moved{}}, nil })
	err := serializer.JSON(types).Decode("customer.paid", "json", []byte(`{}`), new(any))
	var failed *serializer.UpcastError
	require.ErrorAs(t, err, &failed)
	assert.Contains(t, err.Error(), "circles")
}

// TestUpcastThroughAStore: reads, snapshots, As and a router see what is registered today.
func TestUpcastThroughAStore(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	before := serializer.NewTypes() // the program of last year
	serializer.RegisterVersion[registeredV2](before, "customer.registered", 2)
	serializer.Register[movedAndPaid](before, "customer.moved-and-paid")
	serializer.Register[clicked](before, "clicked")
	was := store.New(backend, &store.Options{Serializer: serializer.JSON(before)})
	_, err := was.Append(t.Context(), "customer-1", store.NoStream,
		store.Event{Data: registeredV2{"Ada Lovelace"}}, store.Event{Data: clicked{"here"}}, store.Event{Data: movedAndPaid{"UK", "7"}},
		store.Event{Type: "unheard.of", Data: 1})
	require.NoError(t, err)
	require.NoError(t, was.RecordSnapshot(t.Context(), store.Snapshot{SourceID: "customer-1", Version: 1, Data: registeredV2{"Ada Lovelace"}}))

	es := store.New(backend, &store.Options{Serializer: serializer.JSON(evolved())})
	router := store.NewRouter()
	var got []any
	store.On(router, func(_ context.Context, _ store.Recorded, v registeredV3) error { got = append(got, v); return nil })
	store.On(router, func(_ context.Context, _ store.Recorded, v paid) error { got = append(got, v); return nil })
	var people int
	for e, err := range es.Stream(t.Context(), "customer-1", nil) {
		require.NoError(t, err)
		require.NoError(t, router.Handle(t.Context(), e))
		_, ok, err := store.As[registeredV3](e)
		require.NoError(t, err)
		if ok {
			people++
		}
	}
	assert.Equal(t, []any{registeredV3{"Ada", "Lovelace", "?"}, paid{"7"}}, got)
	assert.Equal(t, 1, people)
	assert.Equal(t, map[string]int64{"customer.moved-and-paid": 1, "unheard.of": 1}, router.Unhandled())
	snapshot, err := es.ReadSnapshot(t.Context(), "customer-1")
	require.NoError(t, err)
	var value any
	require.NoError(t, snapshot.Decode(&value))
	assert.Equal(t, registeredV3{"Ada", "Lovelace", "?"}, value)

	var handled []any
	all := store.NewRouter()
	store.On(all, func(_ context.Context, _ store.Recorded, v registeredV3) error {
		handled = append(handled, v)
		return nil
	})
	errRest := errors.New("the rest")
	all.Else(func(_ context.Context, e store.Recorded) error {
		handled = append(handled, e.Type)
		if e.Type == "unheard.of" {
			return errRest
		}
		return nil
	})
	err = es.Consume(t.Context(), "customer-1", "reader", all.Handle, &store.ConsumeOptions{
		OnError: func(store.Recorded, error, int) store.Decision { return store.Stop },
	})
	require.ErrorIs(t, err, errRest)
	assert.Equal(t, []any{registeredV3{"Ada", "Lovelace", "?"}, "customer.moved-and-paid", "unheard.of"}, handled)
	require.NoError(t, es.Close())
}
