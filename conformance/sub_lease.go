package conformance

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subLeaseCases = []testCase{
	{name: "sub/one-runs", tx: noTx, run: subOneRuns, why: "only one process runs a subscription; another waits, and says so"},
	{name: "sub/wait-for-lease", tx: noTx, run: subWaitForLease, why: "Subscribe waits for the lease if it is asked to, and not otherwise"},
	{name: "sub/takeover-close", tx: noTx, run: subTakeoverClose, why: "after a clean close another process goes on at once, with what was not acknowledged"},
	{name: "sub/takeover-crash", tx: noTx, run: subTakeoverCrash, why: "after a crash another process goes on within the lease time"},
	{name: "sub/keeps-lease", tx: noTx, run: subKeepsLease, why: "a process that lives keeps its lease"},
	{name: "sub/lease-lost", tx: noTx, run: subLeaseLost, why: "a subscriber whose process lost the lease gets ErrLeaseLost and writes nothing; with the lease back, it goes on from the checkpoint"},
	{name: "sub/lease-lost-competing", tx: noTx, run: subLeaseLostCompeting, why: "every subscriber is told that the lease is lost, and sequences go on by themselves"},
	{name: "sub/own-states", tx: noTx, run: subOwnStates, why: "each subscriber hears of states, first of the one that it finds, until it closes"},
	{name: "sub/states", tx: noTx, run: subStates, why: "OnState reports what a subscription does, in the order in which it happens"},
	{name: "sub/close-store", tx: noTx, run: subCloseStore, why: "closing a Store ends its subscribers, writes their checkpoints and gives up their leases, at once"},
}

func subOneRuns(f *fixture) {
	f.fill("s", 3)
	p, other := f.party(), f.party()
	opts := &store.SubscribeOptions{RetryInterval: 5 * time.Millisecond}
	r := p.live("s", subscription, opts)
	waits := other.subscribe("s", subscription, opts)
	assert.Equal(f, store.Waiting, waits.State().Phase)
	assert.ErrorIs(f, waits.State().Err, store.ErrLeaseHeld)
	f.idle(waits, "the other one runs it")
	f.takes(r, 1, 2, 3)
	elsewhere := other.subscribe("t", subscription, opts)
	f.fill("t", 1)
	f.takes(elsewhere, 1)
}

func subWaitForLease(f *fixture) {
	f.fill("s", 1)
	p, other := f.party(), f.party()
	r := p.subscribe("s", subscription, nil)
	opts := &store.SubscribeOptions{WaitForLease: true, RetryInterval: 5 * time.Millisecond}
	ctx, cancel := timeout(f.ctx, glance)
	defer cancel()
	_, err := other.Subscribe(ctx, "s", subscription, opts)
	require.ErrorIs(f, err, context.DeadlineExceeded)
	got := make(chan error, 1)
	go func() {
		ctx, cancel := f.soon()
		defer cancel()
		late, err := other.Subscribe(ctx, "s", subscription, opts)
		if err == nil && late.State().Phase == store.Waiting {
			err = late.State().Err
		}
		if err == nil {
			_, err = late.Next(ctx)
		}
		got <- err
	}()
	f.idle(&first{r}, "the only event is in flight")
	require.NoError(f, r.Close())
	assert.NoError(f, receive(f, got))
}

// first takes one event, and then waits for another.
type first struct{ subscriber }

func (r *first) Next(ctx context.Context) ([]store.Recorded, error) {
	if _, err := r.subscriber.Next(ctx); err != nil {
		return nil, err
	}
	return r.subscriber.Next(ctx)
}

func subTakeoverClose(f *fixture) {
	f.fill("s", 4)
	long := leaseOf(time.Hour)
	p, other := f.party(long), f.party(long)
	opts := &store.SubscribeOptions{RetryInterval: 5 * time.Millisecond, CheckpointAfter: store.Forever}
	r := p.subscribe("s", subscription, opts)
	waits := other.subscribe("s", subscription, opts)
	f.ack(r, f.hold(r, 4)[1])
	require.NoError(f, r.Close())
	f.takes(waits, 3, 4)
}

