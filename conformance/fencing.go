package conformance

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

func leaseStale(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	stale := f.expired(s, "a", "a")
	current := f.acquire(s, stale.ID, "b")
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(current, 5, 1)))
	require.NoError(f, s.SaveError(f.ctx, current.ID, current.Epoch, "trouble", 0))
	before := f.subscription(s, stale.ID)
	future := current
	future.Epoch++
	for name, l := range sorted(map[string]store.Lease{"an epoch of before": stale, "an epoch to come": future}) {
		assert.ErrorIs(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 9, 1)), store.ErrLeaseLost, name)
		assert.ErrorIs(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 9, 2)), store.ErrLeaseLost, name)
		assert.ErrorIs(f, s.SaveError(f.ctx, l.ID, l.Epoch, "", 0), store.ErrLeaseLost, name)
		assert.ErrorIs(f, s.ReleaseLease(f.ctx, checkpoint(l, 9, 1)), store.ErrLeaseLost, name)
		assert.Equal(f, before, f.subscription(s, l.ID), "nothing has changed")
	}
	absent := store.Lease{ID: onAll("absent"), Epoch: current.Epoch}
	assert.ErrorIs(f, s.SaveCheckpoint(f.ctx, checkpoint(absent, 9, 0)), store.ErrLeaseLost)
	assert.ErrorIs(f, s.SaveError(f.ctx, absent.ID, absent.Epoch, "trouble", 0), store.ErrLeaseLost)
	assert.ErrorIs(f, s.ReleaseLease(f.ctx, checkpoint(absent, 9, 0)), store.ErrLeaseLost)
	list, err := s.ListSubscriptions(f.ctx)
	require.NoError(f, err)
	assert.Len(f, list, 1, "nothing was created")
}

func leaseReset(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	assert.ErrorIs(f, s.ResetSubscription(f.ctx, onAll("absent"), 1, 0), store.ErrSubscriptionNotFound)
	l := f.acquire(s, onAll("a"), "a")
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 8, 1)))
	require.NoError(f, s.SaveError(f.ctx, l.ID, l.Epoch, "trouble", 0))
	for _, number := range []int64{3, 20, 0} {
		before := f.subscription(s, l.ID)
		require.NoError(f, s.ResetSubscription(f.ctx, l.ID, number, 2))
		got := f.subscription(s, l.ID)
		assert.Greater(f, got.Epoch, before.Epoch)
		assert.False(f, got.UpdatedAt.Before(before.UpdatedAt))
		before.Checkpoint, before.StreamID, before.Epoch, before.UpdatedAt = number, 2, got.Epoch, got.UpdatedAt
		before.Held, before.LeaseUntil, before.LastError, before.LastErrorAt = false, time.Time{}, "", time.Time{}
		assert.Equal(f, before, got)
		assert.ErrorIs(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 30, 2)), store.ErrLeaseLost)
		next := f.acquire(s, l.ID, "b")
		assert.Equal(f, store.Lease{ID: l.ID, Epoch: next.Epoch, Checkpoint: number, StreamID: 2, Era: next.Era}, next)
		assert.Greater(f, next.Epoch, got.Epoch, "whoever takes the lease after a reset gets an epoch of its own")
		l = next
	}
}

func leaseDelete(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	assert.ErrorIs(f, s.DeleteSubscription(f.ctx, onAll("a")), store.ErrSubscriptionNotFound)
	l := f.acquire(s, onAll("a"), "a")
	f.acquire(s, onAll("b"), "a")
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 8, 1)))
	require.NoError(f, s.DeleteSubscription(f.ctx, l.ID))
	assert.ErrorIs(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 9, 1)), store.ErrLeaseLost)
	assert.ErrorIs(f, s.DeleteSubscription(f.ctx, l.ID), store.ErrSubscriptionNotFound)
	assert.ErrorIs(f, s.ResetSubscription(f.ctx, l.ID, 0, 0), store.ErrSubscriptionNotFound)
	list, err := s.ListSubscriptions(f.ctx)
	require.NoError(f, err)
	require.Len(f, list, 1)
	assert.Equal(f, onAll("b"), list[0].SubscriptionID)
}

func leaseCreatedAgain(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	before := f.acquire(s, onAll("a"), "a")
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(before, 8, 1)))
	require.NoError(f, s.SaveError(f.ctx, before.ID, before.Epoch, "trouble", 0))
	require.NoError(f, s.DeleteSubscription(f.ctx, before.ID))
	now := f.acquire(s, before.ID, "b")
	assert.Equal(f, store.Lease{ID: before.ID, Epoch: now.Epoch, Era: now.Era}, now, "it begins anew")
	assert.Empty(f, f.subscription(s, before.ID).LastError)
	assert.ErrorIs(f, s.SaveCheckpoint(f.ctx, checkpoint(before, 9, 1)), store.ErrLeaseLost)
	assert.ErrorIs(f, s.ReleaseLease(f.ctx, checkpoint(before, 9, 1)), store.ErrLeaseLost)
	f.isHeld(s, before.ID, "a")
	assert.Zero(f, f.subscription(s, before.ID).Checkpoint)
}

