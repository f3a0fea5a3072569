package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var leaseCases = []testCase{
	{name: "lease/create", run: leaseCreate, why: "a new subscription begins where the request asks, and the caller holds its lease"},
	{name: "lease/no-create", run: leaseNoCreate, why: "a subscription that was deleted does not come back because somebody was about to take it over"},
	{name: "lease/existing", run: leaseExisting, why: "a subscription goes on from its checkpoint, whatever process takes it, and wherever a new one would begin"},
	{name: "lease/held", run: leaseHeld, why: "P7: never two at once"},
	{name: "lease/same-owner", run: leaseSameOwner, why: "an owner that takes its lease again begins a new epoch, so that late writes of the last one do no harm"},
	{name: "lease/apart", run: leaseApart, why: "a subscription is known by stream and name, byte by byte"},
	{name: "lease/expires", run: leaseExpires, why: "P7: others take over from one that has died, but not before its lease is over, on the database's clock"},
	{name: "lease/renewed", run: leaseRenewed, why: "P7: an owner that renews its lease keeps it"},
	{name: "lease/renew-expired", run: leaseRenewExpired, why: "an owner that renews too late, but before another one took the lease, goes on in its epoch"},
	{name: "lease/renew-mine", run: leaseRenewMine, why: "P7: an owner learns which leases it has lost from their absence"},
	{name: "lease/owner", run: leaseOwner, why: "people find a process by the name that its Store was given"},
	{name: "lease/free", run: leaseFree, why: "FreeLeases returns all free leases in one call, and no others"},
	{name: "lease/release", run: leaseRelease, why: "after a clean close others take over at once, where it left off"},
	{name: "lease/stale", run: leaseStale, why: "P7: an owner that lost its lease while it was paused writes nothing and gets ErrLeaseLost"},
	{name: "lease/reset", run: leaseReset, why: "a reset ends the epoch, so that the process that runs the subscription does not overwrite it"},
	{name: "lease/delete", run: leaseDelete, why: "a delete ends the subscription wherever it runs"},
	{name: "lease/created-again", run: leaseCreatedAgain, why: "P7: an owner of a deleted subscription does not write to the new one of the same name"},
	{name: "lease/cancelled", run: leaseCancelled, why: "a call whose context has ended does nothing, and says why"},
	{name: "lease/concurrent", tx: manyTx, run: leaseConcurrent, why: "P7: of many processes that ask for a lease, exactly one gets it"},
	{name: "lease/in-a-transaction", tx: ownTx, run: leaseInTx, why: "P8: a checkpoint is committed or rolled back with what the caller did"},
}

// long is a lease that no case outlives.
const long = time.Hour

// short is a lease that a case waits for the end of.
func (f *fixture) short() time.Duration {
	if f.impatient > 0 {
		return 20 * time.Millisecond
	}
	return 150 * time.Millisecond
}

// keeper returns the storage as one that keeps subscriptions, or skips the case if it does not.
func (f *fixture) keeper() store.SubscriptionStorage {
	f.Helper()
	s, ok := f.storage.(store.SubscriptionStorage)
	if !ok {
		f.counts.add(0, 1)
		f.Skip("excused: the backend keeps no subscriptions: it is no store.SubscriptionStorage")
	}
	return s
}

func onAll(name string) store.SubscriptionID {
	return store.SubscriptionID{Stream: store.All, Name: name}
}

// acquire takes a lease for long, creating the subscription if need be.
func (f *fixture) acquire(s store.SubscriptionStorage, id store.SubscriptionID, owner string) store.Lease {
	f.Helper()
	l, err := s.AcquireLease(f.ctx, store.LeaseRequest{ID: id, Owner: owner, TTL: long, Create: true})
	require.NoError(f, err, "acquire %v for %s", id, owner)
	return l
}

// isHeld checks that owner does not get the lease.
func (f *fixture) isHeld(s store.SubscriptionStorage, id store.SubscriptionID, owner string) {
	f.Helper()
	_, err := s.AcquireLease(f.ctx, store.LeaseRequest{ID: id, Owner: owner, TTL: long, Create: true})
	assert.ErrorIs(f, err, store.ErrLeaseHeld, "%s asks for %v", owner, id)
}