func subTakeoverCrash(f *fixture) {
	f.fill("s", 4)
	p, other := f.party(leaseOf(shortLease)), f.party(leaseOf(shortLease))
	opts := &store.SubscribeOptions{RetryInterval: 5 * time.Millisecond, CheckpointThreshold: 1}
	r := p.subscribe("s", subscription, opts)
	f.ack(r, f.hold(r, 4)[0])
	f.saved("s", subscription, 1)
	began := time.Now()
	p.tap.cut()
	f.takes(other.subscribe("s", subscription, opts), 2, 3, 4)
	assert.Less(f, time.Since(began), shortLease+min(f.patient()/4, 5*time.Second))
	assert.Greater(f, f.row("s", subscription).Epoch, int64(1))
}

// subKeepsLease waits for a number of renewals, with another process waiting. A machine that stands still for longer than
// the lease lasts loses it rightly, but not each time.
func subKeepsLease(f *fixture) {
	kept := false
	ttl := min(shortLease, f.patient()/3)
	for n := int64(1); n <= 5 && !kept; n++ {
		p, other := f.party(leaseOf(ttl)), f.party(leaseOf(ttl))
		opts := &store.SubscribeOptions{RetryInterval: 5 * time.Millisecond, Start: store.StartCurrent}
		name := fmt.Sprintf("%s-%d", subscription, n)
		r := p.live("s", name, opts)
		epoch := f.row("s", name).Epoch
		waits := other.subscribe("s", name, opts)
		f.eventually("the lease is renewed, or lost", func() bool {
			return p.tap.count("RenewLeases") >= 5 || f.row("s", name).Epoch != epoch
		})
		phase := waits.State().Phase
		if f.row("s", name).Epoch == epoch {
			kept = true
			assert.Equal(f, store.Waiting, phase)
			f.fill("s", 1)
			f.takes(r, 1)
		}
		require.NoError(f, other.Close())
		require.NoError(f, p.Close())
	}
	assert.True(f, kept, "the lease is the same")
}

func subLeaseLost(f *fixture) {
	f.fill("s", 6)
	p := f.party(leaseOf(shortLease))
	id := store.SubscriptionID{Stream: "s", Name: subscription}
	r := p.subscribe("s", subscription, &store.SubscribeOptions{CheckpointThreshold: 1, RetryInterval: 5 * time.Millisecond})
	got := f.hold(r, 6)
	f.ack(r, got[1])
	f.saved("s", subscription, 2)
	usurped := f.usurp(id)
	f.ousted(r)
	assert.ErrorIs(f, f.fails(r), store.ErrLeaseLost)
	assert.ErrorIs(f, r.Ack(f.ctx, got[5]), store.ErrLeaseLost, "a late acknowledgement")
	assert.ErrorIs(f, r.Nack(f.ctx, got[5]), store.ErrLeaseLost)
	assert.ErrorIs(f, r.AckNumber(f.ctx, 99), store.ErrUnexpectedAck, "it never was in flight")
	f.phase(r, store.Waiting)
	f.idle(r, "the other owner has the lease")
	assert.EqualValues(f, 2, f.row("s", subscription).Checkpoint)
	require.NoError(f, f.rows().ReleaseLease(f.ctx, store.CheckpointRequest{ID: id, Epoch: usurped.Epoch, Checkpoint: 4, StreamID: usurped.StreamID}))
	f.takes(r, 5, 6)
	f.saved("s", subscription, 6)
	require.NoError(f, r.Close())
}

func subLeaseLostCompeting(f *fixture) {
	f.fill("s", 6)
	p := f.party(leaseOf(shortLease))
	id := store.SubscriptionID{Stream: "s", Name: subscription}
	list := p.crowd(3, store.SubscribeOptions{BufferSize: 1, RetryInterval: 5 * time.Millisecond})
	for _, r := range list[:2] {
		f.hold(r, 1)
	}
	ctx, cancel := f.soon()
	defer cancel()
	var mu sync.Mutex
	var looped []int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for e, err := range list[2].Events(ctx) {
			if err != nil {
				return
			}
			mu.Lock()
			looped = append(looped, e.Number)
			mu.Unlock()
		}
	})
	f.eventually("the third has had the rest", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(looped, 6)
	})
	usurped := f.usurp(id)
	for _, r := range list[:2] {
		assert.ErrorIs(f, f.fails(r), store.ErrLeaseLost)
	}
	require.NoError(f, f.rows().ReleaseLease(f.ctx, store.CheckpointRequest{ID: id, Epoch: usurped.Epoch, Checkpoint: 5, StreamID: usurped.StreamID}))
	f.fill("s", 20)
	for _, r := range list[:2] {
		require.NoError(f, r.Close())
	}
	f.eventually("the sequence goes on", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(looped, 26)
	})
	cancel()
	wg.Wait()
}

