package queue

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// event is the payload in tests.
type event struct{ number int64 }

// naive is a queue as one would explain it: a list of numbers, and for each the seat that has it.
type naive struct {
	received int64
	events   []*naiveEvent // unacknowledged, in the order of numbers
	held     [][]*naiveEvent
	looked   [][]*naiveEvent // at, outside of the lock
	pages    [][]*naiveEvent // that came in
}

type naiveEvent struct {
	number int64
	key    string
	seat   int // -1: queued
}

func (n *naive) checkpoint() int64 {
	if len(n.events) > 0 {
		return n.events[0].number - 1
	}
	return n.received
}

func (n *naive) checkpointBehind(number int64) int64 {
	for _, e := range n.events {
		if e.number > number {
			return e.number - 1
		}
	}
	return n.received
}

// unused returns how many pages are not needed any more.
func (n *naive) unused() (count int) {
	for _, page := range n.pages {
		if !slices.ContainsFunc(page, func(e *naiveEvent) bool {
			return slices.Contains(n.events, e) || slices.ContainsFunc(n.looked, func(l []*naiveEvent) bool { return slices.Contains(l, e) })
		}) {
			count++
		}
	}
	return count
}

// next returns the event that a seat is sent next, or nil.
func (n *naive) next(seat int) *naiveEvent {
	for _, e := range n.events {
		if e.seat < 0 && !slices.ContainsFunc(n.events, func(o *naiveEvent) bool {
			return e.key != "" && o.key == e.key && o.seat >= 0 && o.seat != seat
		}) {
			return e
		}
	}
	return nil
}

// available returns how many units there are: events without a key, and keys without events in flight.
func (n *naive) available() (count int) {
	keys := map[string]bool{}
	for _, e := range n.events {
		if e.seat >= 0 && e.key != "" {
			keys[e.key] = true
		}
	}
	for _, e := range n.events {
		if e.seat < 0 && !keys[e.key] {
			keys[e.key] = e.key != ""
			count++
		}
	}
	return count
}

// wiper is what recycles pages so that a test sees whether they are still used, and counts them.
type wiper int

func (w *wiper) recycle(page []event) {
	clear(page)
	*w++
}

// page returns a batch of events with these numbers and keys.
func page(q *Queue[event], numbers []int64, keys []string) *Batch[event] {
	b := q.Batch(len(numbers))
	b.Page = make([]event, len(numbers))
	for i, number := range numbers {
		b.Page[i].number = number
		b.Put(&b.Page[i], number, keys[i], nil)
	}
	return b
}

// nextOf is the item that a seat is sent next, whatever its share.
func nextOf(q *Queue[event], s *Seat[event]) *Item[event] { return lower(q.fresh(), s.lanes.front()) }

