package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// TestAppendAllUnsupported: a backend that appends to one stream at a time and has no transactions takes one append, and refuses several.
func TestAppendAllUnsupported(t *testing.T) {
	t.Parallel()
	es := store.New(struct{ store.Storage }{memory.New()}, nil)
	a, b := store.To("a", store.Any, store.Event{Type: "t"}), store.To("b", store.Any, store.Event{Type: "t"})
	_, err := es.AppendAll(t.Context(), a, b)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = es.StreamInfo(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrStreamNotFound)
	results, err := es.AppendAll(t.Context(), a)
	require.NoError(t, err)
	assert.Equal(t, int64(1), results[0].Last)
}

// appends is an observer that keeps the appends.
type appends struct {
	ops  []store.Operation
	outs []store.Outcome
}

func (a *appends) Begin(ctx context.Context, op store.Operation) (context.Context, func(store.Outcome)) {
	a.ops = append(a.ops, op)
	return ctx, func(out store.Outcome) { a.outs = append(a.outs, out) }
}

func (a *appends) Headers(context.Context) map[string]string {
	return map[string]string{"trace": "1"}
}

// TestAppendAllObserved: an AppendAll is one operation, with its streams, and its headers are those of all events.
func TestAppendAllObserved(t *testing.T) {
	t.Parallel()
	seen := &appends{}
	es := store.New(memory.New(), &store.Options{Observer: seen})
	list := []store.StreamAppend{store.To("a", store.NoStream, store.Event{Type: "t"}, store.Event{Type: "t"}), store.To("b", store.Any, store.Event{Type: "t"})}
	_, err := es.AppendAll(t.Context(), list...)
	require.NoError(t, err)
	_, err = es.AppendAll(t.Context(), list...)
	require.ErrorIs(t, err, store.ErrWrongExpectedVersion)
	require.Len(t, seen.ops, 2)
	require.Len(t, seen.outs, 2)
	assert.Equal(t, store.Operation{Kind: store.OpAppend, Streams: []string{"a", "b"}, Count: 3}, seen.ops[0])
	assert.Equal(t, store.Outcome{Count: 3}, seen.outs[0])
	assert.Equal(t, store.Outcome{Err: err}, seen.outs[1])
	for e, err := range es.All(t.Context(), nil) {
		require.NoError(t, err)
		var headers map[string]string
		require.NoError(t, e.DecodeMetadata(&headers))
		assert.Equal(t, map[string]string{"trace": "1"}, headers)
	}
}

// TestPastUnsupported: a backend that does not find the past says so.
func TestPastUnsupported(t *testing.T) {
	t.Parallel()
	es := store.New(struct{ store.Storage }{memory.New()}, nil)
	_, err := es.VersionAt(t.Context(), "a", 1)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
