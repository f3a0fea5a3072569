package serializer_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

type placed struct {
	Customer string `json:"customer"`
	Total    int    `json:"total"`
}

type cancelled struct{}

func registered() *serializer.Types {
	types := serializer.NewTypes()
	serializer.Register[placed](types, "order.placed")
	return types
}

func TestRegisteredTypes(t *testing.T) {
	t.Parallel()
	s := serializer.JSON(registered())
	want := placed{"c-1", 7}
	for _, value := range []any{want, &want} {
		name, ok := s.TypeName(value)
		require.True(t, ok)
		require.Equal(t, "order.placed", name)
		data, contentType, err := s.Encode(name, value)
		require.NoError(t, err)
		require.Equal(t, store.JSON, contentType)
		require.JSONEq(t, `{"customer":"c-1","total":7}`, string(data))
		var got any
		require.NoError(t, s.Decode(name, store.JSON, data, &got))
		require.Equal(t, want, got)
	}
}

func TestUnregisteredValues(t *testing.T) {
	t.Parallel()
	for _, types := range []*serializer.Types{nil, registered()} {
		s := serializer.JSON(types)
		for _, value := range []any{json.RawMessage(`{"a":1}`), map[string]int{"a": 1}, struct{ A int }{1}, nil, 17} {
			data, contentType, err := s.Encode("anything", value)
			require.NoError(t, err)
			require.True(t, json.Valid(data))
			require.Equal(t, store.JSON, contentType)
			var unknown *serializer.UnknownTypeError
			err = s.Decode("anything", store.JSON, data, new(any))
			require.ErrorIs(t, err, store.ErrUnknownType)
			require.ErrorAs(t, err, &unknown)
			require.Equal(t, "anything", unknown.Type)
		}
		_, ok := s.TypeName(map[string]int{})
		require.False(t, ok)
		_, _, err := s.Encode("anything", json.RawMessage(`{"a":`))
		require.Error(t, err, "raw JSON must be JSON")
	}
}

func TestWrongType(t *testing.T) {
	t.Parallel()
	var wrong *serializer.WrongTypeError
	_, _, err := serializer.JSON(registered()).Encode("order.cancelled", placed{})
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, serializer.WrongTypeError{Type: "order.cancelled", Registered: "order.placed", Version: 1, Newest: 1, Value: "serializer_test.placed"}, *wrong)
}

func TestBytesThatDoNotDecode(t *testing.T) {
	t.Parallel()
	s := serializer.JSON(registered())
	for _, data := range []string{"", "{", `{"total":"seven"}`, `{} {}`, "\xff", strings.Repeat("[", 1_000_000)} {
		var value any = "as it was"
		require.Error(t, s.Decode("order.placed", store.JSON, []byte(data), &value))
		require.Equal(t, "as it was", value)
		require.Error(t, s.Decode("order.placed", store.JSON, []byte(data), new(placed)))
	}
	for _, into := range []any{nil, placed{}, (*placed)(nil), (*any)(nil)} {
		require.Error(t, s.Decode("order.placed", store.JSON, []byte(`{}`), into), "%T is no place to decode into", into)
	}
	var value any
	require.NoError(t, s.Decode("order.placed", store.JSON, []byte(`{"customer":"c-1","since":"later"}`), &value), "fields may be added")
	require.Equal(t, placed{Customer: "c-1"}, value)
}

func TestRegisterWhileInUse(t *testing.T) {
	t.Parallel()
	types := registered()
	s := serializer.JSON(types)
	var wg sync.WaitGroup
	wg.Go(func() { serializer.Register[cancelled](types, "order.cancelled") })
	wg.Go(func() { _, _, _ = s.Encode("order.placed", placed{}) })
	wg.Go(func() { _ = s.Decode("order.placed", store.JSON, []byte(`{}`), new(any)) })
	wg.Wait()
	require.NoError(t, s.Decode("order.cancelled", store.JSON, []byte(`{}`), new(any)))
}

func TestRegistrationMistakesPanic(t *testing.T) {
	t.Parallel()
	types := registered()
	require.Panics(t, func() { serializer.Register[cancelled](types, "order.placed") }, "name twice")
	require.Panics(t, func() { serializer.Register[placed](types, "order.placed2") }, "type twice")
	require.Panics(t, func() { serializer.Register[cancelled](types, "") }, "no name")
	require.Panics(t, func() { serializer.RegisterVersion[cancelled](types, "order.cancelled", 0) }, "no version")
	require.Panics(t, func() { serializer.Upcast(types, func(cancelled) (placed, error) { return placed{}, nil }) }, "not registered")
}

func TestThroughAStore(t *testing.T) {
	t.Parallel()
	es := store.New(memory.New(), &store.Options{Serializer: serializer.JSON(registered())})
	_, err := es.Append(t.Context(), "order-1", store.Any, store.Event{Data: placed{"c-1", 7}}, store.Event{Type: "other", Data: json.RawMessage(`[1]`)})
	require.NoError(t, err)
	_, err = es.Append(t.Context(), "order-1", store.Any, store.Event{Data: cancelled{}})
	require.ErrorIs(t, err, store.ErrInvalid, "no type and no name for it")
	_, err = es.Append(t.Context(), "order-1", store.Any, store.Event{Type: "bad", Data: make(chan int)})
	require.ErrorIs(t, err, store.ErrInvalid)

	page, err := es.Page(t.Context(), "order-1", nil)
	require.NoError(t, err, "an event of an unknown type spoils nothing")
	require.Equal(t, "order.placed", page[0].Type)
	got, err := store.Decode[placed](page[0])
	require.NoError(t, err)
	require.Equal(t, placed{"c-1", 7}, got)
	_, err = store.Decode[any](page[1])
	var decode *store.DecodeError
	require.ErrorAs(t, err, &decode)
	require.Equal(t, page[1].ID, decode.ID)
	require.ErrorIs(t, err, store.ErrDecode)
	require.ErrorIs(t, err, store.ErrUnknownType)
	numbers, err := store.Decode[[]int](page[1])
	require.NoError(t, err)
	require.Equal(t, []int{1}, numbers)
}

// FuzzDecode: no bytes make it panic, and what decodes encodes again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"customer":"c-1","total":7}`, `null`, `[]`, `{"total":1e99}`, "\x00", `{"customer":{}}`} {
		f.Add([]byte(seed))
	}
	s := serializer.JSON(registered())
	f.Fuzz(func(t *testing.T, data []byte) {
		var value any
		if s.Decode("order.placed", store.JSON, data, &value) != nil {
			return
		}
		again, _, err := s.Encode("order.placed", value)
		require.NoError(t, err)
		var same any
		require.NoError(t, s.Decode("order.placed", store.JSON, again, &same))
		require.Equal(t, value, same)
	})
}
