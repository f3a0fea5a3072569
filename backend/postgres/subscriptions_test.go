package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

func lease(t *testing.T, s store.SubscriptionStorage, name, owner string) store.Lease {
	t.Helper()
	l, err := s.AcquireLease(t.Context(), store.LeaseRequest{
		ID: store.SubscriptionID{Stream: store.All, Name: name}, Owner: owner, TTL: time.Hour, Create: true,
	})
	require.NoError(t, err)
	return l
}

// waitingForRow counts the sessions that wait for the row of a subscription.
func waitingForRow(t *testing.T, b *Backend) int64 {
	t.Helper()
	return number(t, b, `select count(*) from pg_stat_activity
		where datname = current_database() and wait_event_type = 'Lock' and query like '%' || $1 || '.subscriptions%'`, quote(b.opts.Schema))
}

// TestFreedLeasesAreTold: other processes hear of a lease that has become free, when that is committed and not before.
func TestFreedLeasesAreTold(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "s", 1)
	tick(t, b) // a position for a checkpoint to be at
	conn, err := pgx.Connect(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is kept
	_, err = conn.Exec(t.Context(), `listen `+quote(b.opts.channel()))
	require.NoError(t, err)
	hear := func(want ...string) {
		t.Helper()
		// What was committed before this one is heard before it.
		_, err := b.db.ExecContext(t.Context(), `select pg_notify($1, 'end')`, b.opts.channel())
		require.NoError(t, err)
		heard := []string{}
		for {
			n, err := conn.WaitForNotification(t.Context())
			require.NoError(t, err)
			if n.Payload == "end" {
				break
			}
			heard = append(heard, n.Payload)
		}
		require.Equal(t, append([]string{}, want...), heard)
	}
	l := lease(t, b, "a", "me")
	require.NoError(t, b.SaveCheckpoint(t.Context(), store.CheckpointRequest{ID: l.ID, Epoch: l.Epoch, Checkpoint: 1}))
	hear()
	tx := begin(t, b)
	in := b.WithTx(tx).(store.SubscriptionStorage)
	require.NoError(t, in.ReleaseLease(t.Context(), store.CheckpointRequest{ID: l.ID, Epoch: l.Epoch, Checkpoint: 1}))
	hear()
	require.NoError(t, tx.Commit())
	hear("lease")
	require.NoError(t, b.ResetSubscription(t.Context(), l.ID, 0, 0))
	hear("lease")
	require.ErrorIs(t, b.ReleaseLease(t.Context(), store.CheckpointRequest{ID: l.ID, Epoch: l.Epoch}), store.ErrLeaseLost)
	hear()
	require.NoError(t, b.DeleteSubscription(t.Context(), l.ID))
	hear("lease")
	require.ErrorIs(t, b.DeleteSubscription(t.Context(), l.ID), store.ErrSubscriptionNotFound)
	hear()
}

// TestCheckpointsLeaveNoBloat: a subscription's row is updated in place, however often its checkpoint is written.
func TestCheckpointsLeaveNoBloat(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.StartServer(t).URL()) // where no old transaction of another test keeps rows from being tidied up
	appendTo(t, b, "s", 2_000)
	tick(t, b) // positions for checkpoints to be at
	var leases []store.Lease
	for i := range 10 {
		leases = append(leases, lease(t, b, fmt.Sprint("s", i), "me"))
	}
	for n := range 2_000 {
		l := leases[n%len(leases)]
		require.NoError(t, b.SaveCheckpoint(t.Context(), store.CheckpointRequest{ID: l.ID, Epoch: l.Epoch, Checkpoint: int64(n + 1)}))
		if n%100 == 0 {
			_, err := b.RenewLeases(t.Context(), "me", time.Hour)
			require.NoError(t, err)
		}
	}
	require.LessOrEqual(t, number(t, b, `select pg_relation_size('/*schema.*/subscriptions') / 8192`), int64(4), "pages of the table")
	require.LessOrEqual(t, number(t, b, `select pg_relation_size('/*schema.*/subscriptions_pkey') / 8192`), int64(2), "pages of the index")
}

