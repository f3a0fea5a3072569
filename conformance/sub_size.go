package conformance

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subSizeCases = []testCase{
	{name: "sub/buffer-size", tx: noTx, run: subBufferSize, why: "a subscriber never has more in flight than it can take"},
	{name: "sub/max-size", tx: noTx, run: subMaxSize, why: "memory is bounded: no more is read ahead than MaxSize allows"},
	{name: "sub/checkpoint-threshold", tx: noTx, run: subCheckpointThreshold, why: "no more events come again after a crash than the threshold says, and no more checkpoints are written"},
	{name: "sub/checkpoint-after", tx: noTx, run: subCheckpointAfter, why: "an acknowledged event does not wait for ever for its checkpoint"},
	{name: "sub/checkpoint-in-catch-up", tx: noTx, run: subCheckpointInCatchUp, why: "a checkpoint that falls due while the subscription catches up skips nothing"},
	{name: "sub/contradiction", tx: noTx, run: subContradiction, why: "options that a subscription does not run with are refused, not ignored"},
	{name: "sub/concurrency-limit", tx: noTx, run: subConcurrencyLimit, why: "a subscription has one subscriber at a time, unless more are asked for"},
	{name: "sub/timeout", tx: noTx, run: subTimeout, why: "a call of the database that hangs does not hang the subscription for ever"},
}

func subBufferSize(f *fixture) {
	f.fill("s", 250)
	p := f.party()
	for _, size := range []int{1, 3, 100} {
		f.sub(fmt.Sprint(size), func(f *fixture) {
			r := p.subscribe("s", fmt.Sprint(subscription, size), &store.SubscribeOptions{BufferSize: size})
			var got, open []store.Recorded
			for round := 0; len(got) < 250; round++ {
				batch := f.next(r)
				got, open = append(got, batch...), append(open, batch...)
				require.LessOrEqual(f, len(open), size)
				if len(open) < size && len(got) < 250 {
					continue
				}
				if round == 0 || len(got) == size {
					f.idle(r, "the buffer is full")
				}
				free := min(1+round%3, len(open))
				f.ack(r, open[:free]...)
				open = open[free:]
			}
			same(f, span(1, 250), numbers(got), "events")
		})
	}
}

func subMaxSize(f *fixture) {
	f.fill("s", 40)
	p := f.party()
	for _, size := range []int64{1, 3} {
		f.sub(fmt.Sprint(size), func(f *fixture) {
			name := fmt.Sprint(subscription, size)
			before := int64(p.tap.events("ReadStream"))
			var sent, most atomic.Int64
			p.tap.observe(func(call string, _ store.ReadRequest, _ int) {
				if call == "ReadStream" {
					ahead := int64(p.tap.events("ReadStream")) - before - sent.Load()
					most.Store(max(most.Load(), ahead))
				}
			})
			r := p.subscribe("s", name, &store.SubscribeOptions{MaxSize: int(size), BufferSize: 1})
			var got []store.Recorded
			for len(got) < 40 {
				sent.Add(1) // before Next makes room
				got = append(got, f.take(r, 1)...)
			}
			same(f, span(1, 40), numbers(got), "events")
			assert.LessOrEqual(f, most.Load(), size+1, "read ahead, with the event that a page begins with to show that it follows")
			require.NoError(f, r.Close())
			p.tap.observe(nil)
		})
	}
}

func subCheckpointThreshold(f *fixture) {
	f.fill("s", 7)
	p := f.party()
	r := p.subscribe("s", subscription, &store.SubscribeOptions{CheckpointThreshold: 3, CheckpointAfter: store.Forever})
	got := f.hold(r, 7)
	f.ack(r, got[0])
	f.ack(r, got[1])
	f.glance()
	f.saved("s", subscription, 0)
	f.ack(r, got[2])
	f.saved("s", subscription, 3)
	f.ack(r, got[6])
	f.saved("s", subscription, 7)
	assert.Equal(f, 2, p.tap.count("SaveCheckpoint"), "writes")

	every := p.subscribe("s", "every", &store.SubscribeOptions{CheckpointThreshold: 1, CheckpointAfter: store.Forever})
	for i, e := range f.hold(every, 7) {
		f.ack(every, e)
		f.saved("s", "every", int64(i+1))
	}
}

func subCheckpointAfter(f *fixture) {
	f.fill("s", 5)
	p := f.party()
	soon := p.subscribe("s", "soon", &store.SubscribeOptions{CheckpointThreshold: 1000, CheckpointAfter: 10 * time.Millisecond})
	got := f.hold(soon, 5)
	f.ack(soon, got[:2]...)
	f.saved("s", "soon", 2)
	f.ack(soon, got[2:]...)
	f.saved("s", "soon", 5)

	never := p.subscribe("s", "never", &store.SubscribeOptions{CheckpointThreshold: 1000, CheckpointAfter: store.Forever})
	f.take(never, 5)
	f.glance()
	f.saved("s", "never", 0)
	require.NoError(f, never.Close())
	f.saved("s", "never", 5)
}

