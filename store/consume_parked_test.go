package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// patient is a handler that notes what it is called for, and an OnError that retries three times before it parks.
type patient struct {
	callLog

	mu     sync.Mutex
	poison map[int64]error
}

func (h *patient) set(err error, numbers ...int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.poison == nil {
		h.poison = map[int64]error{}
	}
	for _, n := range numbers {
		h.poison[n] = err
	}
}

func (h *patient) handle(_ context.Context, e store.Recorded) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.add("%d", e.Number)
	return h.poison[e.Number]
}

func (h *patient) options(o store.ConsumeOptions) *store.ConsumeOptions {
	o.MinBackoff, o.MaxBackoff = time.Minute, time.Minute
	o.OnError = func(e store.Recorded, err error, attempt int) store.Decision {
		d := store.RetryThen(3, store.Park)(e, err, attempt)
		if d == store.Park {
			h.add("park %d", e.Number)
		}
		return d
	}
	return &o
}

// sorted returns what was noted, in any order.
func (h *patient) sorted() []string {
	list := h.take()
	slices.Sort(list)
	return list
}

// parked returns the numbers of the parked events. Those that have not failed are in brackets.
func (p *process) parked() (list []string) {
	p.t.Helper()
	all, err := p.Parked(p.t.Context(), "reader", &store.ParkedFilter{Stream: "s"})
	require.NoError(p.t, err)
	for _, e := range all {
		if e.Failed {
			list = append(list, fmt.Sprintf("%d after %d", e.Number, e.Attempts))
		} else {
			list = append(list, fmt.Sprintf("(%d)", e.Number))
		}
	}
	return list
}

func (p *process) replayParked(numbers ...int64) {
	p.t.Helper()
	n, err := p.ReplayParked(p.t.Context(), "reader", &store.ParkedFilter{Stream: "s", Numbers: numbers})
	require.NoError(p.t, err)
	require.EqualValues(p.t, len(numbers), n)
}

// TestParkRetried: an event that is retried while others are handled, and is parked then, is parked once, and the checkpoint passes it;
// later events of its key are parked behind it, and all are handled when they are replayed.
func TestParkRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(5)
		h := &patient{}
		h.set(errPoison, 1)
		end := p.startConsume(h.handle, h.options(store.ConsumeOptions{Handlers: 2}))
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"1", "2", "3", "4", "5"}, h.sorted(), "the others do not wait")
		require.EqualValues(t, 0, p.checkpoint())
		time.Sleep(time.Hour)
		require.Equal(t, []string{"1", "1", "park 1"}, h.take())
		require.Equal(t, []string{"1 after 3"}, p.parked())
		require.EqualValues(t, 5, p.checkpoint())
		p.append(2)
		time.Sleep(10 * time.Second)
		require.Empty(t, h.take())
		require.Equal(t, []string{"1 after 3", "(6)", "(7)"}, p.parked())
		require.EqualValues(t, 7, p.checkpoint())

		p.replayParked(1)
		time.Sleep(time.Hour)
		require.Equal(t, []string{"1", "1", "1", "park 1"}, h.take(), "what is behind it waits")
		require.Equal(t, []string{"1 after 6", "(6)", "(7)"}, p.parked())
		h.set(nil, 1)
		p.replayParked(1)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"1", "6", "7"}, h.take())
		require.Empty(t, p.parked())
		p.append(1)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"8"}, h.take())
		require.ErrorIs(t, end(), context.Canceled)
		assert.EqualValues(t, 8, p.checkpoint())
	})
}

// TestParkBeforeParked: without PartitionBy an event may be retried while a later one of its stream is parked. Then it is handled, and if
// it is parked behind that when it comes again after the lease was lost, it is handled all the same, as it comes before.
func TestParkBeforeParked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		h := &patient{}
		h.set(errUnreachable, 1)
		h.set(errPoison, 2)
		opts := h.options(store.ConsumeOptions{Handlers: 2})
		decide := opts.OnError
		opts.OnError = func(e store.Recorded, err error, attempt int) store.Decision {
			if e.Number == 1 {
				return store.Retry
			}
			return decide(e, err, attempt)
		}
		end := p.startConsume(h.handle, opts)
		time.Sleep(10*time.Minute + 10*time.Second)
		require.Equal(t, []string{"2 after 3"}, p.parked())
		require.EqualValues(t, 0, p.checkpoint())
		require.ErrorIs(t, end(), context.Canceled)
		h.take()
		h.set(nil, 1)
		end = p.startConsume(h.handle, opts)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"1"}, h.take(), "3 comes again, and is behind 2")
		require.Equal(t, []string{"2 after 3", "(3)"}, p.parked())
		require.ErrorIs(t, end(), context.Canceled)
		assert.EqualValues(t, 3, p.checkpoint())
	})
}

