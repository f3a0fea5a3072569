package serializer_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/serializer/protobuf"
	"github.com/eventstore-go/eventstore/serializer/zstd"
	"github.com/eventstore-go/eventstore/store"
)

type (
	other   struct{ Sum string } // is not registered
	closing struct{}
	about   interface{ Country() string } // is implemented by visited
	visited struct{ Where string }
	strange interface{ Strange() }
	pointed struct{ X int } // is registered as a pointer
)

func (v visited) Country() string { return v.Where }

// known are the types of evolved, and some more.
func known() *serializer.Types {
	types := evolved()
	serializer.Register[closing](types, "closing")
	serializer.Register[visited](types, "visited")
	serializer.Register[*pointed](types, "pointed")
	serializer.Register[*wrapperspb.StringValue](types, "text")
	return types
}

// TestDataOfAnotherType: under the name of a registered type nothing is appended that would decode to another value.
func TestDataOfAnotherType(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]store.Serializer{
		"json":     serializer.JSON(known()),
		"msgpack":  serializer.New(msgpack.Format{}, &serializer.Options{Types: known()}),
		"protobuf": serializer.New(protobuf.Format{}, &serializer.Options{Types: known()}),
		"wrapped": serializer.New(serializer.JSONFormat{}, &serializer.Options{Types: known(), Codings: []serializer.Coding{
			zstd.New(&zstd.Options{Threshold: 1}), encryption.New(encryption.NewMemoryKeys(), func(string, any) string { return "s" }, nil),
		}}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			es := store.New(memory.New(), &store.Options{Serializer: s})
			for _, e := range []store.Event{
				{Type: "customer.paid", Data: other{"7"}},
				{Type: "customer.paid", Data: &other{"7"}},
				{Type: "customer.paid", Data: map[string]any{"Amount": "7"}},
				{Type: "customer.paid", Data: "7"},
				{Type: "customer.paid"},
				{Type: "customer.paid", Data: (*paid)(nil)},
				{Type: "customer.paid", Data: moved{"UK"}},
				{Type: "customer.registered", Data: registeredV2{"Ada"}},
				{Type: "customer.registered", Data: json.RawMessage(`{}`)}, // of which version?
				{Type: "text", Data: other{"7"}},
				{Type: "text", Data: (*wrapperspb.StringValue)(nil)},
			} {
				_, err := es.Append(t.Context(), "s", store.Any, e)
				require.ErrorIs(t, err, store.ErrInvalid, "%+v", e)
				var invalid *store.InvalidError
				require.ErrorAs(t, err, &invalid)
				assert.Equal(t, "events[0].data", invalid.Field)
				var wrong *serializer.WrongTypeError
				require.ErrorAs(t, err, &wrong)
				err = es.RecordSnapshot(t.Context(), store.Snapshot{SourceID: "s", Version: 1, Type: e.Type, Data: e.Data})
				require.ErrorIs(t, err, store.ErrInvalid, "a snapshot: %+v", e)
			}
			_, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: "customer.paid", Data: &other{"7"}})
			assert.ErrorContains(t, err, "serializer_test.paid", "what is wanted")
			assert.ErrorContains(t, err, "serializer.Register[serializer_test.other]", "what to do")

			head, err := es.Head(t.Context())
			require.NoError(t, err)
			require.Zero(t, head)
		})
	}
}

