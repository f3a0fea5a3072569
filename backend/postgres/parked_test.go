package postgres

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// parkOne parks an event of a subscription that is run in the returned epoch.
func parkOne(t *testing.T, b *Backend) (parked store.ParkedEvent, epoch int64) {
	t.Helper()
	lease, err := b.AcquireLease(t.Context(), store.LeaseRequest{
		ID: store.SubscriptionID{Stream: store.All, Name: "reader"}, Owner: "a", TTL: time.Hour, Create: true,
	})
	require.NoError(t, err)
	parked = store.ParkedEvent{Subscription: lease.ID, Key: "k", Number: 1, ID: uuid.New(), Stream: "k", Version: 1, Type: "counted"}
	require.NoError(t, b.SaveParked(t.Context(), store.ParkedChange{ID: lease.ID, Epoch: lease.Epoch, Park: []store.ParkedEvent{parked}}))
	return parked, lease.Epoch
}

func countParked(t *testing.T, b *Backend) int64 {
	t.Helper()
	return number(t, b, `select count(*) from `+quote(b.opts.Schema)+`.parked`)
}

// TestParkedHandledWhileReplayed: an event that was handled is removed also while somebody has all that is parked replayed: it would
// be handled once more.
func TestParkedHandledWhileReplayed(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	parked, epoch := parkOne(t, b)
	replaying := begin(t, b)
	_, err := replaying.ExecContext(t.Context(), b.queries.Get("replay_parked"), "reader", uuidArray([]uuid.UUID{parked.ID}), store.All)
	require.NoError(t, err)
	removed := make(chan error, 1)
	go func() {
		removed <- b.SaveParked(t.Context(), store.ParkedChange{ID: parked.Subscription, Epoch: epoch, Remove: []uuid.UUID{parked.ID}})
	}()
	eventually(t, "the removal waits, or has ended", func() bool {
		return len(removed) == 1 || number(t, b, `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock' and query like '%' || $1 || '.parked%'`, quote(b.opts.Schema)) == 1
	})
	require.NoError(t, replaying.Commit())
	require.NoError(t, <-removed)
	require.Zero(t, countParked(t, b))
}

// TestParkedHandledWhileDeleted: an open transaction that hard deletes the stream of a parked event does not hold up who has handled it.
func TestParkedHandledWhileDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	parked, epoch := parkOne(t, b)
	deleting := begin(t, b)
	_, err := deleting.ExecContext(t.Context(), `delete from `+quote(b.opts.Schema)+`.parked`)
	require.NoError(t, err)
	require.NoError(t, b.SaveParked(t.Context(), store.ParkedChange{ID: parked.Subscription, Epoch: epoch, Remove: []uuid.UUID{parked.ID}}))
	require.NoError(t, deleting.Commit())
	require.Zero(t, countParked(t, b))
}
