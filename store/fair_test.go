package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// appendTypes appends events of these types to stream s.
func (p *process) appendTypes(types ...string) {
	p.t.Helper()
	events := make([]store.Event, len(types))
	for i := range events {
		events[i].Type = types[i]
	}
	_, err := p.Append(p.t.Context(), "s", store.Any, events...)
	require.NoError(p.t, err)
}

// link appends an event of type A to another stream, and links it to stream s.
func (p *process) link(stream string) {
	p.t.Helper()
	id := uuid.New()
	_, err := p.Append(p.t.Context(), stream, store.Any, store.Event{ID: id, Type: "A"})
	require.NoError(p.t, err)
	_, err = p.Link(p.t.Context(), "s", store.Any, id)
	require.NoError(p.t, err)
}

// byType is a PartitionBy.
func byType(e store.Recorded) string { return e.Type }

// startConsume runs Consume on stream s until end is called.
func (p *process) startConsume(handler store.Handler, opts *store.ConsumeOptions) (end func() error) {
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Consume(ctx, "s", "reader", handler, opts) }()
	return func() error {
		cancel()
		return <-done
	}
}

// callLog notes what handlers do.
type callLog struct {
	mu   sync.Mutex
	list []string
}

func (l *callLog) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, fmt.Sprintf(format, args...))
}

// take returns what was noted since it was last called.
func (l *callLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// TestRetryGivenUp: a retry that waits when the subscription is reset, or its stream is created again, is given up. The event comes
// again, and its attempts count anew.
func TestRetryGivenUp(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(p *process){
		"reset": func(p *process) { require.NoError(p.t, p.ResetSubscription(p.t.Context(), "s", "reader", 0)) },
		"created again": func(p *process) {
			err := p.Delete(p.t.Context(), "s", store.Any, store.HardDelete)
			require.NoError(p.t, err)
			p.appendTypes("A", "A", "B")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), &store.Options{HardDelete: true})
				p.appendTypes("A", "A", "B")
				var calls callLog
				sick := true
				var mu sync.Mutex
				end := p.startConsume(func(_ context.Context, e store.Recorded) error {
					calls.add("%d", e.Number)
					mu.Lock()
					defer mu.Unlock()
					if sick && e.Number == 1 {
						return errUnreachable
					}
					return nil
				}, &store.ConsumeOptions{
					MinBackoff: 10 * time.Minute, MaxBackoff: 10 * time.Minute, SubscribeOptions: store.SubscribeOptions{PartitionBy: byType},
					OnError: func(_ store.Recorded, _ error, attempt int) store.Decision {
						calls.add("attempt %d", attempt)
						return store.Retry
					},
				})
				time.Sleep(time.Minute)
				require.Equal(t, []string{"1", "attempt 1", "3"}, calls.take())
				disturb(p)
				time.Sleep(time.Minute)
				got := calls.take()
				require.Equal(t, []string{"1", "attempt 1"}, slices.DeleteFunc(got, func(s string) bool { return s == "3" }), "2 is behind 1")
				mu.Lock()
				sick = false
				mu.Unlock()
				time.Sleep(time.Hour)
				require.Equal(t, []string{"1", "2"}, calls.take(), "each once")
				require.ErrorIs(t, end(), context.Canceled)
				assert.EqualValues(t, 3, p.checkpoint())
			})
		})
	}
}

// TestRetriesAreBounded: a handler has as many events in flight as BufferSize allows, those included that wait to be retried.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.appendTypes("A", "B", "C", "D")
		var calls callLog
		end := p.startConsume(func(_ context.Context, e store.Recorded) error {
			calls.add("%d", e.Number)
			return errUnreachable
		}, &store.ConsumeOptions{
			MinBackoff: time.Hour, MaxBackoff: time.Hour, SubscribeOptions: store.SubscribeOptions{PartitionBy: byType, BufferSize: 2},
			OnError: func(e store.Recorded, _ error, attempt int) store.Decision {
				if attempt == 2 && e.Number < 3 {
					return store.Skip
				}
				return store.Retry
			},
		})
		time.Sleep(time.Minute)
		require.Equal(t, []string{"1", "2"}, calls.take())
		time.Sleep(100 * time.Minute)
		got := calls.take()
		slices.Sort(got)
		require.Equal(t, []string{"1", "2", "3", "4"}, slices.Compact(got), "when there is room")
		require.ErrorIs(t, end(), context.Canceled)
		assert.EqualValues(t, 2, p.checkpoint(), "3 and 4 come again")
	})
}