// TestDataThatFits: what decodes to what it was is appended, under a registered name or any other.
func TestDataThatFits(t *testing.T) {
	t.Parallel()
	s := serializer.JSON(known())
	es := store.New(memory.New(), &store.Options{Serializer: s, MetadataSerializer: s})
	_, err := es.Append(t.Context(), "s", store.NoStream,
		store.Event{Type: "customer.paid", Data: paid{"7"}, Metadata: other{"of another type"}},
		store.Event{Data: &paid{"7"}, Metadata: map[string]string{"by": "me"}},
		store.Event{Type: "customer.paid", Data: json.RawMessage(`{"Amount":"7"}`)},
		store.Event{Type: "closing"}, store.Event{Type: "closing", Data: &closing{}}, store.Event{Data: (*closing)(nil)},
		store.Event{Type: "any other", Data: other{"7"}}, store.Event{Type: "any other"})
	require.NoError(t, err)
	require.NoError(t, es.RecordSnapshot(t.Context(), store.Snapshot{SourceID: "s", Version: 1, Type: "state", Data: other{"7"}}))
	var got []any
	for e, err := range es.Stream(t.Context(), "s", nil) {
		require.NoError(t, err)
		if e.Type != "any other" {
			v, err := store.Decode[any](e)
			require.NoError(t, err)
			got = append(got, v)
		}
	}
	assert.Equal(t, []any{paid{"7"}, paid{"7"}, paid{"7"}, closing{}, closing{}, closing{}}, got)
}

// TestNoNameForType: an event without a type, whose data the serializer has no name for.
func TestNoNameForType(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]store.Serializer{"none": nil, "no types": serializer.JSON(nil), "types": serializer.JSON(known())} {
		es := store.New(memory.New(), &store.Options{Serializer: s})
		for _, data := range []any{other{}, &other{}} {
			_, err := es.Append(t.Context(), "s", store.Any, store.Event{Data: data})
			require.ErrorIs(t, err, store.ErrInvalid, name)
			assert.ErrorContains(t, err, "events[0].type: is empty")
			assert.ErrorContains(t, err, "serializer.Register[serializer_test.other]")
			err = es.RecordSnapshot(t.Context(), store.Snapshot{SourceID: "s", Data: data})
			require.ErrorIs(t, err, store.ErrInvalid, name)
			assert.ErrorContains(t, err, "serializer.Register[serializer_test.other]")
		}
		_, err := es.Append(t.Context(), "s", store.Any, store.Event{})
		assert.ErrorContains(t, err, "events[0].type: is empty; set Type")
	}
}

// asks returns the error of store.As of a T.
func asks[T any](e store.Recorded) error {
	_, _, err := store.As[T](e)
	return err
}

// handles returns the error of a router with a handler for T.
func handles[T any](e store.Recorded) error {
	router := store.NewRouter()
	store.On(router, func(context.Context, store.Recorded, T) error { return nil })
	if err := router.Handle(context.Background(), e); err != nil {
		return err
	}
	return router.HandleBatch(context.Background(), nil, []store.Recorded{e})
}