// stateLog notes the states of a subscription.
type stateLog struct {
	mu   sync.Mutex
	list []store.SubscriptionState
}

func (s *stateLog) note(state store.SubscriptionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, state)
}

func (s *stateLog) phases() []store.Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]store.Phase, len(s.list))
	for i, state := range s.list {
		list[i] = state.Phase
	}
	return list
}

func subStates(f *fixture) {
	f.fill("s", 3)
	p, other := f.party(), f.party()
	var here, there stateLog
	r := p.live("s", subscription, &store.SubscribeOptions{OnState: here.note})
	waits := other.subscribe("s", subscription, &store.SubscribeOptions{OnState: there.note, RetryInterval: 5 * time.Millisecond})
	require.NoError(f, r.Close())
	f.takes(waits, 1, 2, 3)
	f.phase(waits, store.Live)
	require.NoError(f, other.Unsubscribe(f.ctx, "s", subscription))
	assert.Equal(f, []store.Phase{store.CatchingUp, store.Live, store.Stopped}, here.phases())
	assert.Equal(f, []store.Phase{store.Waiting, store.CatchingUp, store.Live, store.Stopped}, there.phases())
	assert.ErrorIs(f, there.list[0].Err, store.ErrLeaseHeld)
	assert.NoError(f, there.list[1].Err)
	assert.ErrorIs(f, there.list[3].Err, store.ErrSubscriberClosed)
	for phase, text := range map[store.Phase]string{store.Waiting: "waiting", store.CatchingUp: "catching up", store.Live: "live", store.Stopped: "stopped"} {
		assert.Equal(f, text, phase.String())
	}
}

func subCloseStore(f *fixture) {
	f.fill("s", 4)
	p, other := f.party(leaseOf(time.Hour)), f.party()
	opts := &store.SubscribeOptions{CheckpointAfter: store.Forever, ConcurrencyLimit: 2}
	list := []subscriber{p.subscribe("s", "a", opts), p.subscribe("s", "a", opts), p.subscribe(store.All, "b", opts)}
	w := p.watch("s", nil)
	waits := p.subscribe("t", "c", opts)
	f.ack(list[0], f.hold(list[0], 4)[2])
	f.take(list[2], 4)
	ended := make(chan error, 1)
	go func() {
		_, err := waits.Next(f.ctx)
		ended <- err
	}()
	require.NoError(f, p.Close())
	calls := p.tap.total()
	assert.ErrorIs(f, receive(f, ended), store.ErrClosed)
	for _, r := range append(list, waits) {
		assert.ErrorIs(f, f.fails(r), store.ErrClosed)
		assert.NoError(f, r.Close())
	}
	assert.ErrorIs(f, f.fails(w), store.ErrClosed)
	for name, checkpoint := range map[string]int64{"a": 3, "b": 4} {
		stream := map[string]string{"a": "s", "b": store.All}[name]
		assert.EqualValues(f, checkpoint, f.row(stream, name).Checkpoint)
		assert.False(f, f.row(stream, name).Held)
	}
	f.takes(other.subscribe("s", "a", opts), 4)
	assert.Equal(f, calls, p.tap.total(), "nothing is running any more")
}

func subOwnStates(f *fixture) {
	f.fill("s", 2)
	p := f.party()
	var first, second, third stateLog
	opts := func(l *stateLog) *store.SubscribeOptions {
		return &store.SubscribeOptions{ConcurrencyLimit: 3, OnState: l.note}
	}
	stays := p.live("s", subscription, opts(&first))
	leaves := p.subscribe("s", subscription, opts(&second))
	f.eventually("the second subscriber hears of the state", func() bool { return len(second.phases()) == 1 })
	require.NoError(f, leaves.Close())
	p.subscribe("s", subscription, opts(&third))
	f.eventually("the third subscriber hears of the state", func() bool { return len(third.phases()) == 1 })
	require.NoError(f, p.Unsubscribe(f.ctx, "s", subscription))
	f.phase(stays, store.Stopped)
	assert.Equal(f, []store.Phase{store.CatchingUp, store.Live, store.Stopped}, first.phases())
	assert.Equal(f, []store.Phase{store.Live}, second.phases())
	assert.Equal(f, []store.Phase{store.Live, store.Stopped}, third.phases())
}
