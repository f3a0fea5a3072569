package store_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// TestBind: a bound Store works on the storage that bind returned, and leaves everything else to its caller.
func TestBind(t *testing.T) {
	t.Parallel()
	own, transaction := memory.New(), memory.New()
	var hints counting
	es := store.New(own, &store.Options{Notifier: &hints})
	defer es.Close() //nolint:errcheck // it has no subscriber
	bound := es.Bind(func(given store.Storage) (store.Storage, error) {
		assert.Equal(t, store.Storage(own), given)
		return transaction, nil
	})
	_, err := bound.Append(t.Context(), "s", store.NoStream, store.Event{Type: "t", Data: 1})
	require.NoError(t, err)
	assert.Zero(t, hints.n.Load(), "the commit is the caller's")
	page, err := bound.Page(t.Context(), "s", nil)
	require.NoError(t, err)
	assert.Len(t, page, 1)
	_, err = es.StreamInfo(t.Context(), "s")
	require.ErrorIs(t, err, store.ErrStreamNotFound)

	_, err = bound.Subscribe(t.Context(), "s", "reader", nil)
	require.ErrorIs(t, err, store.ErrInvalid)
	require.ErrorIs(t, bound.InTx(t.Context(), nil), store.ErrNoTransactions)
	require.NoError(t, bound.Close())
	_, err = bound.Page(t.Context(), "s", nil)
	require.NoError(t, err, "Close does nothing")
}

// TestBindFails: every call returns why bind could not bind.
func TestBindFails(t *testing.T) {
	t.Parallel()
	why := errors.New("no such transaction")
	es := store.New(memory.New(), nil)
	bound := es.Bind(func(store.Storage) (store.Storage, error) { return nil, why })
	_, err := bound.Append(t.Context(), "s", store.NoStream, store.Event{Type: "t", Data: 1})
	require.ErrorIs(t, err, why)
	_, err = bound.Page(t.Context(), "s", nil)
	require.ErrorIs(t, err, why)
	require.ErrorIs(t, bound.Check(t.Context()), why)
	_, err = es.Append(t.Context(), "s", store.NoStream, store.Event{Type: "t", Data: 1})
	require.NoError(t, err)
}
