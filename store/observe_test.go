package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/serializer/protobuf"
	"github.com/eventstore-go/eventstore/store"
)

// notebook notes what it is told.
type notebook struct {
	headers map[string]string

	mu   sync.Mutex
	open int
	seen []observed
}

type observed struct {
	store.Operation
	store.Outcome
}

type notebookKey struct{}

func (n *notebook) Begin(ctx context.Context, op store.Operation) (context.Context, func(store.Outcome)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open++
	return context.WithValue(ctx, notebookKey{}, op.Kind), func(out store.Outcome) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.open--
		n.seen = append(n.seen, observed{op, out})
	}
}

func (n *notebook) Headers(ctx context.Context) map[string]string {
	if ctx.Value(notebookKey{}) != store.OpAppend {
		return map[string]string{"wrong": "context"}
	}
	return n.headers
}

// of returns what was noted of a kind of operation.
func (n *notebook) of(kind store.OperationKind) (list []observed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.seen {
		if o.Kind == kind {
			list = append(list, o)
		}
	}
	return list
}

// only returns the one that was noted of a kind, and forgets all.
func (n *notebook) only(t *testing.T, kind store.OperationKind) observed {
	t.Helper()
	list := n.of(kind)
	require.Len(t, list, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = nil
	return list[0]
}

func TestObserver(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", sqlite.Memory())
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // the test's
	backend := sqlite.New(db, nil)
	require.NoError(t, migrate.Up(t.Context(), backend))
	n := &notebook{}
	es := store.New(backend, &store.Options{Observer: n})
	ctx := t.Context()

	events := []store.Event{{Type: "happened"}, {Type: "happened"}}
	_, err = es.Append(ctx, "a", store.NoStream, events...)
	require.NoError(t, err)
	got := n.only(t, store.OpAppend)
	assert.Equal(t, store.Operation{Kind: store.OpAppend, Stream: "a", Count: 2}, got.Operation)
	assert.Equal(t, store.Outcome{Count: 2}, got.Outcome)

	_, err = es.Append(ctx, "a", store.NoStream, events...)
	require.ErrorIs(t, err, store.ErrWrongExpectedVersion)
	assert.Equal(t, store.Outcome{Err: err}, n.only(t, store.OpAppend).Outcome)
	_, err = es.Append(ctx, "", store.NoStream, events...)
	require.ErrorIs(t, err, store.ErrInvalid)
	assert.Equal(t, store.Outcome{Err: err}, n.only(t, store.OpAppend).Outcome)

	page, err := es.Page(ctx, "a", nil)
	require.NoError(t, err)
	got = n.only(t, store.OpRead)
	assert.Equal(t, "a", got.Stream)
	assert.Equal(t, store.Outcome{Count: 2}, got.Outcome)

	again := []store.Event{{ID: page[0].ID, Type: "happened"}, {ID: page[1].ID, Type: "happened"}}
	_, err = es.Append(ctx, "a", store.NoStream, again...)
	require.NoError(t, err)
	assert.Equal(t, store.Outcome{Count: 2, Retried: true}, n.only(t, store.OpAppend).Outcome)

	_, err = es.Link(ctx, "b", store.Any, store.IDs(page...)...)
	require.NoError(t, err)
	got = n.only(t, store.OpLink)
	assert.Equal(t, store.Operation{Kind: store.OpLink, Stream: "b", Count: 2}, got.Operation)
	assert.Equal(t, store.Outcome{Count: 2}, got.Outcome)
	require.NoError(t, es.Delete(ctx, "b", store.Any, store.SoftDelete))
	assert.Equal(t, "b", n.only(t, store.OpDelete).Stream)
	require.NoError(t, es.Undelete(ctx, "b", store.Any))
	assert.Equal(t, "b", n.only(t, store.OpUndelete).Stream)

	require.NoError(t, es.InTx(ctx, func(tx *sql.Tx) error {
		_, err := es.WithTx(tx).Append(ctx, "c", store.Any, events[0])
		return err
	}))
	assert.Equal(t, "c", n.only(t, store.OpAppend).Stream)

	failure := errors.New("not yet")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = es.Consume(ctx, store.All, "watched", func(ctx context.Context, e store.Recorded) error {
		assert.Equal(t, store.OpHandle, ctx.Value(notebookKey{}))
		switch e.Number {
		case 2:
			return failure
		case 3:
			cancel()
		}
		return nil
	}, &store.ConsumeOptions{MinBackoff: 1, OnError: func(_ store.Recorded, _ error, attempt int) store.Decision {
		if attempt == 2 {
			return store.Skip
		}
		return store.Retry
	}})
	require.ErrorIs(t, err, context.Canceled)
	handled := n.of(store.OpHandle)
	require.Len(t, handled, 4)
	for i, want := range []struct {
		number  int64
		attempt int
		err     error
	}{{1, 1, nil}, {2, 1, failure}, {2, 2, failure}, {3, 1, nil}} {
		assert.Equal(t, store.All, handled[i].Stream)
		assert.Equal(t, "watched", handled[i].Subscription)
		require.Len(t, handled[i].Events, 1)
		assert.Equal(t, want.number, handled[i].Events[0].Number)
		assert.Equal(t, want.attempt, handled[i].Attempt)
		assert.Equal(t, want.err, handled[i].Err)
		assert.Equal(t, 1, handled[i].Outcome.Count)
	}
	skipped := n.of(store.OpSkip)
	require.Len(t, skipped, 1)
	assert.Equal(t, failure, skipped[0].Err)
	assert.Equal(t, int64(2), skipped[0].Events[0].Number)
	require.Len(t, n.of(store.OpAcquire), 1)
	assert.Equal(t, "watched", n.of(store.OpAcquire)[0].Subscription)
	fetched := 0
	for _, o := range n.of(store.OpFetch) {
		fetched += o.Outcome.Count
	}
	assert.GreaterOrEqual(t, fetched, 3)
	require.NoError(t, es.Close())
	assert.Zero(t, n.open, "what begins has ended")
}

// TestObserverOfPanic: an operation ends also if the handler does not return.
func TestObserverOfPanic(t *testing.T) {
	t.Parallel()
	n := &notebook{}
	es := store.New(memory.New(), &store.Options{Observer: n})
	defer es.Close() //nolint:errcheck // the test's
	_, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "happened"})
	require.NoError(t, err)
	require.Panics(t, func() {
		_ = es.Consume(t.Context(), store.All, "panics", func(context.Context, store.Recorded) error { panic("no") }, nil)
	})
	require.Error(t, n.only(t, store.OpHandle).Err)
}

