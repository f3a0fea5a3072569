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

var subFairCases = []testCase{
	{name: "sub/turns", tx: noTx, run: subTurns, why: "events that come one by one go to the idle subscribers in turns"},
	{name: "sub/turns-keys", tx: noTx, run: subTurnsKeys, why: "keys are dealt out to all subscribers that wait, and not all to one"},
	{name: "sub/consume-busy", tx: noTx, run: subConsumeBusy, why: "as many handlers are busy as there are keys, or events without a key"},
	{name: "sub/consume-hangs", tx: noTx, run: subConsumeHangs, why: "a handler that hangs delays only its own event, and those of the same key"},
	{name: "sub/consume-poison", tx: noTx, run: subConsumePoison, why: "a key whose event fails for ever delays no other key, however many events it has, and stays in order"},
	{name: "sub/poison-key", tx: noTx, run: subPoisonKey, why: "a key that stands still does not fill the queue: other keys go on, and nothing of it is lost"},
}

// subTurns lets two subscribers wait, each for itself, before each of 20 events is appended.
func subTurns(f *fixture) {
	p := f.party()
	waiting, taken := make(chan bool, 2), make(chan int, 20)
	for n, r := range p.crowd(2, store.SubscribeOptions{}) {
		go func() {
			for {
				ctx, cancel := f.soon()
				events, err := r.Next(&awaited{Context: ctx, told: waiting})
				cancel()
				if err != nil || r.Ack(f.ctx, events...) != nil {
					return
				}
				for range events {
					taken <- n
				}
			}
		}()
	}
	receive(f, waiting)
	counts := make([]int, 2)
	for range 20 {
		receive(f, waiting) // both wait
		p.fill("s", 1)
		counts[receive(f, taken)]++
	}
	assert.Equal(f, []int{10, 10}, counts)
}

// subTurnsKeys lets three subscribers wait, and then three events of each of three keys come at once.
func subTurnsKeys(f *fixture) {
	p := f.party()
	got, waiting := make(chan []store.Recorded, 3), make(chan bool, 3)
	for _, r := range p.crowd(3, store.SubscribeOptions{BufferSize: 3, PartitionBy: lanes}) {
		go func() {
			ctx, cancel := f.soon()
			defer cancel()
			events, _ := r.Next(&awaited{Context: ctx, told: waiting})
			got <- events
		}()
	}
	for range 3 {
		receive(f, waiting)
	}
	f.ofTypes("s", "A", "B", "C", "A", "B", "C", "A", "B", "C")
	var keys []string
	for range 3 {
		events := receive(f, got)
		require.NotEmpty(f, events, "one has got nothing")
		for _, e := range events {
			assert.Equal(f, events[0].Type, e.Type, "a subscriber has two keys, so another has none")
		}
		keys = append(keys, events[0].Type)
	}
	slices.Sort(keys)
	assert.Equal(f, []string{"A", "B", "C"}, keys)
}

// subConsumeBusy lets one handler go on at a time, and waits until as many are busy as before.
func subConsumeBusy(f *fixture) {
	const handlers, total = 4, 40
	for name, c := range sorted(map[string]struct {
		key  func(n int) string
		opts store.SubscribeOptions
	}{
		"events":    {func(int) string { return "any" }, store.SubscribeOptions{}},
		"four-keys": {func(n int) string { return fmt.Sprint(n % handlers) }, store.SubscribeOptions{PartitionBy: lanes}},
		"many-keys": {func(n int) string { return fmt.Sprint(n) }, store.SubscribeOptions{PartitionBy: lanes}},
		"in-blocks": {func(n int) string { return fmt.Sprint(n / 10) }, store.SubscribeOptions{PartitionBy: lanes}},
	}) {
		f.sub(name, func(f *fixture) {
			c.opts.CheckpointThreshold = 1
			p := f.party()
			arrived := make(chan chan struct{}, total)
			result := make(chan error, 1)
			ctx, cancel := context.WithCancel(f.ctx)
			defer cancel()
			go func() {
				result <- p.Consume(ctx, name, subscription, func(ctx context.Context, _ store.Recorded) error {
					end := make(chan struct{})
					arrived <- end
					select {
					case <-end:
					case <-ctx.Done():
					}
					return nil
				}, &store.ConsumeOptions{Handlers: handlers, SubscribeOptions: c.opts})
			}()
			types := make([]string, total)
			for n := range types {
				types[n] = c.key(n)
			}
			f.ofTypes(name, types...)
			var busy []chan struct{}
			for range handlers {
				busy = append(busy, receive(f, arrived))
			}
			for done := range total {
				close(busy[0]) // the one that has been busy longest, so that all keys come to their end together
				busy = busy[1:]
				if done < total-handlers {
					busy = append(busy, receive(f, arrived)) // the others are still busy
				}
			}
			f.saved(name, subscription, total)
			cancel()
			require.ErrorIs(f, receive(f, result), context.Canceled)
		})
	}
}

