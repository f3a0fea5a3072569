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
	appendTo(t, b, "k", 1)
	page, err := store.New(b, nil).Page(t.Context(), "k", nil)
	require.NoError(t, err)
	lease, err := b.AcquireLease(t.Context(), store.LeaseRequest{
		ID: store.SubscriptionID{Stream: store.All, Name: "reader"}, Owner: "a", TTL: time.Hour, Create: true,
	})
	require.NoError(t, err)
	parked = store.ParkedEvent{Subscription: lease.ID, Key: "k", Number: 1, ID: page[0].ID, Stream: "k", Version: 1, Type: "counted"}
	n, err := b.SaveParked(t.Context(), store.ParkedChange{ID: lease.ID, Epoch: lease.Epoch, Park: []store.ParkedEvent{parked}})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
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
		_, err := b.SaveParked(t.Context(), store.ParkedChange{ID: parked.Subscription, Epoch: epoch, Remove: []uuid.UUID{parked.ID}})
		removed <- err
	}()
	eventually(t, "the removal waits, or has ended", func() bool {
		return len(removed) == 1 || number(t, b, `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock' and query like '%' || $1 || '.parked%'`, quote(b.opts.Schema)) == 1
	})
	require.NoError(t, replaying.Commit())
	require.NoError(t, <-removed)
	require.Zero(t, countParked(t, b))
}

// TestParkedHandledWhileDeleted: an open transaction that hard deletes the stream of a parked event does not block its removal.
func TestParkedHandledWhileDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	parked, epoch := parkOne(t, b)
	deleting := begin(t, b)
	_, err := deleting.ExecContext(t.Context(), `delete from `+quote(b.opts.Schema)+`.parked`)
	require.NoError(t, err)
	_, err = b.SaveParked(t.Context(), store.ParkedChange{ID: parked.Subscription, Epoch: epoch, Remove: []uuid.UUID{parked.ID}})
	require.NoError(t, err)
	require.NoError(t, deleting.Commit())
	require.Zero(t, countParked(t, b))
}

// TestParkWhileDeleted: parking an event waits for an open transaction that hard deletes its stream. The lease is renewed meanwhile, and
// afterwards nothing is parked, or if the transaction was rolled back, the event is.
func TestParkWhileDeleted(t *testing.T) {
	t.Parallel()
	for _, commit := range []bool{true, false} {
		b := setup(t, pgtest.URL(t))
		parked, epoch := parkOne(t, b)
		_, err := b.DiscardParked(t.Context(), parked.Subscription, []uuid.UUID{parked.ID})
		require.NoError(t, err)
		deleting := begin(t, b)
		es := store.New(b, &store.Options{HardDelete: true})
		require.NoError(t, es.WithTx(deleting).Delete(t.Context(), "k", store.Any, store.HardDelete))
		saved, n := make(chan error, 1), int64(-1)
		go func() {
			var err error
			n, err = b.SaveParked(t.Context(), store.ParkedChange{ID: parked.Subscription, Epoch: epoch, Park: []store.ParkedEvent{parked}})
			saved <- err
		}()
		eventually(t, "it waits", func() bool {
			return number(t, b, `select count(*) from pg_stat_activity
				where datname = current_database() and wait_event_type = 'Lock' and query like '%' || $1 || '.parked%'`, quote(b.opts.Schema)) == 1
		})
		leases, err := b.RenewLeases(t.Context(), "a", time.Hour)
		require.NoError(t, err)
		require.Len(t, leases, 1)
		want := int64(1)
		if commit {
			require.NoError(t, deleting.Commit())
			want = 0
		} else {
			require.NoError(t, deleting.Rollback())
		}
		require.NoError(t, <-saved)
		require.Equal(t, want, n)
		require.Equal(t, want, countParked(t, b))
	}
}
