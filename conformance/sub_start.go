package conformance

import (
	"math"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subStartCases = []testCase{
	{name: "sub/start-origin", tx: noTx, run: subStartOrigin, why: "a new subscription begins with the first event, unless it is told otherwise"},
	{name: "sub/start-current", tx: noTx, run: subStartCurrent, why: "a subscription can begin with what is new"},
	{name: "sub/start-after", tx: noTx, run: subStartAfter, why: "a subscription can begin behind a number, and not behind one that nothing has yet"},
	{name: "sub/start-once", tx: noTx, run: subStartOnce, why: "a subscription that is there goes on from its checkpoint, wherever it is told to begin"},
	{name: "sub/transient", tx: noTx, run: subTransient, why: "a transient subscription leaves nothing in the database, and begins anew each time"},
	{name: "sub/position-lost", tx: noTx, run: subPositionLost, why: "P9: a subscription whose checkpoint is beyond the end of the store is told so, instead of missing what is appended below"},
	{name: "sub/invalid", tx: noTx, run: subInvalid, why: "a wrong argument is a typed error, not a surprise"},
	{name: "sub/closed-store", tx: noTx, run: subClosedStore, why: "after Close every call says so"},
}

func subStartOrigin(f *fixture) {
	f.fill("s", 3)
	p := f.party()
	f.takes(p.subscribe("s", "a", nil), 1, 2, 3)
	f.takes(p.subscribe("s", "b", &store.SubscribeOptions{Start: store.StartOrigin}), 1, 2, 3)
	f.takes(p.subscribe(store.All, "a", &store.SubscribeOptions{Start: store.StartAfter(0)}), 1, 2, 3)
}

func subStartCurrent(f *fixture) {
	f.fill("s", 3)
	f.fill("t", 2)
	p := f.party()
	opts := &store.SubscribeOptions{Start: store.StartCurrent}
	onStream, onAll := p.subscribe("s", subscription, opts), p.subscribe(store.All, subscription, opts)
	f.saved("s", subscription, 3)
	f.saved(store.All, subscription, 5)
	f.fill("s", 2)
	f.takes(onStream, 4, 5)
	f.takes(onAll, 6, 7)
}

func subStartAfter(f *fixture) {
	f.fill("s", 5)
	p := f.party()
	f.takes(p.subscribe("s", "a", &store.SubscribeOptions{Start: store.StartAfter(3)}), 4, 5)
	f.takes(p.subscribe(store.All, "a", &store.SubscribeOptions{Start: store.StartAfter(4)}), 5)
	end := p.subscribe("s", "end", &store.SubscribeOptions{Start: store.StartAfter(5)})
	f.fill("s", 1)
	f.takes(end, 6)
	for _, stream := range []string{"s", store.All, "absent"} {
		_, err := p.Subscribe(f.ctx, stream, "beyond", &store.SubscribeOptions{Start: store.StartAfter(7)})
		assert.ErrorIs(f, err, store.ErrInvalid, stream)
		assert.Zero(f, f.row(stream, "beyond"), "nothing is left of a failed Subscribe")
	}
}

func subStartOnce(f *fixture) {
	f.fill("s", 5)
	p := f.party()
	r := p.subscribe("s", subscription, nil)
	f.ack(r, f.hold(r, 5)[:2]...)
	require.NoError(f, r.Close())
	for _, start := range []store.Start{store.StartCurrent, store.StartAfter(4), store.StartAfter(100), store.StartOrigin} {
		r := p.subscribe("s", subscription, &store.SubscribeOptions{Start: start})
		assert.Equal(f, span(3, 5), numbers(f.hold(r, 3)))
		require.NoError(f, r.Close())
	}
}

func subTransient(f *fixture) {
	f.fill("s", 3)
	p, other := f.party(), f.party()
	opts := &store.SubscribeOptions{Transient: true}
	for range 2 {
		r := p.subscribe("s", subscription, opts)
		f.takes(r, 1, 2, 3)
		require.NoError(f, r.Close())
	}
	here, there := p.subscribe("s", subscription, opts), other.subscribe("s", subscription, opts)
	f.takes(here, 1, 2, 3)
	f.takes(there, 1, 2, 3)
	assert.Zero(f, f.row("s", subscription))
	persistent := p.subscribe("s", subscription, nil)
	f.takes(persistent, 1, 2, 3)
	require.NoError(f, persistent.Close())
	assert.EqualValues(f, 3, f.row("s", subscription).Checkpoint)
	p.fill("s", 1)
	f.takes(here, 4)
	f.takes(there, 4)
	f.takes(p.subscribe("s", subscription, nil), 4)
}

func subPositionLost(f *fixture) {
	f.fill("s", 3)
	p := f.party()
	require.NoError(f, p.subscribe(store.All, subscription, nil).Close())
	id := store.SubscriptionID{Stream: store.All, Name: subscription}
	require.NoError(f, f.rows().ResetSubscription(f.ctx, id, 10, 0))
	ctx, cancel := f.soon()
	defer cancel()
	_, err := p.Subscribe(ctx, store.All, subscription, &store.SubscribeOptions{WaitForLease: true})
	var lost *store.PositionLostError
	require.ErrorAs(f, err, &lost)
	assert.Equal(f, store.PositionLostError{Stream: store.All, After: 10, Head: 3}, *lost)
	assert.False(f, f.row(store.All, subscription).Held, "the lease is given up")
	assert.EqualValues(f, 10, f.row(store.All, subscription).Checkpoint, "the checkpoint is left as it is")
}

func subInvalid(f *fixture) {
	p := f.party()
	for name, opts := range sorted(map[string]store.SubscribeOptions{
		"buffer-size": {BufferSize: -1}, "max-size": {MaxSize: -1}, "threshold": {CheckpointThreshold: -1}, "limit": {ConcurrencyLimit: -1},
		"buffer-too-large": {BufferSize: store.MaxPageSize + 1}, "max-too-large": {MaxSize: math.MaxInt32 + 1},
		"retry": {RetryInterval: -time.Second}, "timeout": {Timeout: -time.Second}, "start": {Start: store.StartAfter(-1)},
		"type": {Filter: store.EventFilter{Types: []string{"good", ""}}}, "prefix": {Filter: store.EventFilter{StreamPrefix: "\xff"}},
	}) {
		f.sub(name, func(f *fixture) {
			_, err := p.Subscribe(f.ctx, "s", subscription, &opts)
			assert.ErrorIs(f, err, store.ErrInvalid)
		})
	}
	long := string(make([]byte, store.MaxSubscriptionName+1))
	for name, id := range sorted(map[string]store.SubscriptionID{
		"no-name": {Stream: "s"}, "no-stream": {Name: "n"}, "name-too-long": {Stream: "s", Name: long}, "name-not-utf8": {Stream: "s", Name: "\xff"},
	}) {
		f.sub(name, func(f *fixture) {
			_, err := p.Subscribe(f.ctx, id.Stream, id.Name, nil)
			assert.ErrorIs(f, err, store.ErrInvalid, "subscribe")
			assert.ErrorIs(f, p.DeleteSubscription(f.ctx, id.Stream, id.Name), store.ErrInvalid, "delete")
			assert.ErrorIs(f, p.ResetSubscription(f.ctx, id.Stream, id.Name, 0), store.ErrInvalid, "reset")
		})
	}
	f.sub("watch", func(f *fixture) {
		_, err := p.Watch(f.ctx, "", nil)
		assert.ErrorIs(f, err, store.ErrInvalid)
		_, err = p.Watch(f.ctx, "s", &store.WatchOptions{MaxSize: -1})
		assert.ErrorIs(f, err, store.ErrInvalid)
	})
	f.sub("consume", func(f *fixture) {
		assert.ErrorIs(f, p.Consume(f.ctx, "s", subscription, nil, nil), store.ErrInvalid)
		assert.ErrorIs(f, p.Consume(f.ctx, "s", subscription, handled, &store.ConsumeOptions{Handlers: -1}), store.ErrInvalid)
		assert.ErrorIs(f, p.Consume(f.ctx, "s", subscription, handled, &store.ConsumeOptions{MinBackoff: -1}), store.ErrInvalid)
	})
	f.sub("cancelled", func(f *fixture) {
		ctx, cancel := cancelled(f.ctx)
		defer cancel()
		_, err := p.Subscribe(ctx, "s", subscription, nil)
		assert.ErrorIs(f, err, ctx.Err())
	})
	list, err := p.Subscriptions(f.ctx)
	require.NoError(f, err)
	assert.Empty(f, list, "nothing is left of them")
}

func subClosedStore(f *fixture) {
	p := f.party()
	r := p.subscribe("s", subscription, nil)
	require.NoError(f, p.Close())
	ctx, cancel := f.soon()
	defer cancel()
	_, subscribed := p.Subscribe(ctx, "s", subscription, nil)
	_, watched := p.Watch(ctx, "s", nil)
	_, listed := p.Subscriptions(ctx)
	for name, err := range sorted(map[string]error{
		"subscribe": subscribed, "watch": watched, "list": listed, "consume": p.Consume(ctx, "s", subscription, handled, nil),
		"unsubscribe": p.Unsubscribe(ctx, "s", subscription), "delete": p.DeleteSubscription(ctx, "s", subscription),
		"reset": p.ResetSubscription(ctx, "s", subscription, 0), "next": f.fails(r),
	}) {
		f.sub(name, func(f *fixture) { assert.ErrorIs(f, err, store.ErrClosed) })
	}
}