// TestParkKeys: with PartitionBy, neither an event that is retried nor one that is replayed and fails again delays another key.
func TestParkKeys(t *testing.T) {
	t.Parallel()
	for handlers := 1; handlers < 3; handlers++ {
		t.Run(fmt.Sprint(handlers), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), nil)
				p.appendTypes("A", "B", "A", "B")
				h := &patient{}
				h.set(errPoison, 1)
				end := p.startConsume(h.handle, h.options(store.ConsumeOptions{
					Handlers: handlers, SubscribeOptions: store.SubscribeOptions{PartitionBy: byType},
				}))
				time.Sleep(10 * time.Second)
				require.Equal(t, []string{"1", "2", "4"}, h.sorted(), "3 is behind 1")
				time.Sleep(time.Hour)
				require.Equal(t, []string{"1", "1", "park 1"}, h.take())
				require.Equal(t, []string{"1 after 3", "(3)"}, p.parked())
				require.EqualValues(t, 4, p.checkpoint())
				h.set(errPoison, 5)
				p.appendTypes("B", "B", "A")
				time.Sleep(time.Hour)
				require.Equal(t, []string{"5", "5", "5", "park 5"}, h.take())
				require.Equal(t, []string{"1 after 3", "(3)", "5 after 3", "(6)", "(7)"}, p.parked())
				require.EqualValues(t, 7, p.checkpoint())

				h.set(nil, 5)
				p.replayParked(1, 5)
				p.appendTypes("C")
				time.Sleep(10 * time.Second)
				got := h.take()
				require.Contains(t, got, "8")
				require.Equal(t, []string{"5", "6"}, drop(drop(slices.Clone(got), "8"), "1"), "in order")
				require.Contains(t, got, "1")
				require.Len(t, got, 4, "1 is to be retried")
				require.Equal(t, []string{"(1)", "(3)", "(7)"}, p.parked())
				p.appendTypes("B", "C")
				time.Sleep(10 * time.Second)
				require.Equal(t, []string{"10", "9"}, h.sorted(), "new events go on")
				h.set(nil, 1)
				time.Sleep(5 * time.Minute)
				require.Equal(t, []string{"1", "3", "7"}, h.take())
				require.Empty(t, p.parked())
				require.ErrorIs(t, end(), context.Canceled)
				assert.EqualValues(t, 10, p.checkpoint())
			})
		})
	}
}

// TestReplayRetryDiscarded: a replayed event that is discarded while it waits to be retried is not handled again, and those behind it
// do not wait for the retry.
func TestReplayRetryDiscarded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(2)
		h := &patient{}
		h.set(errPoison, 1)
		end := p.startConsume(h.handle, h.options(store.ConsumeOptions{}))
		time.Sleep(time.Hour)
		require.Equal(t, []string{"1", "1", "1", "park 1"}, h.take())
		p.replayParked(1)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"1"}, h.take())
		n, err := p.DiscardParked(t.Context(), "reader", &store.ParkedFilter{Stream: "s", Numbers: []int64{1}})
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"2"}, h.take())
		time.Sleep(time.Hour)
		require.Empty(t, h.take())
		require.ErrorIs(t, end(), context.Canceled)
	})
}

// TestUnknownVersionOfOneKey: while an event of an unknown version is retried, the state is Waiting and other keys go on; when it is
// handled, or what it was retried under is over, the state goes on.
func TestUnknownVersionOfOneKey(t *testing.T) {
	t.Parallel()
	for name, over := range map[string]func(p *process, h *patient){
		"handled": func(_ *process, h *patient) { h.set(nil, 1) },
		"reset": func(p *process, h *patient) {
			h.set(nil, 1)
			require.NoError(p.t, p.ResetSubscription(p.t.Context(), "s", "reader", 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), nil)
				p.appendTypes("A", "B", "A", "B")
				h := &patient{}
				h.set(store.ErrUnknownVersion, 1)
				var mu sync.Mutex
				var state store.SubscriptionState
				end := p.startConsume(h.handle, h.options(store.ConsumeOptions{SubscribeOptions: store.SubscribeOptions{
					PartitionBy: byType, OnState: func(s store.SubscriptionState) {
						mu.Lock()
						defer mu.Unlock()
						state = s
					},
				}}))
				now := func() store.SubscriptionState {
					synctest.Wait()
					mu.Lock()
					defer mu.Unlock()
					return state
				}
				for range 5 {
					time.Sleep(time.Minute)
					require.Equal(t, store.Waiting, now().Phase)
					require.ErrorIs(t, now().Err, store.ErrUnknownVersion)
				}
				require.Subset(t, h.take(), []string{"1", "2", "4"})
				over(p, h)
				time.Sleep(5 * time.Minute)
				require.Equal(t, store.SubscriptionState{Phase: store.Live}, now())
				require.Equal(t, []string{"1", "3"}, slices.DeleteFunc(h.take(), func(s string) bool { return s == "2" || s == "4" }))
				require.ErrorIs(t, end(), context.Canceled)
			})
		})
	}
}
