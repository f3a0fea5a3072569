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

var subConsumeCases = []testCase{
	{name: "sub/consume", tx: noTx, run: subConsume, why: "a handler is called for each event in order, an event is acknowledged when it has returned, and the end of the context is a clean one"},
	{name: "sub/consume-retries", tx: noTx, run: subConsumeRetries, why: "an event whose handler fails is handled again, after a growing wait, before any other"},
	{name: "sub/consume-skips", tx: noTx, run: subConsumeSkips, why: "an event that can't be handled can be left out"},
	{name: "sub/consume-stops", tx: noTx, run: subConsumeStops, why: "an error can end the loop, and the event comes again"},
	{name: "sub/consume-panics", tx: noTx, run: subConsumePanics, why: "a handler's panic reaches the caller, and others go on with its event at once"},
	{name: "sub/consume-partitions", tx: noTx, run: subConsumePartitions, why: "several handlers at a time keep the order within a key"},
	{name: "sub/consume-lease-lost", tx: noTx, run: subConsumeLeaseLost, why: "a handler is told that another process goes on with its event, and the loop waits for its turn"},
	{name: "sub/consume-callback", tx: noTx, run: subConsumeCallback, why: "a callback that fails is for OnError to decide about, too"},
	{name: "sub/consume-ends", tx: noTx, run: subConsumeEnds, why: "the loop ends with its subscription, and says why"},
}

// seenBy notes what a handler was called with.
type seenBy struct {
	mu   sync.Mutex
	list []int64
}

func (s *seenBy) note(e store.Recorded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, e.Number)
}

func (s *seenBy) numbers() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// count returns how often an event was noted.
func (s *seenBy) count(number int64) (n int) {
	for _, other := range s.numbers() {
		if other == number {
			n++
		}
	}
	return n
}

// consume runs Consume on stream "s" until the returned function is called, which returns its error.
func (p *party) consume(handler store.Handler, opts *store.ConsumeOptions) (end func() error) {
	ctx, cancel := context.WithCancel(p.f.ctx)
	result := make(chan error, 1)
	go func() { result <- p.Consume(ctx, "s", subscription, handler, opts) }()
	end = sync.OnceValue(func() error {
		cancel()
		return receive(p.f, result)
	})
	p.f.Cleanup(cancel)
	return end
}

func subConsume(f *fixture) {
	f.fill("s", 5)
	p := f.party()
	var seen seenBy
	within := make(chan int64)
	end := p.consume(func(_ context.Context, e store.Recorded) error {
		seen.note(e)
		select {
		case within <- e.Number:
		case <-f.ctx.Done():
		}
		return nil
	}, &store.ConsumeOptions{SubscribeOptions: store.SubscribeOptions{CheckpointThreshold: 1}})
	require.Equal(f, int64(1), receive(f, within))
	require.Equal(f, int64(2), receive(f, within))
	f.eventually("the third has begun", func() bool { return len(seen.numbers()) == 3 })
	f.saved("s", subscription, 2)
	require.Equal(f, int64(3), receive(f, within))
	require.Equal(f, int64(4), receive(f, within))
	f.eventually("the fifth has begun", func() bool { return len(seen.numbers()) == 5 })
	f.saved("s", subscription, 4)
	go func() {
		select {
		case <-within:
		case <-f.ctx.Done():
		}
	}()
	require.ErrorIs(f, end(), context.Canceled)
	assert.Equal(f, span(1, 5), seen.numbers())
	row := f.row("s", subscription)
	assert.False(f, row.Held, "released before it returns")
	assert.EqualValues(f, 5, row.Checkpoint)
}