// TestRetriesDoNotStarve: retries that fall due faster than they are handled do not keep new events waiting.
func TestRetriesDoNotStarve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		for key := range 30 {
			p.appendTypes(fmt.Sprint("poison ", key))
		}
		var calls callLog
		end := p.startConsume(func(_ context.Context, e store.Recorded) error {
			time.Sleep(time.Second)
			if e.Type == "A" {
				calls.add("%d", e.Number)
				return nil
			}
			return errUnreachable
		}, &store.ConsumeOptions{
			MinBackoff: time.Second, MaxBackoff: time.Second, SubscribeOptions: store.SubscribeOptions{PartitionBy: byType},
		})
		time.Sleep(time.Minute)
		p.appendTypes("A", "A", "A")
		time.Sleep(time.Minute)
		require.Equal(t, []string{"31", "32", "33"}, calls.take())
		require.ErrorIs(t, end(), context.Canceled)
	})
}

// TestStopWhileRetrying: a handler that stops Consume leaves what others are to retry, and nothing of it is lost.
func TestStopWhileRetrying(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.appendTypes("A", "B", "A", "C")
		boom := errors.New("boom")
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		err := p.Consume(ctx, "s", "reader", func(_ context.Context, e store.Recorded) error {
			switch e.Type {
			case "A":
				return errUnreachable
			case "C":
				time.Sleep(time.Minute)
				return boom
			}
			return nil
		}, &store.ConsumeOptions{
			Handlers: 2, MinBackoff: time.Hour, SubscribeOptions: store.SubscribeOptions{PartitionBy: byType},
			OnError: func(_ store.Recorded, err error, _ int) store.Decision {
				if errors.Is(err, boom) {
					return store.Stop
				}
				return store.Retry
			},
		})
		require.ErrorIs(t, err, boom)
		assert.Equal(t, time.Minute, time.Since(began), "no retry is waited for")
		assert.EqualValues(t, 0, p.checkpoint())
		got, _ := next(t, p.subscribe(store.SubscribeOptions{}), 4)
		assert.EqualValues(t, 1, got[0].Number)
	})
}

// TestEventsShares: what the loop over Events has not begun is there for others.
func TestEventsShares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(20)
		opts := store.SubscribeOptions{ConcurrencyLimit: 2}
		hangs, goesOn := p.subscribe(opts), p.subscribe(opts)
		go func() {
			for _, err := range hangs.Events(t.Context()) {
				if err == nil {
					<-t.Context().Done()
				}
			}
		}()
		synctest.Wait()
		n := 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, err := range goesOn.Events(ctx) {
			require.NoError(t, err)
			if n++; n == 19 {
				break
			}
		}
	})
}

// clog subscribes twice, keeps event 1 of key A in flight, and fills the queue with events of A until those behind are dropped.
func clog(t *testing.T, p *process, opts store.SubscribeOptions) (stuck, other *store.Subscriber, first []store.Recorded) {
	t.Helper()
	opts.MaxSize, opts.BufferSize, opts.ConcurrencyLimit = 10, 1, 2
	if opts.PartitionBy == nil {
		opts.PartitionBy = byType
	}
	stuck = p.subscribe(opts)
	first, _ = next(t, stuck, 1)
	other = p.subscribe(opts)
	p.appendTypes(append(slices.Repeat([]string{"A"}, 40), "B")...)
	got, _ := next(t, other, 1)
	require.EqualValues(t, 42, got[0].Number)
	require.NoError(t, other.Ack(t.Context(), got...))
	nothing(t, other, time.Second)
	return stuck, other, first
}

