package conformance

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subLateCases = []testCase{
	{name: "sub/ack-late", tx: noTx, run: subAckLate, why: "acknowledging an earlier delivery of an event never acknowledges the one that is in flight"},
	{name: "sub/consume-created-again", tx: noTx, run: subConsumeCreatedAgain, why: "a handler is not called for ever with an event of a stream that is gone"},
	{name: "sub/close-revived", tx: noTx, run: subCloseRevived, why: "closing the last subscriber ends the subscription, also if another one comes meanwhile, which begins anew"},
	{name: "sub/consume-cancelled", tx: noTx, run: subConsumeCancelled, why: "a loop that is cancelled before it has begun leaves no lease behind"},
}

// resending is a way for events 1 to 5 of a stream to be sent to a subscriber again.
type resending struct {
	again func(f *fixture, p *party, r subscriber, sent []store.Recorded) // of sent[0].Stream
	is    error
}

var resendings = map[string]resending{
	"reset": {func(f *fixture, p *party, r subscriber, sent []store.Recorded) {
		require.NoError(f, p.ResetSubscription(f.ctx, sent[0].Stream, subscription, 0))
		f.lost(r)
	}, store.ErrLeaseLost},
	"lease-lost": {func(f *fixture, _ *party, r subscriber, sent []store.Recorded) {
		usurped := f.usurp(store.SubscriptionID{Stream: sent[0].Stream, Name: subscription})
		f.ousted(r)
		f.lost(r)
		require.NoError(f, f.rows().ReleaseLease(f.ctx, checkpoint(usurped, usurped.Checkpoint, usurped.StreamID)))
	}, store.ErrLeaseLost},
	"created-again": {func(f *fixture, _ *party, _ subscriber, sent []store.Recorded) {
		f.delete(sent[0].Stream, store.HardDelete)
		f.fill(sent[0].Stream, 5)
	}, store.ErrLeaseLost},
	"nacked": {func(f *fixture, _ *party, r subscriber, sent []store.Recorded) {
		require.NoError(f, r.Nack(f.ctx, sent...))
	}, store.ErrUnexpectedAck},
}

func subAckLate(f *fixture) {
	for name, c := range sorted(resendings) {
		f.sub(name, func(f *fixture) {
			f.fill(name, 5)
			p := f.party(leaseOf(shortLease))
			r := p.subscribe(name, subscription, &store.SubscribeOptions{BufferSize: 5, CheckpointThreshold: 1, RetryInterval: time.Millisecond})
			late := f.hold(r, 5)
			duplicate := append([]store.Recorded(nil), late...)
			c.again(f, p, r, late)
			again := f.hold(r, 5)
			require.Equal(f, numbers(late), numbers(again))

			assert.ErrorIs(f, r.Ack(f.ctx, late[4]), c.is)
			assert.ErrorIs(f, r.Ack(f.ctx, duplicate...), c.is, "a copy")
			assert.ErrorIs(f, r.Nack(f.ctx, late[0]), c.is)
			assert.ErrorIs(f, r.Ack(f.ctx, again[0], late[1]), c.is, "one of several")
			f.idle(r, "everything is in flight")
			f.glance()
			f.saved(name, subscription, 0)
			f.ack(r, again[1])
			assert.ErrorIs(f, r.Ack(f.ctx, again[0]), store.ErrUnexpectedAck, "once acknowledged it is not in flight")
			f.saved(name, subscription, 2)
			f.ack(r, again[4])
			f.saved(name, subscription, 5)
			require.NoError(f, p.Close())
		})
	}
	f.sub("another-subscriber", func(f *fixture) {
		f.fill("another", 4)
		p := f.party()
		opts := &store.SubscribeOptions{BufferSize: 2, CheckpointThreshold: 1, ConcurrencyLimit: 2}
		r := p.subscribe("another", subscription, opts)
		late := f.hold(r, 2)
		require.NoError(f, r.Nack(f.ctx, late...))
		other := p.subscribe("another", subscription, opts)
		again := f.hold(other, 2)
		require.Equal(f, numbers(late), numbers(again))
		assert.ErrorIs(f, r.Ack(f.ctx, late...), store.ErrUnexpectedAck)
		assert.ErrorIs(f, other.Ack(f.ctx, late...), store.ErrUnexpectedAck, "it was not sent to this one")
		require.NoError(f, r.Close())
		require.NoError(f, other.Close())
		third := p.subscribe("another", subscription, opts)
		last := f.hold(third, 2)
		assert.ErrorIs(f, third.Ack(f.ctx, late...), store.ErrLeaseLost, "the subscription has begun anew")
		f.glance()
		f.saved("another", subscription, 0)
		f.ack(third, last...)
		f.saved("another", subscription, 2)
	})
	f.sub("callback", func(f *fixture) {
		f.fill("callback", 2)
		p := f.party()
		r := p.subscribe("callback", subscription, &store.SubscribeOptions{
			CheckpointThreshold: 1, RetryInterval: time.Millisecond,
			Selector: func(store.Recorded) bool { panic("no choice") },
		})
		failed := func() store.Recorded {
			var failure *store.CallbackError
			require.ErrorAs(f, f.fails(r), &failure)
			return failure.Event
		}
		late := failed()
		require.NoError(f, r.Nack(f.ctx, late))
		again := failed()
		require.Equal(f, late.Number, again.Number)
		assert.ErrorIs(f, r.Ack(f.ctx, late), store.ErrUnexpectedAck)
		f.ack(r, again)
		f.saved("callback", subscription, 1)
	})
	f.sub("sequence", func(f *fixture) {
		f.fill("sequence", 3)
		p := f.party()
		r := p.subscribe("sequence", subscription, &store.SubscribeOptions{BufferSize: 3, CheckpointThreshold: 1, RetryInterval: time.Millisecond})
		ctx, cancel := f.soon()
		defer cancel()
		var again []store.Recorded
		for _, err := range r.Events(ctx) {
			if err != nil {
				break // all are in flight, so nothing comes
			}
			require.Nil(f, again, "what is in flight comes once")
			require.NoError(f, p.ResetSubscription(f.ctx, "sequence", subscription, 0))
			f.lost(r)
			again = f.hold(r, 3)
			time.AfterFunc(glance, cancel)
		}
		f.saved("sequence", subscription, 0)
		f.ack(r, again...)
		f.saved("sequence", subscription, 3)
	})
}