func subConsumeRetries(f *fixture) {
	f.fill("s", 3)
	p := f.party()
	var seen seenBy
	var mu sync.Mutex
	var attempts []int
	var at []time.Time
	end := p.consume(func(_ context.Context, e store.Recorded) error {
		seen.note(e)
		if n := len(seen.numbers()); e.Number == 2 && n < 6 {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
			return errCallback
		}
		return nil
	}, &store.ConsumeOptions{MinBackoff: 4 * time.Millisecond, OnError: func(e store.Recorded, err error, attempt int) store.Decision {
		mu.Lock()
		defer mu.Unlock()
		if e.Number == 2 && err == errCallback { //nolint:errorlint // the very error
			attempts = append(attempts, attempt)
		}
		return store.Retry
	}})
	f.eventually("all are handled", func() bool { return slices.Contains(seen.numbers(), 3) })
	require.ErrorIs(f, end(), context.Canceled)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(f, []int64{1, 2, 2, 2, 2, 2, 3}, seen.numbers())
	assert.Equal(f, []int{1, 2, 3, 4}, attempts)
	require.Len(f, at, 4)
	assert.GreaterOrEqual(f, at[3].Sub(at[0]), 6*time.Millisecond, "it waits between attempts")
	assert.EqualValues(f, 3, f.row("s", subscription).Checkpoint)
	assert.Empty(f, f.row("s", subscription).LastError, "the error is over")
}

func subConsumeSkips(f *fixture) {
	f.fill("s", 4)
	p := f.party()
	var seen seenBy
	end := p.consume(func(_ context.Context, e store.Recorded) error {
		seen.note(e)
		if e.Number == 2 {
			return errCallback
		}
		return nil
	}, &store.ConsumeOptions{MinBackoff: time.Millisecond, OnError: func(_ store.Recorded, _ error, attempt int) store.Decision {
		if attempt == 2 {
			return store.Skip
		}
		return store.Retry
	}})
	f.eventually("all are handled", func() bool { return slices.Contains(seen.numbers(), 4) })
	require.ErrorIs(f, end(), context.Canceled)
	assert.Equal(f, []int64{1, 2, 2, 3, 4}, seen.numbers())
	assert.EqualValues(f, 4, f.row("s", subscription).Checkpoint)
}

func subConsumeStops(f *fixture) {
	f.fill("s", 4)
	p := f.party()
	ctx, cancel := f.soon()
	defer cancel()
	err := p.Consume(ctx, "s", subscription, func(_ context.Context, e store.Recorded) error {
		if e.Number == 3 {
			return errStop
		}
		return nil
	}, &store.ConsumeOptions{OnError: func(store.Recorded, error, int) store.Decision { return store.Stop }})
	require.ErrorIs(f, err, errStop)
	row := f.row("s", subscription)
	assert.EqualValues(f, 2, row.Checkpoint)
	assert.False(f, row.Held)
	f.takes(p.subscribe("s", subscription, nil), 3, 4)
}

func subConsumePanics(f *fixture) {
	f.fill("s", 4)
	p, other := f.party(), f.party()
	waits := make(chan subscriber, 1)
	ctx, cancel := f.soon()
	defer cancel()
	assert.PanicsWithValue(f, "the handler", func() {
		_ = p.Consume(ctx, "s", subscription, func(_ context.Context, e store.Recorded) error {
			if e.Number == 3 {
				waits <- other.subscribe("s", subscription, &store.SubscribeOptions{RetryInterval: 5 * time.Millisecond})
				panic("the handler")
			}
			return nil
		}, &store.ConsumeOptions{Handlers: 2, SubscribeOptions: store.SubscribeOptions{PartitionBy: lanes}})
	})
	f.takes(receive(f, waits), 3, 4)
}

func subConsumePartitions(f *fixture) {
	const total = 120
	types := make([]string, total)
	for i := range types {
		types[i] = fmt.Sprint("key ", i*i%7)
	}
	f.ofTypes("s", types...)
	p := f.party()
	var mu sync.Mutex
	last, busy := map[string]int64{}, map[string]bool{}
	atOnce, most, count := 0, 0, 0
	var wrong []string
	end := p.consume(func(_ context.Context, e store.Recorded) error {
		mu.Lock()
		if busy[e.Type] || last[e.Type] >= e.Number {
			wrong = append(wrong, fmt.Sprint(e.Type, " ", e.Number))
		}
		busy[e.Type], last[e.Type] = true, e.Number
		atOnce++
		most = max(most, atOnce)
		mu.Unlock()
		timer := time.NewTimer(200 * time.Microsecond) // the work
		<-timer.C
		mu.Lock()
		busy[e.Type] = false
		atOnce--
		count++
		mu.Unlock()
		return nil
	}, &store.ConsumeOptions{Handlers: 3, SubscribeOptions: store.SubscribeOptions{PartitionBy: lanes, BufferSize: 4}})
	f.eventually("all are handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return count >= total
	})
	require.ErrorIs(f, end(), context.Canceled)
	assert.Equal(f, total, count)
	assert.Empty(f, wrong, "out of order, or two at a time")
	assert.Greater(f, most, 1, "several at a time")
	assert.LessOrEqual(f, most, 3)
	assert.EqualValues(f, total, f.row("s", subscription).Checkpoint)
}

