package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestSequenceSetBackIntoAGap: a number that nobody has used, but below that of the stream's last event, would put the
// stream out of order.
func TestSequenceSetBackIntoAGap(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "a", 1)
	tx := begin(t, b)
	appendTo(t, b.WithTx(tx), "gone", 1)
	require.NoError(t, tx.Rollback())
	appendTo(t, b, "a", 1)
	number(t, b, `select setval('/*schema.*/append_seq', 1)`)
	appendTo(t, b, "a", 1) // draws 2 first
	require.Equal(t, []string{"a@1", "a@2", "a@3"}, all(t, b))
}

// TestTransactionOfAnotherPool: any *sql.Tx on the database will do, also once statements are prepared on the store's own.
func TestTransactionOfAnotherPool(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		b := setup(t, pgtest.URL(t))
		appendTo(t, b, "a", 1) // prepares
		tx, err := pgtest.Open(t, driver, pgtest.URL(t)).BeginTx(t.Context(), nil)
		require.NoError(t, err)
		appendTo(t, b.WithTx(tx), "a", 1)
		require.NoError(t, tx.Commit())
		require.Equal(t, []string{"a@1", "a@2"}, all(t, b))
	}
}

func TestNilTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	_, err := store.New(b, nil).WithTx(nil).Append(t.Context(), "a", store.Any, store.Event{Type: "happened"})
	require.ErrorIs(t, err, store.ErrInvalid)
	require.Empty(t, all(t, b))
}

func TestLinkRaceIntoTheEventsOwnStream(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	ctx := t.Context()
	absent, err := b.find(ctx, "find_stream", "a") // what a link has seen, before
	require.NoError(t, err)
	appendTo(t, b, "a", 1) // another session creates the stream with the very event
	page, err := store.New(b, nil).Page(ctx, "a", nil)
	require.NoError(t, err)
	last, err := b.writeLinks(ctx, store.LinkRequest{Stream: "a", Expected: store.Any, Events: store.IDs(page...)}, absent)
	require.NoError(t, err)
	require.Zero(t, last, "it is judged again")
	_, err = store.New(b, nil).Link(ctx, "a", store.Any, store.IDs(page...)...)
	require.ErrorIs(t, err, store.ErrDuplicateEvent)
}
