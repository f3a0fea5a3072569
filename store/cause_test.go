package store_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

func TestCause(t *testing.T) {
	t.Parallel()
	es := store.New(memory.New(), nil)
	append1 := func(ctx context.Context, e store.Event) store.Recorded {
		e.Type = "happened"
		res, err := es.Append(ctx, "s", store.Any, e)
		require.NoError(t, err)
		page, err := es.Page(ctx, "s", &store.ReadOptions{From: res.First, Limit: 1})
		require.NoError(t, err)
		return page[0]
	}
	alone := append1(t.Context(), store.Event{})
	assert.Zero(t, alone.CausationID)
	assert.Zero(t, alone.CorrelationID)

	first := append1(store.WithCause(t.Context(), alone), store.Event{})
	assert.Equal(t, [2]uuid.UUID{alone.ID, alone.ID}, [2]uuid.UUID{first.CausationID, first.CorrelationID}, "a conversation begins with its first event")
	second := append1(store.WithCause(t.Context(), first), store.Event{})
	assert.Equal(t, [2]uuid.UUID{first.ID, alone.ID}, [2]uuid.UUID{second.CausationID, second.CorrelationID})

	given := store.Event{CausationID: uuid.New(), CorrelationID: uuid.New()}
	own := append1(store.WithCause(t.Context(), first), given)
	assert.Equal(t, [2]uuid.UUID{given.CausationID, given.CorrelationID}, [2]uuid.UUID{own.CausationID, own.CorrelationID}, "what is given counts")

	request := uuid.New()
	asked := append1(store.WithCorrelation(t.Context(), request), store.Event{})
	assert.Equal(t, [2]uuid.UUID{uuid.Nil, request}, [2]uuid.UUID{asked.CausationID, asked.CorrelationID})
}

// TestHandlersInheritTheCause: what a handler of Consume appends was caused by the event that it handles.
func TestHandlersInheritTheCause(t *testing.T) {
	t.Parallel()
	es := store.New(memory.New(), nil)
	_, err := es.Append(t.Context(), "orders", store.NoStream, store.Event{Type: "placed"})
	require.NoError(t, err)
	var cause store.Recorded
	ctx, cancel := context.WithCancel(t.Context())
	err = es.Consume(ctx, "orders", "shipping", func(ctx context.Context, e store.Recorded) error {
		cause = e
		_, err := es.Append(ctx, "parcels", store.Any, store.Event{Type: "packed"})
		cancel()
		return err
	}, nil)
	require.ErrorIs(t, err, context.Canceled)
	page, err := es.Page(t.Context(), "parcels", nil)
	require.NoError(t, err)
	require.Len(t, page, 1)
	assert.Equal(t, cause.ID, page[0].CausationID)
	assert.Equal(t, cause.ID, page[0].CorrelationID)
	require.NoError(t, es.Close())
}