func subConsumeLeaseLost(f *fixture) {
	f.fill("s", 3)
	p := f.party(leaseOf(shortLease))
	id := store.SubscriptionID{Stream: "s", Name: subscription}
	var seen seenBy
	told := make(chan error, 1)
	end := p.consume(func(ctx context.Context, e store.Recorded) error {
		seen.note(e)
		if e.Number == 2 {
			select {
			case <-ctx.Done():
			case <-f.ctx.Done():
			}
			told <- context.Cause(ctx)
		}
		return nil
	}, &store.ConsumeOptions{SubscribeOptions: store.SubscribeOptions{CheckpointThreshold: 1, RetryInterval: 5 * time.Millisecond}})
	f.saved("s", subscription, 1)
	firsts := seen.count(1) // a lease that expires early has it come again, but not behind its checkpoint
	f.eventually("the second is handled", func() bool { return slices.Contains(seen.numbers(), 2) })
	usurped := f.usurp(id)
	assert.ErrorIs(f, receive(f, told), store.ErrLeaseLost)
	f.saved("s", subscription, 1)
	require.NoError(f, f.rows().ReleaseLease(f.ctx, store.CheckpointRequest{ID: id, Epoch: usurped.Epoch, Checkpoint: 2, StreamID: usurped.StreamID}))
	f.eventually("the third is handled", func() bool { return slices.Contains(seen.numbers(), 3) })
	f.saved("s", subscription, 3)
	require.ErrorIs(f, end(), context.Canceled)
	assert.Equal(f, []int64{1, 2, 3}, slices.Compact(seen.numbers()))
	assert.Equal(f, firsts, seen.count(1))
}

func subConsumeCallback(f *fixture) {
	f.fill("s", 4)
	p := f.party()
	var seen seenBy
	call, _ := failing(2)
	end := p.consume(func(_ context.Context, e store.Recorded) error {
		seen.note(e)
		return nil
	}, &store.ConsumeOptions{
		MinBackoff: time.Millisecond,
		OnError: func(e store.Recorded, err error, _ int) store.Decision {
			var failed *store.CallbackError
			if assert.ErrorAs(f, err, &failed) && assert.EqualValues(f, 2, e.Number) && failed.Callback == "Mapper" {
				return store.Skip
			}
			return store.Stop
		},
		SubscribeOptions: store.SubscribeOptions{Mapper: func(e store.Recorded) (store.Recorded, error) { return e, call(e) }},
	})
	f.eventually("all are handled", func() bool { return slices.Contains(seen.numbers(), 4) })
	require.ErrorIs(f, end(), context.Canceled)
	assert.Equal(f, []int64{1, 3, 4}, seen.numbers())
	assert.EqualValues(f, 4, f.row("s", subscription).Checkpoint)
}

func subConsumeEnds(f *fixture) {
	f.fill("s", 1)
	for name, c := range sorted(map[string]struct {
		end func(p *party, name string) error
		is  error
	}{
		"unsubscribed": {func(p *party, name string) error { return p.Unsubscribe(f.ctx, "s", name) }, store.ErrSubscriberClosed},
		"deleted":      {func(p *party, name string) error { return p.DeleteSubscription(f.ctx, "s", name) }, store.ErrSubscriptionNotFound},
		"closed":       {func(p *party, _ string) error { return p.Close() }, store.ErrClosed},
	}) {
		f.sub(name, func(f *fixture) {
			p := f.party()
			handling := make(chan int64, 9)
			result := make(chan error, 1)
			go func() {
				result <- p.Consume(f.ctx, "s", "ends "+name, func(_ context.Context, e store.Recorded) error {
					handling <- e.Number
					return nil
				}, nil)
			}()
			receive(f, handling)
			require.NoError(f, c.end(p, "ends "+name))
			assert.ErrorIs(f, receive(f, result), c.is)
		})
	}
}