func leaseConcurrent(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	for round := range 5 {
		id := onAll(fmt.Sprint("round", round))
		leases := make([]store.Lease, callers)
		race := func(create bool) (won int) {
			f.oneWins(together(callers, func(i int) (err error) {
				leases[i], err = s.AcquireLease(f.ctx, store.LeaseRequest{ID: id, Owner: fmt.Sprint("owner", i), TTL: long, Create: create})
				return err
			}), store.ErrLeaseHeld)
			won = slices.IndexFunc(leases, func(l store.Lease) bool { return l.Epoch > 0 })
			require.GreaterOrEqual(f, won, 0)
			got := f.subscription(s, id)
			assert.Equal(f, fmt.Sprint("owner", won), got.Owner)
			assert.Equal(f, leases[won].Epoch, got.Epoch)
			return won
		}
		won := race(true) // a new one
		require.NoError(f, s.ReleaseLease(f.ctx, checkpoint(leases[won], 1, 0)))
		won = race(round%2 == 0) // one that is free
		owner := fmt.Sprint("owner", won)
		f.allWin(together(callers, func(i int) (err error) { // one owner's own
			leases[i], err = s.AcquireLease(f.ctx, store.LeaseRequest{ID: id, Owner: owner, TTL: long})
			return err
		}))
		epochs := map[int64]bool{}
		for _, l := range leases {
			epochs[l.Epoch] = true
		}
		assert.Len(f, epochs, callers, "each has an epoch of its own")
		written := 0
		for _, err := range together(callers, func(i int) error { return s.SaveCheckpoint(f.ctx, checkpoint(leases[i], 2, 0)) }) {
			if err == nil {
				written++
				continue
			}
			assert.ErrorIs(f, err, store.ErrLeaseLost)
		}
		assert.Equal(f, 1, written, "only the last epoch writes")
	}
}

func leaseInTx(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	l := f.acquire(s, onAll("a"), "a")
	f.acquire(s, onAll("reset"), "a")
	f.acquire(s, onAll("deleted"), "a")
	before, err := s.ListSubscriptions(f.ctx)
	require.NoError(f, err)
	work := func() (end func(commit bool)) {
		tx := f.begin()
		in := f.storage.(store.Transactional).WithTx(tx).(store.SubscriptionStorage)
		f.acquire(in, onAll("new"), "b")
		require.NoError(f, in.SaveCheckpoint(f.ctx, checkpoint(l, 4, 0)))
		require.NoError(f, in.SaveError(f.ctx, l.ID, l.Epoch, "trouble", 0))
		require.NoError(f, in.ResetSubscription(f.ctx, onAll("reset"), 5, 0))
		require.NoError(f, in.DeleteSubscription(f.ctx, onAll("deleted")))
		assert.Equal(f, int64(4), f.subscription(in, l.ID).Checkpoint, "code in a transaction sees what it did")
		_, err := in.AcquireLease(f.ctx, store.LeaseRequest{ID: l.ID, Owner: "b", TTL: long})
		require.ErrorIs(f, err, store.ErrLeaseHeld)
		stale := l
		stale.Epoch--
		require.ErrorIs(f, in.ReleaseLease(f.ctx, checkpoint(stale, 9, 0)), store.ErrLeaseLost)
		require.NoError(f, tx.QueryRowContext(f.ctx, "select 1").Scan(new(int)), "an answer is not a failed statement: the transaction goes on")
		return func(commit bool) {
			if commit {
				require.NoError(f, tx.Commit())
			} else {
				require.NoError(f, tx.Rollback())
			}
		}
	}
	work()(false)
	after, err := s.ListSubscriptions(f.ctx)
	require.NoError(f, err)
	assert.Equal(f, before, after, "nothing is left of it")

	work()(true)
	after, err = s.ListSubscriptions(f.ctx)
	require.NoError(f, err)
	names := []string{}
	for _, i := range after {
		names = append(names, fmt.Sprint(i.Name, i.Checkpoint, i.LastError))
	}
	assert.Equal(f, []string{"a4trouble", "new0", "reset5"}, names)

	end := errors.New("the caller's own")
	assert.Equal(f, end, f.es.InTx(f.ctx, func(tx *sql.Tx) error {
		in := f.storage.(store.Transactional).WithTx(tx).(store.SubscriptionStorage)
		require.NoError(f, in.ReleaseLease(f.ctx, checkpoint(l, 9, 0)))
		return end
	}))
	f.isHeld(s, l.ID, "b")
}