// TestEpochSequenceBehind: a copy of the tables without the sequence still fences off those of before.
func TestEpochSequenceBehind(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	for range 5 {
		lease(t, b, "a", "me")
	}
	before := lease(t, b, "a", "me")
	number(t, b, `select setval('/*schema.*/epoch_seq', 1, false)`)
	after := lease(t, b, "a", "me")
	require.Greater(t, after.Epoch, before.Epoch)
	require.NoError(t, b.ResetSubscription(t.Context(), after.ID, 0, 0))
	require.ErrorIs(t, b.SaveCheckpoint(t.Context(), store.CheckpointRequest{ID: after.ID, Epoch: after.Epoch, Checkpoint: 1}), store.ErrLeaseLost)
	require.Greater(t, lease(t, b, "a", "me").Epoch, after.Epoch+1)
}

// TestLeasesAtAnotherIsolationLevel: where the database's default is SERIALIZABLE, a lease that meets another's newer
// write is asked for again.
func TestLeasesAtAnotherIsolationLevel(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	strict := New(pgtest.Open(t, "pgx", pgtest.URL(t)+"&default_transaction_isolation=serializable"), &b.opts)
	t.Cleanup(func() { require.NoError(t, strict.Close()) })
	for _, commit := range []bool{false, true} {
		l := lease(t, b, "a", "me")
		require.NoError(t, b.ReleaseLease(t.Context(), store.CheckpointRequest{ID: l.ID, Epoch: l.Epoch}))
		tx := begin(t, b)
		lease(t, b.WithTx(tx).(store.SubscriptionStorage), "a", "other")
		done := make(chan error, 1)
		go func() {
			_, err := strict.AcquireLease(t.Context(), store.LeaseRequest{ID: l.ID, Owner: "me", TTL: time.Hour})
			done <- err
		}()
		eventually(t, "it waits", func() bool { return waitingForRow(t, b) == 1 })
		if commit {
			require.NoError(t, tx.Commit())
			require.ErrorIs(t, <-done, store.ErrLeaseHeld)
		} else {
			require.NoError(t, tx.Rollback())
			require.NoError(t, <-done)
		}
	}
}

// TestDeletedWhileItIsTaken: who waits for a subscription that is being deleted creates it anew, or finds none.
func TestDeletedWhileItIsTaken(t *testing.T) {
	t.Parallel()
	for _, create := range []bool{false, true} {
		t.Run(fmt.Sprint("create=", create), func(t *testing.T) {
			t.Parallel()
			b := setup(t, pgtest.URL(t))
			before := lease(t, b, "a", "me")
			require.NoError(t, b.ReleaseLease(t.Context(), store.CheckpointRequest{ID: before.ID, Epoch: before.Epoch}))
			tx := begin(t, b)
			require.NoError(t, b.WithTx(tx).(store.SubscriptionStorage).DeleteSubscription(t.Context(), before.ID))
			type result struct {
				lease store.Lease
				err   error
			}
			done := make(chan result, 1)
			go func() {
				l, err := b.AcquireLease(t.Context(), store.LeaseRequest{ID: before.ID, Owner: "you", TTL: time.Hour, Create: create, Checkpoint: 3})
				done <- result{l, err}
			}()
			eventually(t, "it waits", func() bool { return waitingForRow(t, b) == 1 })
			require.NoError(t, tx.Commit())
			got := <-done
			if !create {
				require.ErrorIs(t, got.err, store.ErrSubscriptionNotFound)
				return
			}
			require.NoError(t, got.err)
			require.EqualValues(t, 3, got.lease.Checkpoint)
			require.NotEqual(t, before.Epoch, got.lease.Epoch)
		})
	}
}

// TestUpgrade: a store of the first version takes the second migration, and until then says so.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t, "pgx", pgtest.URL(t))
	b := New(db, &Options{Schema: pgtest.Schema(t)})
	first, err := fs.ReadFile(b.Migrations(), "0001_init.up.sql")
	require.NoError(t, err)
	for _, statement := range []string{b.MigrationQuery("migrate_prepare"), string(first)} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	_, err = db.ExecContext(t.Context(), b.MigrationQuery("migrate_set_version"), 1, 1)
	require.NoError(t, err)
	var schema *store.SchemaError
	require.ErrorAs(t, b.Check(t.Context()), &schema)
	require.Equal(t, []int{1, latest}, []int{schema.Have, schema.Want})
	require.NoError(t, migrate.Up(t.Context(), b))
	lease(t, b, "a", "me")
	require.NoError(t, b.Close())
}