// subscription returns what the list says of a subscription.
func (f *fixture) subscription(s store.SubscriptionStorage, id store.SubscriptionID) store.SubscriptionInfo {
	f.Helper()
	list, err := s.ListSubscriptions(f.ctx)
	require.NoError(f, err)
	i := slices.IndexFunc(list, func(i store.SubscriptionInfo) bool { return i.SubscriptionID == id })
	require.GreaterOrEqual(f, i, 0, "%v is listed", id)
	return list[i]
}

func (f *fixture) freeNames(s store.SubscriptionStorage) []string {
	f.Helper()
	list, err := s.FreeLeases(f.ctx)
	require.NoError(f, err)
	names := []string{}
	for _, id := range list {
		names = append(names, id.Name)
	}
	slices.Sort(names)
	return names
}

// checkpoint is a request in an epoch of its own lease.
func checkpoint(l store.Lease, number, streamID int64) store.CheckpointRequest {
	return store.CheckpointRequest{ID: l.ID, Epoch: l.Epoch, Checkpoint: number, StreamID: streamID}
}

// until looks again and again until done.
func (f *fixture) until(what string, done func() bool) {
	f.Helper()
	late := time.NewTimer(f.patient())
	defer late.Stop()
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for !done() {
		select {
		case <-every.C:
		case <-late.C:
			require.FailNow(f, "never happened: "+what)
		case <-f.ctx.Done():
			require.FailNow(f, "never happened: "+what)
		}
	}
}

func leaseCreate(f *fixture) {
	s := f.keeper()
	list, err := s.ListSubscriptions(f.ctx)
	require.NoError(f, err)
	assert.Empty(f, list)
	id := store.SubscriptionID{Stream: "orders", Name: "totals"}
	l, err := s.AcquireLease(f.ctx, store.LeaseRequest{ID: id, Owner: "a", TTL: long, Create: true, Checkpoint: 7, StreamID: 3})
	require.NoError(f, err)
	assert.Positive(f, l.Epoch)
	assert.Equal(f, store.Lease{ID: id, Epoch: l.Epoch, Checkpoint: 7, StreamID: 3, Era: l.Era}, l)

	got := f.subscription(s, id)
	assert.Equal(f, store.SubscriptionInfo{
		SubscriptionID: id, Checkpoint: 7, StreamID: 3, Owner: "a", Epoch: l.Epoch, Held: true,
		LeaseUntil: got.LeaseUntil, CreatedAt: got.CreatedAt, UpdatedAt: got.UpdatedAt,
	}, got)
	f.near(long, got.LeaseUntil.Sub(got.CreatedAt), "the lease lasts as long as was asked for")
	f.near(0, got.UpdatedAt.Sub(got.CreatedAt), "the checkpoint is as old as the subscription")
	f.near(0, time.Since(got.CreatedAt), "the subscription was created now")
	for _, at := range []time.Time{got.LeaseUntil, got.CreatedAt, got.UpdatedAt} {
		assert.Equal(f, time.UTC, at.Location())
	}
}

// near checks that two durations differ by no more than clocks and slow machines do.
func (f *fixture) near(want, got time.Duration, what string) {
	f.Helper()
	assert.InDelta(f, want.Seconds(), got.Seconds(), 600, what)
}

func leaseNoCreate(f *fixture) {
	s := f.keeper()
	_, err := s.AcquireLease(f.ctx, store.LeaseRequest{ID: onAll("a"), Owner: "a", TTL: long})
	assert.ErrorIs(f, err, store.ErrSubscriptionNotFound)
	list, err := s.ListSubscriptions(f.ctx)
	require.NoError(f, err)
	assert.Empty(f, list, "nothing was created")
	first := f.acquire(s, onAll("a"), "a")
	l, err := s.AcquireLease(f.ctx, store.LeaseRequest{ID: onAll("a"), Owner: "a", TTL: long})
	require.NoError(f, err, "what is there need not be created")
	assert.Greater(f, l.Epoch, first.Epoch)
}