// subConsumeHangs lets one event hang until all others are handled.
func subConsumeHangs(f *fixture) {
	for name, c := range sorted(map[string]struct {
		opts store.SubscribeOptions
		hold []int64 // what is behind the event that hangs
	}{
		"events": {opts: store.SubscribeOptions{}},
		"keys":   {opts: store.SubscribeOptions{PartitionBy: lanes}, hold: []int64{6, 44}},
	}) {
		f.sub(name, func(f *fixture) {
			p := f.party()
			var seen seenBy
			hanging, others := make(chan struct{}), make(chan struct{})
			first := make(chan int64, 4)
			result := make(chan error, 1)
			ctx, cancel := context.WithCancel(f.ctx)
			defer cancel()
			go func() {
				result <- p.Consume(ctx, name, subscription, func(ctx context.Context, e store.Recorded) error {
					wait := others
					switch {
					case e.Number <= 4:
						first <- e.Number
					case e.Number == 5:
						wait = hanging
					default:
						wait = nil
					}
					if wait != nil {
						select {
						case <-wait:
						case <-ctx.Done():
							return ctx.Err()
						}
					}
					seen.note(e)
					return nil
				}, &store.ConsumeOptions{Handlers: 4, SubscribeOptions: c.opts})
			}()
			types := make([]string, 44)
			for n := range types {
				types[n] = fmt.Sprint("key ", n)
			}
			types[5], types[43] = types[4], types[4]
			f.ofTypes(name, types[:4]...)
			for range 4 { // each handler has one
				receive(f, first)
			}
			f.ofTypes(name, types[4:]...)
			close(others)
			f.eventually("all others are handled", func() bool { return len(seen.numbers()) == 43-len(c.hold) })
			for _, number := range append(c.hold, 5) {
				assert.NotContains(f, seen.numbers(), number)
			}
			close(hanging)
			f.eventually("all are handled", func() bool { return len(seen.numbers()) == 44 })
			cancel()
			require.ErrorIs(f, receive(f, result), context.Canceled)
			assert.EqualValues(f, 44, f.row(name, subscription).Checkpoint)
		})
	}
}

// subConsumePoison has the first event of a key fail until everything of the other key is handled. The queue has room for few.
func subConsumePoison(f *fixture) {
	const total = 100
	for _, handlers := range []int{1, 3} {
		f.sub(fmt.Sprint(handlers), func(f *fixture) {
			p := f.party()
			stream := f.name
			var mu sync.Mutex
			seen := map[string][]int64{}
			healthy := func() int {
				mu.Lock()
				defer mu.Unlock()
				return len(seen["B"])
			}
			types := make([]string, total)
			for n := range types {
				types[n] = []string{"A", "A", "A", "B"}[n%4]
			}
			f.ofTypes(stream, types...)
			result := make(chan error, 1)
			ctx, cancel := context.WithCancel(f.ctx)
			defer cancel()
			go func() {
				result <- p.Consume(ctx, stream, subscription, func(_ context.Context, e store.Recorded) error {
					if e.Number == 1 && healthy() < total/4 {
						return errCallback
					}
					mu.Lock()
					defer mu.Unlock()
					seen[e.Type] = append(seen[e.Type], e.Number)
					return nil
				}, &store.ConsumeOptions{
					Handlers: handlers, MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond,
					SubscribeOptions: store.SubscribeOptions{PartitionBy: lanes, MaxSize: 8, CheckpointThreshold: 1},
				})
			}()
			f.saved(stream, subscription, total)
			cancel()
			require.ErrorIs(f, receive(f, result), context.Canceled)
			want := map[string][]int64{}
			for n := range types {
				want[types[n]] = append(want[types[n]], int64(n+1))
			}
			assert.Equal(f, want, seen, "each once, and in order")
		})
	}
}

// subPoisonKey keeps an event of a key in flight, and lets more of the key come than the queue has room for.
func subPoisonKey(f *fixture) {
	const rounds = 30
	for _, size := range []int{1, 7} {
		f.sub(fmt.Sprint(size), func(f *fixture) {
			stream := f.name
			p := f.party()
			opts := store.SubscribeOptions{MaxSize: size, BufferSize: 1, PartitionBy: lanes, ConcurrencyLimit: 2, CheckpointThreshold: 1}
			types := []string{"A"}
			for range rounds {
				types = append(types, "A", "A", "A", "B")
			}
			stuck := p.subscribe(stream, subscription, &opts)
			f.ofTypes(stream, types...)
			first := f.hold(stuck, 1)
			other := p.subscribe(stream, subscription, &opts)
			for n := range int64(rounds) {
				got := f.take(other, 1)
				require.Equal(f, []int64{5 + 4*n}, numbers(got), "the events of B")
			}
			f.glance()
			f.saved(stream, subscription, 0)
			f.ack(stuck, first...)
			var rest []int64
			for n := range types {
				if n > 0 && types[n] == "A" {
					rest = append(rest, int64(n+1))
				}
			}
			require.NoError(f, other.Close())
			f.takes(stuck, rest...)
			f.saved(stream, subscription, int64(len(types)))
		})
	}
}