// TestDroppedComesAgain: dropped events come again, in order, when their key goes on: whatever fails meanwhile, also if some were
// deleted, or the callbacks choose otherwise this time.
func TestDroppedComesAgain(t *testing.T) {
	t.Parallel()
	all := func(from, to int64) (list []int64) {
		for n := from; n <= to; n++ {
			list = append(list, n)
		}
		return list
	}
	for name, c := range map[string]struct {
		opts   store.SubscribeOptions
		change func(t *testing.T, p *process)
		want   []int64
		any    bool // in any order
	}{
		"as they are": {want: all(2, 41)},
		"reads fail": {want: all(2, 41), change: func(t *testing.T, p *process) {
			p.storage.guard(only("ReadFiltered"))
			time.AfterFunc(time.Minute, func() { p.storage.guard(nil) })
		}},
		"they are links": {want: all(2, 41)},
		"another key this time": {want: all(2, 41), any: true, opts: store.SubscribeOptions{PartitionBy: func() func(e store.Recorded) string {
			asked := map[int64]int{}
			return func(e store.Recorded) string {
				if asked[e.Number]++; asked[e.Number] > 1 {
					return fmt.Sprint("key ", e.Number%3)
				}
				return e.Type
			}
		}()}},
		"no key this time": {want: all(2, 41), any: true, opts: store.SubscribeOptions{PartitionBy: func() func(e store.Recorded) string {
			asked := map[int64]int{}
			return func(e store.Recorded) string {
				if asked[e.Number]++; asked[e.Number] > 1 {
					return ""
				}
				return e.Type
			}
		}()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), &store.Options{HardDelete: true})
				if name == "they are links" {
					p.link("other")
				} else {
					p.appendTypes("A")
				}
				stuck, other, first := clog(t, p, c.opts)
				require.NoError(t, other.Close())
				if c.change != nil {
					c.change(t, p)
				}
				require.NoError(t, stuck.Ack(t.Context(), first...))
				var got []int64
				for range c.want {
					events, _ := next(t, stuck, 1)
					require.NoError(t, stuck.Ack(t.Context(), events...))
					got = append(got, events[0].Number)
				}
				if c.any {
					slices.Sort(got)
				}
				require.Equal(t, c.want, got)
				nothing(t, stuck, time.Minute)
				assert.EqualValues(t, 42, p.checkpoint())
			})
		})
	}
}

// TestDroppedIsDeleted: dropped events that are hard deleted meanwhile keep neither the checkpoint nor others back.
func TestDroppedIsDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), &store.Options{HardDelete: true})
		for i := range 30 {
			p.link(fmt.Sprint("other-", i))
		}
		p.appendTypes("B")
		p.link("tail")
		opts := store.SubscribeOptions{MaxSize: 6, BufferSize: 1, ConcurrencyLimit: 2, PartitionBy: byType}
		stuck := p.subscribe(opts)
		first, _ := next(t, stuck, 1)
		other := p.subscribe(opts)
		got, _ := next(t, other, 1)
		require.Equal(t, "B", got[0].Type)
		require.NoError(t, other.Ack(t.Context(), got...))
		nothing(t, other, time.Second)
		for i := range 30 {
			if i >= 10 && i%3 > 0 {
				require.NoError(t, p.Delete(t.Context(), fmt.Sprint("other-", i), store.Any, store.HardDelete))
			}
		}
		require.NoError(t, p.Delete(t.Context(), "tail", store.Any, store.HardDelete))
		require.NoError(t, other.Close())
		require.NoError(t, stuck.Ack(t.Context(), first...))
		var numbers []int64
		for len(numbers) == 0 || numbers[len(numbers)-1] < 28 {
			events, _ := next(t, stuck, 1)
			require.NoError(t, stuck.Ack(t.Context(), events...))
			numbers = append(numbers, events[0].Number)
		}
		assert.Equal(t, []int64{2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 16, 19, 22, 25, 28}, numbers)
		nothing(t, stuck, time.Minute)
		assert.EqualValues(t, 32, p.checkpoint())
	})
}