func leaseExisting(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	l, err := s.AcquireLease(f.ctx, store.LeaseRequest{ID: onAll("a"), Owner: "a", TTL: long, Create: true, Checkpoint: 5, StreamID: 2})
	require.NoError(f, err)
	require.NoError(f, s.SaveError(f.ctx, l.ID, l.Epoch, "trouble", 0))
	before := f.subscription(s, l.ID)
	require.NoError(f, s.ReleaseLease(f.ctx, checkpoint(l, 5, 2)))
	for _, r := range []store.LeaseRequest{{Create: true, Checkpoint: 9, StreamID: 4}, {Create: true}, {}, {Checkpoint: 9, StreamID: 4}} {
		r.ID, r.Owner, r.TTL = onAll("a"), "b", long
		next, err := s.AcquireLease(f.ctx, r)
		require.NoError(f, err)
		assert.Equal(f, store.Lease{ID: l.ID, Epoch: next.Epoch, Checkpoint: 5, StreamID: 2, Era: next.Era}, next)
		assert.Greater(f, next.Epoch, l.Epoch, "who takes a lease gets a later epoch")
		l = next
		got := f.subscription(s, l.ID)
		before.Owner, before.Epoch, before.LeaseUntil = "b", next.Epoch, got.LeaseUntil
		assert.Equal(f, before, got, "nothing else has changed")
	}
}

func leaseOwner(f *fixture) {
	s := f.keeper()
	for _, owner := range []string{"web-1.example.com:4711/9f3c2a1b", "Web 1", "web 1", "日本 'x' \\", strings.Repeat("long", 100)} {
		l := f.acquire(s, onAll("a"), owner)
		assert.Equal(f, owner, f.subscription(s, l.ID).Owner)
		list, err := s.RenewLeases(f.ctx, owner, long)
		require.NoError(f, err)
		assert.Len(f, list, 1, "%s has it", owner)
		require.NoError(f, s.ReleaseLease(f.ctx, checkpoint(l, 0, 0)))
		assert.Equal(f, owner, f.subscription(s, l.ID).Owner, "who held it last")
	}
}

func leaseHeld(f *fixture) {
	s := f.keeper()
	f.acquire(s, onAll("a"), "a")
	before := f.subscription(s, onAll("a"))
	for _, r := range []store.LeaseRequest{{Create: true, Checkpoint: 9}, {}} {
		r.ID, r.Owner, r.TTL = onAll("a"), "b", long
		l, err := s.AcquireLease(f.ctx, r)
		assert.ErrorIs(f, err, store.ErrLeaseHeld)
		assert.Zero(f, l)
	}
	assert.Equal(f, before, f.subscription(s, onAll("a")), "nothing has changed")
}

func leaseSameOwner(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	first := f.acquire(s, onAll("a"), "a")
	second := f.acquire(s, onAll("a"), "a")
	assert.Greater(f, second.Epoch, first.Epoch)
	assert.ErrorIs(f, s.SaveCheckpoint(f.ctx, checkpoint(first, 1, 0)), store.ErrLeaseLost)
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(second, 2, 0)))
}

