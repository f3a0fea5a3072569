package conformance

import (
	"context"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subManageCases = []testCase{
	{name: "sub/unsubscribe", tx: noTx, run: subUnsubscribe, why: "a subscription can be ended from anywhere in its process; its checkpoint stays"},
	{name: "sub/delete", tx: noTx, run: subDelete, why: "a deleted subscription ends, says so, and begins anew when it is subscribed to again"},
	{name: "sub/delete-elsewhere", tx: noTx, run: subDeleteElsewhere, why: "a subscription that is deleted ends on whatever process runs it, and leaves no row behind"},
	{name: "sub/reset", tx: noTx, run: subReset, why: "a subscription can be sent back or forward while it runs"},
	{name: "sub/reset-elsewhere", tx: noTx, run: subResetElsewhere, why: "a reset reaches whatever process runs the subscription"},
	{name: "sub/list", tx: noTx, run: subList, why: "a list shows how far each subscription is, which process runs it, and its last error"},
}

func subUnsubscribe(f *fixture) {
	f.fill("s", 4)
	p := f.party()
	opts := store.SubscribeOptions{CheckpointAfter: store.Forever}
	list := p.crowd(2, opts)
	f.ack(list[0], f.hold(list[0], 4)[1])
	ended := make(chan error, 1)
	go func() {
		_, err := list[1].Next(f.ctx)
		ended <- err
	}()
	require.NoError(f, p.Unsubscribe(f.ctx, "s", subscription))
	assert.ErrorIs(f, receive(f, ended), store.ErrSubscriberClosed)
	assert.ErrorIs(f, f.fails(list[0]), store.ErrSubscriberClosed)
	row := f.row("s", subscription)
	assert.EqualValues(f, 2, row.Checkpoint)
	assert.False(f, row.Held)
	require.NoError(f, p.Unsubscribe(f.ctx, "s", subscription), "nothing runs")
	require.NoError(f, p.Unsubscribe(f.ctx, "absent", subscription), "nothing is there")
	f.takes(p.subscribe("s", subscription, nil), 3, 4)
}

func subDelete(f *fixture) {
	f.fill("s", 3)
	p := f.party()
	r := p.subscribe("s", subscription, nil)
	other := p.subscribe("s", "other", nil)
	f.take(r, 3)
	require.NoError(f, p.DeleteSubscription(f.ctx, "s", subscription))
	err := f.gone(r)
	var typed *store.SubscriptionError
	require.ErrorAs(f, err, &typed)
	assert.Equal(f, store.SubscriptionID{Stream: "s", Name: subscription}, typed.SubscriptionID)
	assert.Zero(f, f.row("s", subscription))
	f.takes(p.subscribe("s", subscription, &store.SubscribeOptions{Start: store.StartAfter(1)}), 2, 3)
	f.takes(other, 1, 2, 3)
	assert.ErrorIs(f, p.DeleteSubscription(f.ctx, "s", "absent"), store.ErrSubscriptionNotFound)
}

// gone waits until a subscriber has ended because its subscription was deleted, and returns the error.
func (f *fixture) gone(r subscriber) error {
	f.Helper()
	f.phase(r, store.Stopped)
	assert.ErrorIs(f, r.State().Err, store.ErrSubscriptionNotFound)
	ctx, cancel := f.soon()
	defer cancel()
	for {
		_, err := r.Next(ctx)
		if err == nil {
			continue
		}
		require.NoError(f, ctx.Err())
		if _, again := r.Next(ctx); again.Error() == err.Error() { // the last word
			assert.ErrorIs(f, err, store.ErrSubscriptionNotFound)
			return err
		}
	}
}

func subDeleteElsewhere(f *fixture) {
	f.fill("s", 3)
	p, other := f.party(leaseOf(shortLease)), f.party()
	idle := p.live("s", "idle", nil)
	busy := p.live("s", "busy", &store.SubscribeOptions{CheckpointThreshold: 1, RetryInterval: time.Millisecond})
	got := f.hold(busy, 3)
	for _, name := range []string{"idle", "busy"} {
		require.NoError(f, other.DeleteSubscription(f.ctx, "s", name))
	}
	_ = busy.Ack(f.ctx, got...) // it may not know yet
	assert.Error(f, f.gone(busy))
	assert.Error(f, f.gone(idle))
	assert.Zero(f, f.row("s", "busy"))
	assert.Zero(f, f.row("s", "idle"))
	f.takes(other.subscribe("s", "busy", nil), 1, 2, 3)
}

// lost takes what comes until the subscriber is told that the lease was lost.
func (f *fixture) lost(r subscriber) {
	f.Helper()
	assert.ErrorIs(f, f.fails(r), store.ErrLeaseLost)
}

func subReset(f *fixture) {
	f.fill("s", 6)
	p := f.party()
	r := p.subscribe("s", subscription, &store.SubscribeOptions{RetryInterval: time.Millisecond, CheckpointThreshold: 1})
	got := f.hold(r, 6)
	f.ack(r, got[4])
	f.saved("s", subscription, 5)

	require.NoError(f, p.ResetSubscription(f.ctx, "s", subscription, 2))
	assert.ErrorIs(f, r.Ack(f.ctx, got[5]), store.ErrLeaseLost, "what is in flight is void")
	f.lost(r)
	f.takes(r, 3, 4, 5, 6)
	f.saved("s", subscription, 6)

	require.NoError(f, p.ResetSubscription(f.ctx, "s", subscription, 0))
	f.lost(r)
	f.hold(r, 6)
	require.NoError(f, p.ResetSubscription(f.ctx, "s", subscription, 5))
	f.lost(r)
	f.takes(r, 6)
	require.NoError(f, r.Close())
	f.saved("s", subscription, 6)

	require.NoError(f, p.ResetSubscription(f.ctx, "s", subscription, 4), "while nobody runs it")
	f.takes(p.subscribe("s", subscription, nil), 5, 6)

	assert.ErrorIs(f, p.ResetSubscription(f.ctx, "s", subscription, 7), store.ErrInvalid)
	assert.ErrorIs(f, p.ResetSubscription(f.ctx, "s", subscription, -1), store.ErrInvalid)
	assert.ErrorIs(f, p.ResetSubscription(f.ctx, "s", "absent", 1), store.ErrSubscriptionNotFound)
}

func subResetElsewhere(f *fixture) {
	f.fill("s", 4)
	p, other := f.party(leaseOf(shortLease)), f.party()
	opts := &store.SubscribeOptions{RetryInterval: time.Millisecond, CheckpointThreshold: 1}
	for _, stream := range []string{"s", store.All} {
		r := p.subscribe(stream, subscription, opts)
		f.takes(r, 1, 2, 3, 4)
		f.saved(stream, subscription, 4)
		require.NoError(f, other.ResetSubscription(f.ctx, stream, subscription, 1))
		f.lost(r)
		f.takes(r, 2, 3, 4)
		require.NoError(f, r.Close())
	}
}

func subList(f *fixture) {
	f.fill("s", 5)
	f.fill("other", 2)
	p, other := f.party(), f.party()
	list, err := p.Subscriptions(f.ctx)
	require.NoError(f, err)
	assert.Empty(f, list)

	onStream := p.subscribe("s", "b", &store.SubscribeOptions{CheckpointThreshold: 1})
	onAll := other.subscribe(store.All, "a", &store.SubscribeOptions{CheckpointThreshold: 1})
	f.ack(onStream, f.hold(onStream, 5)[1])
	f.ack(onAll, f.hold(onAll, 7)[2])
	closed := p.subscribe("s", "a", nil)
	require.NoError(f, closed.Close())
	absent := p.subscribe("absent", "z", nil)
	f.saved("s", "b", 2)
	f.saved(store.All, "a", 3)

	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	consumed := make(chan error, 1)
	go func() {
		consumed <- p.Consume(ctx, "s", "failing", func(context.Context, store.Recorded) error { return errCallback },
			&store.ConsumeOptions{MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	}()
	f.eventually("the error is noted", func() bool { return f.row("s", "failing").LastError != "" })

	list, err = other.Subscriptions(f.ctx)
	require.NoError(f, err)
	require.Len(f, list, 5)
	for i, want := range []struct {
		stream, name          string
		checkpoint, head, lag int64
		held                  bool
		lastError             string
	}{
		{store.All, "a", 3, 7, 4, true, ""},
		{"absent", "z", 0, 0, 0, true, ""},
		{"s", "a", 0, 5, 5, false, ""},
		{"s", "b", 2, 5, 3, true, ""},
		{"s", "failing", 0, 5, 5, true, errCallback.Error()},
	} {
		got := list[i]
		assert.Equal(f, store.SubscriptionID{Stream: want.stream, Name: want.name}, got.SubscriptionID)
		assert.Equal(f, []int64{want.checkpoint, want.head, want.lag}, []int64{got.Checkpoint, got.Head, got.Lag()}, "%v", got.SubscriptionID)
		assert.Equal(f, want.held, got.Held, "%v", got.SubscriptionID)
		assert.Equal(f, want.held, !got.LeaseUntil.IsZero(), "%v", got.SubscriptionID)
		assert.Equal(f, want.lastError, got.LastError, "%v", got.SubscriptionID)
		assert.NotEmpty(f, got.Owner)
		assert.Positive(f, got.Epoch)
		assert.False(f, got.CreatedAt.IsZero())
	}
	assert.Equal(f, list[1].Owner, list[3].Owner, "one process")
	assert.NotEqual(f, list[0].Owner, list[3].Owner, "two processes")
	cancel()
	assert.ErrorIs(f, receive(f, consumed), context.Canceled)
	require.NoError(f, absent.Close())
}
