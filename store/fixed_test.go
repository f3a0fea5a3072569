package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// TestFixedIDsAndTimes: events without an id and a time get those of the options, others keep theirs.
func TestFixedIDsAndTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 7000, time.FixedZone("CET", 3600))
	drawn := byte(0)
	es := store.New(memory.New(), &store.Options{
		NewID: func() (uuid.UUID, error) { drawn++; return uuid.UUID{15: drawn}, nil },
		Now:   func() time.Time { return at },
	})
	defer es.Close() //nolint:errcheck // it has no subscriptions
	own, then := uuid.New(), at.Add(-time.Hour)
	_, err := es.Append(t.Context(), "a", store.NoStream,
		store.Event{Type: "first"}, store.Event{Type: "second", ID: own, CreatedAt: then}, store.Event{Type: "third"})
	require.NoError(t, err)
	page, err := es.Page(t.Context(), "a", nil)
	require.NoError(t, err)
	assert.Equal(t, []uuid.UUID{{15: 1}, own, {15: 2}}, store.IDs(page...))
	assert.Equal(t, []time.Time{at.UTC(), then.UTC(), at.UTC()}, []time.Time{page[0].CreatedAt, page[1].CreatedAt, page[2].CreatedAt})
}

// TestIDsThatAreKnown: an id that NewID returns twice is no new event: the very same append is a retry, any other is refused.
func TestIDsThatAreKnown(t *testing.T) {
	t.Parallel()
	es := store.New(memory.New(), &store.Options{NewID: func() (uuid.UUID, error) { return uuid.UUID{15: 1}, nil }})
	defer es.Close() //nolint:errcheck // it has no subscriptions
	_, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "first"})
	require.NoError(t, err)
	res, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "first"})
	require.NoError(t, err)
	assert.True(t, res.Retried)
	_, err = es.Append(t.Context(), "a", store.Any, store.Event{Type: "second"})
	require.ErrorIs(t, err, store.ErrDuplicateEvent)
	_, err = es.Append(t.Context(), "b", store.Any, store.Event{Type: "first"}, store.Event{Type: "first"})
	require.ErrorIs(t, err, store.ErrDuplicateEvent)
}

// TestNoID: an error of NewID, or the zero UUID, ends the append before anything is sent.
func TestNoID(t *testing.T) {
	t.Parallel()
	errNone := errors.New("no ids left")
	for name, want := range map[string]error{"error": errNone, "zero": store.ErrInvalid} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			es := store.New(memory.New(), &store.Options{NewID: func() (uuid.UUID, error) {
				if name == "error" {
					return uuid.Nil, errNone
				}
				return uuid.Nil, nil
			}})
			defer es.Close() //nolint:errcheck // it has no subscriptions
			_, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "first"})
			require.ErrorIs(t, err, want)
			_, err = es.Append(t.Context(), "a", store.Any, store.Event{Type: "first", ID: uuid.New()})
			require.NoError(t, err)
		})
	}
}