func leaseApart(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	var ids []store.SubscriptionID
	for _, stream := range []string{store.All, "s", "S", "s "} {
		for _, name := range []string{"a", "A", "ä", "a\u0308", "a%", `a\`, "a'", strings.Repeat("n", store.MaxSubscriptionName)} {
			ids = append(ids, store.SubscriptionID{Stream: stream, Name: name})
		}
	}
	leases := map[store.SubscriptionID]store.Lease{}
	for i, id := range ids {
		leases[id] = f.acquire(s, id, fmt.Sprint("owner", i))
	}
	for i, id := range ids {
		require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(leases[id], int64(i+1), 0)))
	}
	for i, id := range ids {
		got := f.subscription(s, id)
		assert.Equal(f, int64(i+1), got.Checkpoint, "%v", id)
		assert.Equal(f, fmt.Sprint("owner", i), got.Owner)
	}
	require.NoError(f, s.DeleteSubscription(f.ctx, ids[0]))
	list, err := s.ListSubscriptions(f.ctx)
	require.NoError(f, err)
	assert.Len(f, list, len(ids)-1)
}

func leaseExpires(f *fixture) {
	s := f.keeper()
	f.acquire(s, onAll("lasts"), "a")
	began := time.Now()
	first, err := s.AcquireLease(f.ctx, store.LeaseRequest{ID: onAll("expires"), Owner: "a", TTL: f.short(), Create: true, Checkpoint: 3})
	require.NoError(f, err)
	info := f.subscription(s, onAll("expires"))
	assert.GreaterOrEqual(f, info.LeaseUntil.Sub(info.CreatedAt), f.short()*9/10, "the lease lasts as long as was asked for")
	var next store.Lease
	f.until("the lease expires", func() bool {
		next, err = s.AcquireLease(f.ctx, store.LeaseRequest{ID: onAll("expires"), Owner: "b", TTL: long})
		if err != nil {
			require.ErrorIs(f, err, store.ErrLeaseHeld)
		}
		return err == nil
	})
	assert.GreaterOrEqual(f, time.Since(began), f.short()*9/10, "not before its time")
	assert.Equal(f, store.Lease{ID: onAll("expires"), Epoch: next.Epoch, Checkpoint: 3, Era: next.Era}, next)
	assert.Greater(f, next.Epoch, first.Epoch)
	f.isHeld(s, onAll("expires"), "a")
	f.isHeld(s, onAll("lasts"), "b")
}

// expired takes a lease for a short while and waits until it is over.
func (f *fixture) expired(s store.SubscriptionStorage, name, owner string) store.Lease {
	f.Helper()
	l, err := s.AcquireLease(f.ctx, store.LeaseRequest{ID: onAll(name), Owner: owner, TTL: f.short(), Create: true})
	require.NoError(f, err)
	f.until("the lease of "+name+" expires", func() bool { return slices.Contains(f.freeNames(s), name) })
	return l
}

func leaseRenewed(f *fixture) {
	s := f.keeper()
	l, err := s.AcquireLease(f.ctx, store.LeaseRequest{ID: onAll("renewed"), Owner: "a", TTL: f.short(), Create: true})
	require.NoError(f, err)
	list, err := s.RenewLeases(f.ctx, "a", long)
	require.NoError(f, err)
	assert.Equal(f, []store.Lease{l}, list)
	f.expired(s, "other", "b") // begun later, for as long
	f.isHeld(s, onAll("renewed"), "b")
	got := f.subscription(s, l.ID)
	assert.True(f, got.Held)
	assert.Equal(f, l.Epoch, got.Epoch, "the epoch goes on")

	list, err = s.RenewLeases(f.ctx, "a", f.short())
	require.NoError(f, err)
	assert.Len(f, list, 1)
	f.until("a lease lasts from the last renewal", func() bool { return slices.Contains(f.freeNames(s), "renewed") })
}

func leaseRenewExpired(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	l := f.expired(s, "a", "a")
	got := f.subscription(s, l.ID)
	assert.False(f, got.Held)
	assert.False(f, got.LeaseUntil.IsZero(), "it was not given up")
	assert.Equal(f, "a", got.Owner, "who held it last")
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 1, 0)), "the epoch goes on as long as nobody takes the lease")
	list, err := s.RenewLeases(f.ctx, "a", long)
	require.NoError(f, err)
	assert.Equal(f, []store.Lease{{ID: l.ID, Epoch: l.Epoch, Checkpoint: 1, Era: l.Era}}, list)
	f.isHeld(s, l.ID, "b")
	assert.Empty(f, f.freeNames(s))
}

func leaseRenewMine(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	kept, err := s.AcquireLease(f.ctx, store.LeaseRequest{ID: onAll("kept"), Owner: "a", TTL: long, Create: true, Checkpoint: 3, StreamID: 2})
	require.NoError(f, err)
	other := store.SubscriptionID{Stream: "s", Name: "kept"}
	also := f.acquire(s, other, "a")
	f.acquire(s, onAll("not-mine"), "b")
	f.acquire(s, onAll("prefix"), "aa")
	lost := f.expired(s, "lost", "a")
	taken, err := s.AcquireLease(f.ctx, store.LeaseRequest{ID: lost.ID, Owner: "b", TTL: f.short()})
	require.NoError(f, err)
	for _, name := range []string{"released", "reset", "deleted"} {
		l := f.acquire(s, onAll(name), "a")
		switch name {
		case "released":
			require.NoError(f, s.ReleaseLease(f.ctx, checkpoint(l, 1, 0)))
		case "reset":
			require.NoError(f, s.ResetSubscription(f.ctx, l.ID, 1, 0))
		case "deleted":
			require.NoError(f, s.DeleteSubscription(f.ctx, l.ID))
		}
	}
	list, err := s.RenewLeases(f.ctx, "a", long)
	require.NoError(f, err)
	assert.ElementsMatch(f, []store.Lease{kept, also}, list)
	list, err = s.RenewLeases(f.ctx, "nobody", long)
	require.NoError(f, err)
	assert.Empty(f, list)
	assert.Equal(f, taken.Epoch, f.subscription(s, lost.ID).Epoch)
	f.until("a renewal leaves the leases of others as they are", func() bool { return slices.Contains(f.freeNames(s), "lost") })
	f.isHeld(s, onAll("kept"), "b")
}

func leaseFree(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	assert.Empty(f, f.freeNames(s))
	f.acquire(s, onAll("held"), "a")
	f.expired(s, "expired", "a")
	for _, name := range []string{"released", "reset", "deleted"} {
		f.acquire(s, onAll(name), "a")
	}
	require.NoError(f, s.ReleaseLease(f.ctx, store.CheckpointRequest{ID: onAll("released"), Epoch: f.subscription(s, onAll("released")).Epoch}))
	require.NoError(f, s.ResetSubscription(f.ctx, onAll("reset"), 0, 0))
	require.NoError(f, s.DeleteSubscription(f.ctx, onAll("deleted")))
	assert.Equal(f, []string{"expired", "released", "reset"}, f.freeNames(s))
	f.acquire(s, onAll("released"), "b")
	assert.Equal(f, []string{"expired", "reset"}, f.freeNames(s))
}

func leaseRelease(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	l := f.acquire(s, onAll("a"), "a")
	before := f.subscription(s, l.ID)
	require.NoError(f, s.ReleaseLease(f.ctx, checkpoint(l, 4, 0)))
	got := f.subscription(s, l.ID)
	assert.False(f, got.Held)
	assert.True(f, got.LeaseUntil.IsZero(), "it was given up")
	before.Checkpoint, before.UpdatedAt, before.Held, before.LeaseUntil = 4, got.UpdatedAt, false, time.Time{}
	assert.Equal(f, before, got, "nothing else has changed")
	next := f.acquire(s, l.ID, "b")
	assert.Equal(f, int64(4), next.Checkpoint)
	assert.Greater(f, next.Epoch, l.Epoch)
}

func leaseCancelled(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	l := f.acquire(s, onAll("a"), "a")
	before := f.subscription(s, l.ID)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	calls := map[string]func() error{
		"acquire": func() error {
			_, err := s.AcquireLease(ctx, store.LeaseRequest{ID: l.ID, Owner: "a", TTL: f.short()})
			return err
		},
		"renew":      func() error { _, err := s.RenewLeases(ctx, "a", f.short()); return err },
		"free":       func() error { _, err := s.FreeLeases(ctx); return err },
		"checkpoint": func() error { return s.SaveCheckpoint(ctx, checkpoint(l, 1, 0)) },
		"error":      func() error { return s.SaveError(ctx, l.ID, l.Epoch, "trouble", 0) },
		"release":    func() error { return s.ReleaseLease(ctx, checkpoint(l, 1, 0)) },
		"reset":      func() error { return s.ResetSubscription(ctx, l.ID, 1, 0) },
		"delete":     func() error { return s.DeleteSubscription(ctx, l.ID) },
		"list":       func() error { _, err := s.ListSubscriptions(ctx); return err },
		"versions":   func() error { _, err := s.StreamVersions(ctx, []string{"s"}); return err },
	}
	for name, call := range sorted(calls) {
		assert.ErrorIs(f, call(), ctx.Err(), name)
	}
	assert.Equal(f, before, f.subscription(s, l.ID), "nothing has changed")
}