// TestDroppedOfAnotherStream: dropped events of a stream that is created again are not looked for in the new one.
func TestDroppedOfAnotherStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), &store.Options{HardDelete: true})
		p.appendTypes("A")
		stuck, other, _ := clog(t, p, store.SubscribeOptions{})
		err := p.Delete(t.Context(), "s", store.Any, store.HardDelete)
		require.NoError(t, err)
		p.appendTypes("C", "A", "A", "A", "A", "A", "A", "A", "A", "A")
		got, _ := next(t, other, 1)
		require.EqualValues(t, 1, got[0].Number)
		require.Equal(t, "C", got[0].Type)
		require.NoError(t, other.Ack(t.Context(), got...))
		for want := int64(2); want <= 10; want++ {
			got, _ = next(t, stuck, 1)
			require.Equal(t, want, got[0].Number)
			require.NoError(t, stuck.Ack(t.Context(), got...))
		}
		nothing(t, stuck, time.Minute)
		assert.EqualValues(t, 10, p.checkpoint(), "beyond the numbers that were dropped")
	})
}

// TestDroppedOfGoneStream: of a stream that is hard deleted nothing is left to read again.
func TestDroppedOfGoneStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), &store.Options{HardDelete: true})
		p.appendTypes("A")
		stuck, other, first := clog(t, p, store.SubscribeOptions{})
		require.NoError(t, other.Close())
		require.NoError(t, p.Delete(t.Context(), "s", store.Any, store.HardDelete))
		require.NoError(t, stuck.Ack(t.Context(), first...))
		got, _ := next(t, stuck, 1)
		for want := int64(2); got[0].Number < 6; want++ {
			require.Equal(t, want, got[0].Number)
			require.NoError(t, stuck.Ack(t.Context(), got...))
			got, _ = next(t, stuck, 1)
		}
		require.NoError(t, stuck.Ack(t.Context(), got...))
		nothing(t, stuck, time.Minute)
		assert.EqualValues(t, 42, p.checkpoint())
	})
}

// TestDroppedReadOfAnotherStream: the stream is created again while dropped events are read again.
func TestDroppedReadOfAnotherStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), &store.Options{HardDelete: true})
		p.appendTypes("A")
		stuck, other, first := clog(t, p, store.SubscribeOptions{})
		require.NoError(t, other.Close())
		once := sync.OnceFunc(func() {
			assert.NoError(t, p.storage.Delete(t.Context(), store.DeleteRequest{Stream: "s", Expected: store.Any, Kind: store.HardDelete}))
			p.appendTypes(slices.Repeat([]string{"C"}, 50)...)
		})
		p.storage.guard(func(_ context.Context, call string) error {
			switch call {
			case "ReadFiltered":
				once()
			case "StreamVersions":
				time.Sleep(time.Second) // what was queued meanwhile is sent
			}
			return nil
		})
		require.NoError(t, stuck.Ack(t.Context(), first...))
		before := true
		for want := int64(1); want <= 50; {
			events, _ := next(t, stuck, 1)
			before = before && events[0].Type == "A"
			err := stuck.Ack(t.Context(), events...)
			if !before {
				require.NoError(t, err)
				require.Equal(t, want, events[0].Number)
				want++
			}
		}
		nothing(t, stuck, time.Minute)
	})
}

// TestDroppedOfDeletedStream: with a stream that is soft deleted a subscription ends when what it has in memory is handled; its
// checkpoint stays before what was dropped.
func TestDroppedOfDeletedStream(t *testing.T) {
	t.Parallel()
	for name, del := range map[string]func(p *process) error{
		"it is looked at": func(p *process) error { return p.Delete(p.t.Context(), "s", store.Any, store.SoftDelete) },
		"it is read": func(p *process) error { // so it learns of it
			return p.storage.Delete(p.t.Context(), store.DeleteRequest{Stream: "s", Expected: store.Any, Kind: store.SoftDelete})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), nil)
				p.appendTypes("A")
				stuck, other, first := clog(t, p, store.SubscribeOptions{})
				require.NoError(t, other.Close())
				require.NoError(t, del(p))
				last := first[0].Number
				require.NoError(t, stuck.Ack(t.Context(), first...))
				for {
					synctest.Wait() // the subscription's goroutine has nothing more to do
					events, err := stuck.Next(t.Context())
					if err != nil {
						require.ErrorIs(t, err, store.ErrStreamDeleted)
						break
					}
					require.Equal(t, last+1, events[0].Number)
					last = events[0].Number
					require.NoError(t, stuck.Ack(t.Context(), events...))
				}
				require.EqualValues(t, 6, last)
				assert.Equal(t, last, p.checkpoint())
			})
		})
	}
}