// TestTypesThatNoEventDecodesTo: As and On of such a type fail at the first event of any type, and name it.
func TestTypesThatNoEventDecodesTo(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	_, err := store.New(backend, nil).Append(t.Context(), "s", store.NoStream, store.Event{Type: "unheard.of", Data: 1})
	require.NoError(t, err)
	event := func(s store.Serializer) store.Recorded {
		page, err := store.New(backend, &store.Options{Serializer: s}).Page(t.Context(), "s", nil)
		require.NoError(t, err)
		return page[0]
	}
	none, without, with := event(nil), event(serializer.JSON(nil)), event(serializer.JSON(known()))
	for name, err := range map[string]error{
		"serializer.Register[serializer_test.paid], and set Options.Serializer":     errors.Join(asks[paid](none), handles[paid](none)),
		"serializer.Register[serializer_test.paid], and give the registry":          errors.Join(asks[paid](without), handles[paid](without)),
		"no event decodes to a serializer_test.other: it is not registered":         errors.Join(asks[other](with), handles[other](with)),
		"serializer_test.paid is registered, and decodes as a value":                errors.Join(asks[*paid](with), handles[*paid](with)),
		"*serializer_test.pointed is registered, and decodes as a pointer":          asks[pointed](with),
		`upcasters turn version 2 of "customer.registered" into other values`:       errors.Join(asks[registeredV2](with), handles[registeredV2](with)),
		`upcasters turn version 1 of "clicked" into other values`:                   errors.Join(asks[clicked](with), handles[clicked](with)),
		"no event decodes to a serializer_test.strange: no registered type":         asks[strange](with),
		"no event decodes to a serializer_test.paid: the Store was made without":    asks[paid](store.Recorded{Type: "made by hand"}),
		"no event decodes to a serializer_test.about: the Store was made without":   asks[about](none),
		"serializer.Register[serializer_test.registeredV3]":                         asks[registeredV3](none),
		"no event decodes to a map[string]interface {}: it is not registered; name": asks[map[string]any](with),
	} {
		require.ErrorIs(t, err, store.ErrUnregisteredType, name)
		assert.ErrorContains(t, err, name)
		var unregistered *store.UnregisteredTypeError
		require.ErrorAs(t, err, &unregistered)
		assert.NotEmpty(t, unregistered.GoType)
	}
	for _, err := range []error{
		asks[paid](with), handles[paid](with), asks[about](with), asks[any](with), asks[*wrapperspb.StringValue](with),
		asks[serializer.Forgotten](with), handles[serializer.Forgotten](with),
	} {
		require.NoError(t, err)
	}
	require.Panics(t, func() { _ = handles[about](with) }, "no value has the type of an interface")

	// A handler that is added later is looked at as well.
	router := store.NewRouter()
	store.On(router, func(context.Context, store.Recorded, paid) error { return nil })
	require.NoError(t, router.Handle(t.Context(), with))
	store.On(router, func(context.Context, store.Recorded, other) error { return nil })
	require.ErrorIs(t, router.Handle(t.Context(), with), store.ErrUnregisteredType)
	require.ErrorIs(t, router.Handle(t.Context(), none), store.ErrUnregisteredType, "of another Store")
}

// TestUnregisteredTypeEndsReaders: Consume and Project end with the error, and OnError is not asked.
func TestUnregisteredTypeEndsReaders(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", sqlite.Memory())
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // a test
	backend := sqlite.New(db, nil)
	require.NoError(t, migrate.Up(t.Context(), backend))
	es := store.New(backend, &store.Options{Serializer: serializer.JSON(known())})
	defer es.Close() //nolint:errcheck // a test
	_, err = es.Append(t.Context(), "s", store.NoStream, store.Event{Data: paid{"7"}}, store.Event{Data: paid{"8"}})
	require.NoError(t, err)
	router := store.NewRouter()
	store.On(router, func(context.Context, store.Recorded, other) error { return nil })
	asked := func(store.Recorded, error, int) store.Decision {
		t.Error("OnError is asked")
		return store.Skip
	}
	err = es.Consume(t.Context(), store.All, "reader", router.Handle, &store.ConsumeOptions{OnError: asked})
	require.ErrorIs(t, err, store.ErrUnregisteredType)
	for name, handler := range map[string]store.BatchHandler{
		"router": router.HandleBatch,
		"as":     func(_ context.Context, _ *sql.Tx, events []store.Recorded) error { return asks[other](events[0]) },
	} {
		err = es.Project(t.Context(), name, handler, &store.ProjectOptions{OnError: asked})
		require.ErrorIs(t, err, store.ErrUnregisteredType)
	}
}

// TestUpcastersReturnRegisteredTypes: a value that an upcaster makes can be asked for.
func TestUpcastersReturnRegisteredTypes(t *testing.T) {
	t.Parallel()
	types := known()
	serializer.UpcastMany(types, func(paid) ([]any, error) { return []any{moved{"UK"}, other{"7"}}, nil })
	_, err := serializer.JSON(types).DecodeAll("customer.paid", "json", []byte(`{}`))
	var failed *serializer.UpcastError
	require.ErrorAs(t, err, &failed)
	assert.ErrorContains(t, err, "serializer.Register[serializer_test.other]")
}