// embedded metadata is no map, but JSON.
type embedded struct {
	User string `json:"user" msgpack:"user"`
}

// opaque is a serializer that nobody knows anything about.
type opaque struct{}

func (opaque) Encode(_ string, v any) ([]byte, string, error) {
	return []byte(v.(string)), "opaque", nil
}
func (opaque) Decode(_, _ string, data []byte, into any) error {
	*into.(*string) = string(data)
	return nil
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	pack := serializer.New(msgpack.Format{}, nil)
	secret := serializer.New(serializer.JSONFormat{}, &serializer.Options{Codings: []serializer.Coding{
		encryption.New(encryption.NewMemoryKeys(), func(_ string, value any) string {
			user, _ := value.(map[string]any)["user"].(string) // it knows no other values
			return user
		}, nil),
	}})
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	headers := map[string]string{"traceparent": parent, "baggage": "a=\"b\""}
	given := map[string]any{"user": "u-1"}
	with := map[string]any{"user": "u-1", "traceparent": parent, "baggage": "a=\"b\""}
	alone := map[string]any{"traceparent": parent, "baggage": "a=\"b\""}
	for _, c := range []struct {
		name       string
		serializer store.Serializer
		metadata   any
		want       any // nil: none
	}{
		{"absent", nil, nil, alone},
		{"a map", nil, given, with},
		{"a map of strings", nil, map[string]string{"user": "u-1"}, with},
		{"a struct", nil, embedded{"u-1"}, with},
		{"empty", nil, struct{}{}, alone},
		{"raw, with space", nil, json.RawMessage(" {\n \"user\" : \"u-1\" }"), with},
		{"raw, empty, with space", nil, json.RawMessage("{ }"), alone},
		{"a value that looks like a name", nil, map[string]string{"user": "traceparent"}, map[string]any{"user": "traceparent", "traceparent": parent, "baggage": "a=\"b\""}},
		{"a trace context of its own", nil, map[string]string{"traceparent": "mine"}, map[string]any{"traceparent": "mine"}},
		{"null", nil, json.RawMessage("null"), nil},
		{"a list", nil, []int{1}, []any{1.0}},
		{"a string", nil, "{", "{"},
		{"too large with headers", nil, json.RawMessage(`{"user":"` + strings.Repeat("u", store.MaxMetadata-20) + `"}`), map[string]any{"user": strings.Repeat("u", store.MaxMetadata-20)}},
		{"registered JSON, absent", serializer.JSON(nil), nil, alone},
		{"registered JSON", serializer.JSON(nil), embedded{"u-1"}, with},
		{"msgpack, absent", pack, nil, alone},
		{"msgpack, a map", pack, given, with},
		{"msgpack, a struct", pack, embedded{"u-1"}, given},
		{"msgpack, a trace context of its own", pack, map[string]any{"traceparent": "mine"}, map[string]any{"traceparent": "mine"}},
		{"encrypted, absent", secret, nil, nil},
		{"encrypted, a map", secret, given, with},
		{"protobuf, absent", serializer.New(protobuf.Format{}, nil), nil, nil},
		{"opaque, absent", opaque{}, nil, nil},
		{"opaque", opaque{}, "as it is", "as it is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			es := store.New(memory.New(), &store.Options{MetadataSerializer: c.serializer, Observer: &notebook{headers: headers}})
			before, isMap := c.metadata.(map[string]any)
			before = maps.Clone(before)
			_, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "happened", Metadata: c.metadata})
			require.NoError(t, err)
			if isMap {
				assert.Equal(t, before, c.metadata, "the caller's map")
			}
			page, err := es.Page(t.Context(), "a", nil)
			require.NoError(t, err)
			switch want := c.want.(type) {
			case nil:
				if page[0].Metadata != nil {
					assert.Equal(t, "null", string(page[0].Metadata))
				}
			case map[string]any:
				var got map[string]any
				require.NoError(t, page[0].DecodeMetadata(&got))
				assert.Equal(t, want, got)
			case string:
				var got string
				require.NoError(t, page[0].DecodeMetadata(&got))
				assert.Equal(t, want, got)
			case []any:
				var got []any
				require.NoError(t, page[0].DecodeMetadata(&got))
				assert.Equal(t, want, got)
			}
		})
	}
	assert.Equal(t, []string{"baggage", "traceparent"}, slices.Sorted(maps.Keys(headers)))
}