// TestQueueIsAsExplained lets events come in, be sent, acknowledged, given back, and left out, at random.
func TestQueueIsAsExplained(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 5).Draw(t, "start")
		var recycler wiper
		q := New(start, 0, 1000, recycler.recycle)
		seats := make([]*Seat[event], rapid.IntRange(1, 3).Draw(t, "seats"))
		for i := range seats {
			seats[i] = &Seat[event]{}
		}
		n := &naive{received: start, held: make([][]*naiveEvent, len(seats))}
		var held [][]*Item[event]
		who := rapid.IntRange(0, len(seats)-1)
		keys := rapid.SampledFrom([]string{"", "", "a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				list := rapid.SliceOfN(keys, 0, 5).Draw(t, "keys")
				numbers := make([]int64, len(list))
				var events []*naiveEvent
				for i, key := range list {
					n.received += rapid.Int64Range(1, 3).Draw(t, "step")
					numbers[i] = n.received
					events = append(events, &naiveEvent{n.received, key, -1})
				}
				q.Add(page(q, numbers, list))
				n.events = append(n.events, events...)
				n.pages = append(n.pages, events)
			},
			"skip": func(t *rapid.T) {
				n.received += rapid.Int64Range(0, 3).Draw(t, "by")
				q.Skip(n.received)
			},
			"send": func(t *rapid.T) {
				s := who.Draw(t, "seat")
				want, have := n.next(s), nextOf(q, seats[s])
				if want == nil {
					require.Nil(t, have)
					return
				}
				require.NotNil(t, have)
				require.Equal(t, want.number, have.Number)
				q.send(seats[s], have, 0)
				want.seat = s
				n.held[s] = append(n.held[s], want)
			},
			"ack": func(t *rapid.T) {
				s := who.Draw(t, "seat")
				if len(n.held[s]) == 0 {
					t.Skip("nothing in flight")
				}
				count := rapid.IntRange(1, len(n.held[s])).Draw(t, "count")
				place, ok := seats[s].find(n.held[s][count-1].number, 0)
				require.True(t, ok)
				require.Equal(t, count-1, place)
				q.ack(seats[s], count)
				n.events = slices.DeleteFunc(n.events, func(e *naiveEvent) bool { return slices.Contains(n.held[s][:count], e) })
				n.held[s] = n.held[s][count:]
			},
			"give back": func(t *rapid.T) {
				s := who.Draw(t, "seat")
				var places []int
				var kept []*naiveEvent
				for place, e := range n.held[s] {
					if rapid.Bool().Draw(t, fmt.Sprint("back ", e.number)) {
						places = append(places, place)
						e.seat = -1
					} else {
						kept = append(kept, e)
					}
				}
				q.giveBack(seats[s], places...)
				n.held[s] = kept
			},
			"hold": func(t *rapid.T) {
				s := who.Draw(t, "seat")
				items := slices.Clone(seats[s].items)
				hold(items)
				held = append(held, items)
				n.looked = append(n.looked, slices.Clone(n.held[s]))
			},
			"let": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip("no caller looks")
				}
				which := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				for i, item := range held[which] {
					require.Equal(t, n.looked[which][i].number, item.Event.number, "it is still there")
				}
				q.Let(held[which])
				held, n.looked = slices.Delete(held, which, which+1), slices.Delete(n.looked, which, which+1)
			},
			"": func(t *rapid.T) {
				require.Equal(t, n.checkpoint(), q.Checkpoint())
				between := rapid.Int64Range(n.checkpoint(), n.received).Draw(t, "between")
				require.Equal(t, n.checkpointBehind(between), q.CheckpointBehind(between))
				require.EqualValues(t, n.unused(), recycler)
				require.Equal(t, n.available(), q.available())
				queued := 0
				for _, e := range n.events {
					if e.seat < 0 {
						queued++
					}
				}
				require.Equal(t, 1000-queued, q.Room())
				for s := range seats {
					require.Len(t, seats[s].items, len(n.held[s]))
					for i, item := range seats[s].items {
						require.Equal(t, n.held[s][i].number, item.Number)
					}
				}
				if len(n.events) == 0 {
					require.True(t, q.Empty())
					require.Empty(t, q.lanes, "nothing is kept of keys")
				}
			},
		})
	})
}

// TestQueueKeepsOnlyWhatIsOpen counts what is kept while the first event stays unacknowledged.
func TestQueueKeepsOnlyWhatIsOpen(t *testing.T) {
	t.Parallel()
	q := New[event](0, 0, 1000, nil)
	var slow, fast Seat[event]
	q.Add(page(q, []int64{1, 2}, []string{"slow", "slow"}))
	q.send(&slow, nextOf(q, &slow), 0)
	for number := int64(3); number < 100_000; number++ {
		if number%2 == 0 {
			q.Skip(number)
			continue
		}
		q.Add(page(q, []int64{number}, []string{fmt.Sprint(number % 7)}))
		q.send(&fast, nextOf(q, &fast), 0)
		q.ack(&fast, 1)
	}
	require.EqualValues(t, 0, q.Checkpoint())
	require.Same(t, q.open.first, q.open.last, "only events of one page are open")
	require.Len(t, q.lanes, 1)
	require.Less(t, len(q.ready.entries)+len(fast.lanes.entries), 100)
	require.Less(t, cap(q.free.items), 100)
	q.send(&slow, nextOf(q, &slow), 0)
	q.ack(&slow, 2)
	require.EqualValues(t, 99_999, q.Checkpoint())
}

// TestHeapForgets: a lane that stands still does not keep what other lanes of the same seat have left in its heap.
func TestHeapForgets(t *testing.T) {
	t.Parallel()
	q := New[event](0, 0, 1000, nil)
	var s Seat[event]
	q.Add(page(q, []int64{1, 2}, []string{"still", "still"}))
	q.send(&s, q.fresh(), 0)
	for number := int64(3); number < 10_000; number += 2 {
		q.Add(page(q, []int64{number, number + 1}, []string{"moves", "moves"}))
		q.send(&s, q.fresh(), 0)
		q.send(&s, s.items[1].lane.items.front(), 0)
		q.land(s.items[1])
		q.drop(s.items[1])
		q.land(s.items[2])
		q.drop(s.items[2])
		s.items = s.items[:1]
	}
	require.LessOrEqual(t, len(s.lanes.entries), 64)
	require.EqualValues(t, 2, s.lanes.front().Number)
}