// subCheckpointInCatchUp keeps the queue full and lets checkpoints fall due all the time, while more is appended.
func subCheckpointInCatchUp(f *fixture) {
	f.fill("s", 20)
	p := f.party()
	opts := &store.SubscribeOptions{MaxSize: 5, BufferSize: 2, CheckpointAfter: time.Millisecond}
	r := p.subscribe("s", subscription, opts)
	first := f.next(r)
	f.ack(r, first[0])
	f.saved("s", subscription, 1)
	p.fill("s", 10)
	got := first
	if len(first) == 2 {
		f.ack(r, first[1])
	}
	for len(got) < 30 {
		batch := f.take(r, 1)
		got = append(got, batch...)
		if len(got)%7 == 0 {
			f.saved("s", subscription, int64(len(got)))
		}
	}
	same(f, span(1, 30), numbers(got), "events")
	f.saved("s", subscription, 30)
}

func subConcurrencyLimit(f *fixture) {
	f.fill("s", 4)
	p := f.party()
	for limit, name := range map[int]string{0: "one", 2: "two"} {
		opts := &store.SubscribeOptions{ConcurrencyLimit: limit, WaitForLease: true}
		var list []subscriber
		for range max(limit, 1) {
			list = append(list, p.subscribe("s", name, opts))
		}
		_, err := p.Subscribe(f.ctx, "s", name, opts)
		require.ErrorIs(f, err, store.ErrTooManySubscribers)
		require.NoError(f, list[0].Close())
		again := p.subscribe("s", name, opts)
		list[0] = again
		f.ack(again, f.next(again)...)
	}
}

func subTimeout(f *fixture) {
	f.fill("s", 3)
	p := f.party()
	p.tap.hang("AcquireLease", 1)
	ctx, cancel := timeout(f.ctx, glance)
	defer cancel()
	began := time.Now()
	_, err := p.Subscribe(ctx, "s", subscription, nil)
	require.ErrorIs(f, err, context.DeadlineExceeded)
	require.Less(f, time.Since(began), 5*time.Second, "Subscribe does not wait beyond its context")
	for _, call := range []string{"AcquireLease", "ReadStream", "StreamVersions"} {
		p.tap.hang(call, 1)
		r := p.subscribe("s", call, &store.SubscribeOptions{Timeout: 250 * time.Millisecond, RetryInterval: time.Millisecond})
		f.takes(r, 1, 2, 3)
	}
}

// subContradiction adds subscribers with other options than those of the first.
func subContradiction(f *fixture) {
	f.ofTypes("s", "a", "b", "a")
	p := f.party()
	base := store.SubscribeOptions{
		BufferSize: 2, MaxSize: 10, CheckpointThreshold: 5, CheckpointAfter: time.Minute, ConcurrencyLimit: 3, RetryInterval: 2 * time.Second, Timeout: time.Minute,
		Filter: store.EventFilter{Types: []string{"a", "b"}, StreamPrefix: "s"}, Selector: func(store.Recorded) bool { return true },
		PartitionBy: lanes, Mapper: func(e store.Recorded) (store.Recorded, error) { return e, nil },
	}
	first := p.subscribe("s", subscription, &base)
	for field, change := range sorted(map[string]func(o *store.SubscribeOptions){
		"Filter":              func(o *store.SubscribeOptions) { o.Filter.Types = []string{"a"} },
		"Selector":            func(o *store.SubscribeOptions) { o.Selector = nil },
		"PartitionBy":         func(o *store.SubscribeOptions) { o.PartitionBy = nil },
		"Mapper":              func(o *store.SubscribeOptions) { o.Mapper = nil },
		"MaxSize":             func(o *store.SubscribeOptions) { o.MaxSize = 11 },
		"CheckpointThreshold": func(o *store.SubscribeOptions) { o.CheckpointThreshold = 6 },
		"CheckpointAfter":     func(o *store.SubscribeOptions) { o.CheckpointAfter = -1 },
		"ConcurrencyLimit":    func(o *store.SubscribeOptions) { o.ConcurrencyLimit = 4 },
		"RetryInterval":       func(o *store.SubscribeOptions) { o.RetryInterval = time.Second },
		"Timeout":             func(o *store.SubscribeOptions) { o.Timeout = time.Second },
	}) {
		o := base
		change(&o)
		r, err := p.Subscribe(f.ctx, "s", subscription, &o)
		if err == nil {
			assert.NoError(f, r.Close())
		}
		f.invalid(err, field)
	}
	_, err := p.Subscribe(f.ctx, "s", subscription, nil)
	f.invalid(err, "Filter")
	prefixed := base
	prefixed.Filter.StreamPrefix = ""
	_, err = p.Subscribe(f.ctx, "s", subscription, &prefixed)
	f.invalid(err, "Filter")

	same := store.SubscribeOptions{ // what is left out is what the others have, and so is what is each subscriber's own
		BufferSize: 1, Filter: store.EventFilter{Types: []string{"b", "a", "b"}, StreamPrefix: "s"}, Selector: func(store.Recorded) bool { return false },
		PartitionBy: func(store.Recorded) string { return "" }, Mapper: func(e store.Recorded) (store.Recorded, error) { return e, nil },
		Start: store.StartCurrent, WaitForLease: true,
	}
	second := p.subscribe("s", subscription, &same)
	p.subscribe("s", "other name", &store.SubscribeOptions{ConcurrencyLimit: 1})
	require.NoError(f, second.Close())
	f.takes(first, 1, 2, 3)
	require.NoError(f, first.Close())
	f.ofTypes("s", "c")
	f.takes(p.subscribe("s", subscription, nil), 4) // it begins anew, with options of its own
}
