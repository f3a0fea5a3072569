package conformance

import (
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subAckCases = []testCase{
	{name: "sub/ack", tx: noTx, run: subAck, why: "an acknowledgement covers what was sent to this subscriber before, by event, events or number"},
	{name: "sub/ack-unknown", tx: noTx, run: subAckUnknown, why: "a number that is not in flight at this subscriber is a typed error and changes nothing"},
	{name: "sub/ack-order-sent", tx: noTx, run: subAckOrderSent, why: "an acknowledgement covers the events that were sent before, not those with lower numbers"},
	{name: "sub/ack-out-of-order", tx: noTx, run: subAckOutOfOrder, why: "the checkpoint waits for the lowest event in flight, at whichever subscriber it is"},
	{name: "sub/nack", tx: noTx, run: subNack, why: "an event that is given back comes again, first and in order"},
	{name: "sub/close-flushes", tx: noTx, run: subCloseFlushes, why: "after a clean close, acknowledged events do not come again, and all others do"},
	{name: "sub/crash", tx: noTx, run: subCrash, why: "after a crash everything behind the last checkpoint comes again, and nothing before it"},
	{name: "sub/checkpoint-write-fails", tx: noTx, run: subCheckpointWriteFails, why: "a checkpoint that could not be written is written later, and never goes back"},
	{name: "sub/late-write", tx: noTx, run: subLateWrite, why: "a checkpoint of an earlier owner that arrives late changes nothing"},
	{name: "sub/events", tx: noTx, run: subEvents, why: "the sequence acknowledges an event when the next is asked for, and yields its error once, last"},
}

func subAck(f *fixture) {
	f.fill("s", 12)
	p := f.party()
	r := p.subscribe("s", subscription, &store.SubscribeOptions{BufferSize: 12, CheckpointThreshold: 1})
	got := f.hold(r, 12)
	f.ack(r, got[0])
	f.saved("s", subscription, 1)
	f.ack(r, got[3])
	f.saved("s", subscription, 4)
	f.ack(r, got[6], got[4], got[5])
	f.saved("s", subscription, 7)
	require.NoError(f, r.AckNumber(f.ctx, 9))
	f.saved("s", subscription, 9)
	require.NoError(f, r.AckNumber(f.ctx, 11, 10))
	f.saved("s", subscription, 11)
	f.ack(r, got[11])
	f.saved("s", subscription, 12)
}

func subAckUnknown(f *fixture) {
	f.fill("s", 6)
	p := f.party()
	opts := &store.SubscribeOptions{BufferSize: 2, ConcurrencyLimit: 2, CheckpointThreshold: 1}
	r, other := p.subscribe("s", subscription, opts), p.subscribe("s", subscription, opts)
	mine, others := f.hold(r, 2), f.hold(other, 2)
	f.ack(r, mine[0])
	f.saved("s", subscription, 1)
	for name, number := range sorted(map[string]int64{"zero": 0, "negative": -1, "acknowledged": 1, "others": others[0].Number, "never-sent": 6, "beyond": 99}) {
		f.sub(name, func(f *fixture) {
			var unexpected *store.UnexpectedAckError
			err := r.AckNumber(f.ctx, number)
			require.ErrorIs(f, err, store.ErrUnexpectedAck)
			require.ErrorAs(f, err, &unexpected)
			want := store.UnexpectedAckError{SubscriptionID: store.SubscriptionID{Stream: "s", Name: subscription}, Number: number}
			assert.Equal(f, want, *unexpected)
			assert.ErrorIs(f, r.Ack(f.ctx, mine[1], store.Recorded{Number: number}), store.ErrUnexpectedAck, "one of several")
			assert.ErrorIs(f, r.Nack(f.ctx, store.Recorded{Number: number}), store.ErrUnexpectedAck, "nack")
		})
	}
	f.sub("none", func(f *fixture) {
		assert.ErrorIs(f, r.Ack(f.ctx), store.ErrInvalid)
		assert.ErrorIs(f, r.AckNumber(f.ctx), store.ErrInvalid)
		assert.ErrorIs(f, r.Nack(f.ctx), store.ErrInvalid)
	})
	f.sub("harmless", func(f *fixture) {
		f.glance()
		f.saved("s", subscription, 1)
		f.ack(r, mine[1])
		f.ack(other, others...)
		f.saved("s", subscription, 4)
		f.takes(r, 5, 6)
	})
}

func subAckOrderSent(f *fixture) {
	f.fill("s", 4)
	p := f.party()
	r := p.subscribe("s", subscription, &store.SubscribeOptions{BufferSize: 3, CheckpointThreshold: 1})
	got := f.hold(r, 3)
	require.NoError(f, r.Nack(f.ctx, got[0]))
	again := f.hold(r, 1)
	assert.Equal(f, int64(1), again[0].Number, "sent behind 2 and 3")
	f.ack(r, got[2])
	f.glance()
	f.saved("s", subscription, 0)
	f.ack(r, again[0])
	f.saved("s", subscription, 3)
	f.takes(r, 4)
}

func subAckOutOfOrder(f *fixture) {
	f.fill("s", 6)
	p := f.party()
	opts := &store.SubscribeOptions{BufferSize: 1, ConcurrencyLimit: 3, CheckpointThreshold: 1}
	var list []subscriber
	var sent []store.Recorded
	for range 3 {
		r := p.subscribe("s", subscription, opts)
		list, sent = append(list, r), append(sent, f.hold(r, 1)...)
	}
	require.Equal(f, span(1, 3), numbers(sent))
	f.ack(list[2], sent[2])
	f.ack(list[1], sent[1])
	f.takes(list[2], 4)
	f.takes(list[1], 5)
	f.glance()
	f.saved("s", subscription, 0)
	f.ack(list[0], sent[0])
	f.saved("s", subscription, 5)
}

func subNack(f *fixture) {
	f.fill("s", 6)
	p := f.party()
	opts := &store.SubscribeOptions{BufferSize: 4, CheckpointThreshold: 1, ConcurrencyLimit: 2}
	r := p.subscribe("s", subscription, opts)
	got := f.hold(r, 4)
	require.NoError(f, r.Nack(f.ctx, got[2], got[0], got[1]))
	assert.ErrorIs(f, r.Nack(f.ctx, got[1]), store.ErrUnexpectedAck, "it is not in flight any more")
	assert.ErrorIs(f, r.Ack(f.ctx, got[1]), store.ErrUnexpectedAck, "it is not in flight any more")
	again := f.hold(r, 3)
	assert.Equal(f, []int64{1, 2, 3}, numbers(again), "before 5")
	require.NoError(f, r.Nack(f.ctx, again[1]))
	other := p.subscribe("s", subscription, opts)
	back := f.next(other)
	assert.EqualValues(f, 2, back[0].Number, "whoever asks first")
	f.ack(other, back...)
	f.ack(r, again[2])
	f.eventually("all are acknowledged", func() bool {
		f.ackAll(r)
		f.ackAll(other)
		return f.row("s", subscription).Checkpoint == 6
	})
}

// ackAll acknowledges what there is for a subscriber.
func (f *fixture) ackAll(r subscriber) {
	f.Helper()
	ctx, cancel := timeout(f.ctx, 5*time.Millisecond)
	defer cancel()
	if events, err := r.Next(ctx); err == nil {
		f.ack(r, events...)
	}
}

func subCloseFlushes(f *fixture) {
	f.fill("s", 6)
	p, other := f.party(), f.party()
	opts := &store.SubscribeOptions{CheckpointAfter: store.Forever, WaitForLease: true}
	r := p.subscribe("s", subscription, opts)
	f.ack(r, f.hold(r, 6)[:4]...)
	require.NoError(f, r.Close())
	row := f.row("s", subscription)
	assert.EqualValues(f, 4, row.Checkpoint, "written before Close returns")
	assert.False(f, row.Held, "given up before Close returns")
	require.NoError(f, r.Close(), "closing again")
	assert.ErrorIs(f, f.fails(r), store.ErrSubscriberClosed)
	assert.ErrorIs(f, r.AckNumber(f.ctx, 5), store.ErrSubscriberClosed)
	again := other.subscribe("s", subscription, opts)
	f.takes(again, 5, 6)
	require.NoError(f, other.Close())
	f.saved("s", subscription, 6)

	third := f.party()
	r = third.subscribe("s", "unwritten", opts)
	f.take(r, 6)
	third.tap.cut()
	assert.ErrorIs(f, r.Close(), errCut, "what was acknowledged may come again")
}

func subCrash(f *fixture) {
	f.fill("s", 6)
	p, other := f.party(leaseOf(shortLease)), f.party(leaseOf(shortLease))
	opts := &store.SubscribeOptions{CheckpointThreshold: 2, CheckpointAfter: store.Forever, RetryInterval: 20 * time.Millisecond}
	r := p.subscribe("s", subscription, opts)
	got := f.hold(r, 6)
	f.ack(r, got[:3]...)
	f.saved("s", subscription, 3)
	f.ack(r, got[3]) // below the threshold: it is not written
	p.tap.cut()
	f.takes(other.subscribe("s", subscription, opts), 4, 5, 6)
	assert.ErrorIs(f, r.Ack(f.ctx, got[5]), store.ErrLeaseLost, "the crashed one knows by its clock")
}

func subCheckpointWriteFails(f *fixture) {
	f.fill("s", 20)
	p := f.party()
	r := p.live("s", subscription, &store.SubscribeOptions{CheckpointThreshold: 1, RetryInterval: time.Millisecond})
	got := f.hold(r, 20)
	f.ack(r, got[0])
	f.saved("s", subscription, 1)
	p.tap.cut("SaveCheckpoint")
	f.ack(r, got[1])
	f.eventually("writing is tried again", func() bool { return p.tap.count("SaveCheckpoint") > 4 })
	f.eventually("the state says so", func() bool { return r.State().Phase == store.Waiting })
	assert.ErrorIs(f, r.State().Err, errCut)
	f.ack(r, got[2:5]...)
	p.tap.guard(nil)
	f.saved("s", subscription, 5)
	f.phase(r, store.Live)
	high := int64(0)
	for _, e := range got[5:] {
		f.ack(r, e)
		now := f.row("s", subscription).Checkpoint
		require.GreaterOrEqual(f, now, high)
		high = now
	}
	f.saved("s", subscription, 20)
}

// subLateWrite delays a checkpoint until the lease has been lost, taken by another and got back.
func subLateWrite(f *fixture) {
	f.fill("s", 5)
	p := f.party(leaseOf(shortLease))
	id := store.SubscriptionID{Stream: "s", Name: subscription}
	r := p.subscribe("s", subscription, &store.SubscribeOptions{CheckpointThreshold: 1, RetryInterval: 10 * time.Millisecond})
	got := f.hold(r, 5)
	f.ack(r, got[0])
	f.saved("s", subscription, 1)
	usurped := f.usurp(id)
	err := r.Ack(f.ctx, got[4])
	if err != nil {
		require.ErrorIs(f, err, store.ErrLeaseLost)
	}
	f.ousted(r)
	assert.ErrorIs(f, f.fails(r), store.ErrLeaseLost)
	f.saved("s", subscription, 1)
	require.NoError(f, f.rows().ReleaseLease(f.ctx, store.CheckpointRequest{ID: id, Epoch: usurped.Epoch, Checkpoint: 3, StreamID: usurped.StreamID}))
	f.takes(r, 4, 5)
	f.saved("s", subscription, 5)
}

func subEvents(f *fixture) {
	f.fill("s", 5)
	p := f.party()
	r := p.subscribe("s", subscription, &store.SubscribeOptions{CheckpointThreshold: 1})
	var got []int64
	ctx, cancel := f.soon()
	defer cancel()
	for e, err := range r.Events(ctx) {
		require.NoError(f, err)
		got = append(got, e.Number)
		if e.Number == 2 {
			break
		}
	}
	f.saved("s", subscription, 1)
	assert.Panics(f, func() {
		for e, err := range r.Events(ctx) {
			require.NoError(f, err)
			got = append(got, e.Number)
			if e.Number == 3 {
				panic("the loop's body")
			}
		}
	})
	errs := 0
	for e, err := range r.Events(ctx) {
		if err != nil {
			errs++
			require.ErrorIs(f, err, ctx.Err())
			require.Zero(f, e)
			continue
		}
		require.Zero(f, errs, "an event after the error")
		got = append(got, e.Number)
		if e.Number == 5 {
			cancel()
		}
	}
	assert.Equal(f, 1, errs)
	assert.Equal(f, []int64{1, 2, 2, 3, 3, 4, 5}, got)
	f.saved("s", subscription, 5)
	require.NoError(f, r.Close())
	ctx, cancel = f.soon()
	defer cancel()
	for _, err := range r.Events(ctx) {
		assert.ErrorIs(f, err, store.ErrSubscriberClosed)
		errs++
	}
	assert.Equal(f, 2, errs, "one error of a closed subscriber")
}