func subConsumeCreatedAgain(f *fixture) {
	f.fill("s", 1)
	p := f.party()
	var calls atomic.Int64
	var seen seenBy
	end := p.consume(func(_ context.Context, e store.Recorded) error {
		if e.Type == "new" {
			seen.note(e)
			return nil
		}
		calls.Add(1)
		return errCallback
	}, &store.ConsumeOptions{MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond})
	f.eventually("the handler fails", func() bool { return calls.Load() > 1 })
	f.delete("s", store.HardDelete)
	_, err := p.store.Append(f.ctx, "s", store.NoStream, store.Event{Type: "new"}, store.Event{Type: "new"})
	require.NoError(f, err)
	f.eventually("the new stream's events are handled", func() bool { return len(seen.numbers()) == 2 })
	require.ErrorIs(f, end(), context.Canceled)
	f.saved("s", subscription, 2)
}

func subCloseRevived(f *fixture) {
	f.fill("s", 6)
	p := f.party()
	var reading, goOn = make(chan struct{}, 99), make(chan struct{})
	p.tap.guard(func(ctx context.Context, call string) error {
		if call == "ReadStream" {
			reading <- struct{}{}
			select {
			case <-goOn:
			case <-ctx.Done():
			}
		}
		return nil
	})
	opts := &store.SubscribeOptions{CheckpointAfter: store.Forever}
	r := p.subscribe("s", subscription, opts)
	receive(f, reading)
	epoch := f.row("s", subscription).Epoch
	closed := make(chan error, 1)
	go func() { closed <- r.Close() }()
	require.ErrorIs(f, f.fails(r), store.ErrSubscriberClosed, "it is closing")
	second := make(chan subscriber, 1)
	go func() {
		ctx, cancel := f.soon()
		defer cancel()
		if r, err := p.Subscribe(ctx, "s", subscription, opts); assert.NoError(f, err) {
			second <- r
		}
	}()
	f.glance()
	close(goOn)
	require.NoError(f, receive(f, closed))
	r = receive(f, second)
	f.takes(r, 1, 2, 3, 4, 5, 6)
	require.NoError(f, r.Close())
	row := f.row("s", subscription)
	assert.False(f, row.Held)
	assert.Greater(f, row.Epoch, epoch, "each has had the lease")
}

func subConsumeCancelled(f *fixture) {
	p := f.party()
	asking, goOn := make(chan struct{}, 99), make(chan struct{})
	p.tap.guard(func(ctx context.Context, call string) error {
		if call == "AcquireLease" {
			asking <- struct{}{}
			select {
			case <-goOn:
			case <-ctx.Done():
			}
		}
		return nil
	})
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	returned := make(chan error, 1)
	go func() {
		returned <- p.Consume(ctx, "s", subscription, handled, &store.ConsumeOptions{SubscribeOptions: store.SubscribeOptions{WaitForLease: true}})
	}()
	receive(f, asking)
	cancel()
	f.glance()
	assert.Empty(f, returned, "it has returned while the lease is asked for")
	close(goOn)
	require.ErrorIs(f, receive(f, returned), context.Canceled)
	row := f.row("s", subscription)
	assert.NotZero(f, row.Epoch)
	assert.False(f, row.Held)
}
