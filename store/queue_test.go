package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// naive is a queue as one would explain it: a list of numbers, and for each who has it.
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
	holder int // -1: queued
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

// unused returns how many pages nobody needs any more.
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

// next returns the event that a holder is sent next, or nil.
func (n *naive) next(holder int) *naiveEvent {
	for _, e := range n.events {
		if e.holder < 0 && !slices.ContainsFunc(n.events, func(o *naiveEvent) bool {
			return e.key != "" && o.key == e.key && o.holder >= 0 && o.holder != holder
		}) {
			return e
		}
	}
	return nil
}

// wiper is a [Recycler] that shows who still uses a page, and counts them.
type wiper int

func (w *wiper) Recycle(page []Recorded) {
	clear(page)
	*w++
}

// page returns a batch of events with these numbers and keys.
func (w *wiper) page(q *queue, numbers []int64, keys []string) *batch {
	b := q.newBatch(len(numbers))
	b.page, b.recycler = make([]Recorded, len(numbers)), w
	for i, number := range numbers {
		b.page[i].Number = number
		b.items = append(b.items, item{event: &b.page[i], key: keys[i]})
	}
	return b
}

// TestQueueIsAsExplained lets events come in, be sent, acknowledged, given back, and left out, at random.
func TestQueueIsAsExplained(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 5).Draw(t, "start")
		q := newQueue(start)
		holders := make([]*holder, rapid.IntRange(1, 3).Draw(t, "holders"))
		for i := range holders {
			holders[i] = &holder{}
		}
		var recycler wiper
		n := &naive{received: start, held: make([][]*naiveEvent, len(holders))}
		var held [][]*item
		who := rapid.IntRange(0, len(holders)-1)
		keys := rapid.SampledFrom([]string{"", "", "a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				page := rapid.SliceOfN(keys, 0, 5).Draw(t, "keys")
				numbers := make([]int64, len(page))
				var events []*naiveEvent
				for i, key := range page {
					n.received += rapid.Int64Range(1, 3).Draw(t, "step")
					numbers[i] = n.received
					events = append(events, &naiveEvent{n.received, key, -1})
				}
				q.add(recycler.page(q, numbers, page))
				n.events = append(n.events, events...)
				n.pages = append(n.pages, events)
			},
			"skip": func(t *rapid.T) {
				n.received += rapid.Int64Range(0, 3).Draw(t, "by")
				q.skip(n.received)
			},
			"send": func(t *rapid.T) {
				h := who.Draw(t, "holder")
				want, have := n.next(h), q.next(holders[h])
				if want == nil {
					require.Nil(t, have)
					return
				}
				require.NotNil(t, have)
				require.Equal(t, want.number, have.event.Number)
				q.send(holders[h], have, 0)
				want.holder = h
				n.held[h] = append(n.held[h], want)
			},
			"ack": func(t *rapid.T) {
				h := who.Draw(t, "holder")
				if len(n.held[h]) == 0 {
					t.Skip("nothing in flight")
				}
				count := rapid.IntRange(1, len(n.held[h])).Draw(t, "count")
				place, ok := holders[h].find(n.held[h][count-1].number, 0)
				require.True(t, ok)
				require.Equal(t, count-1, place)
				q.ack(holders[h], count)
				n.events = slices.DeleteFunc(n.events, func(e *naiveEvent) bool { return slices.Contains(n.held[h][:count], e) })
				n.held[h] = n.held[h][count:]
			},
			"give back": func(t *rapid.T) {
				h := who.Draw(t, "holder")
				var places []int
				var kept []*naiveEvent
				for place, e := range n.held[h] {
					if rapid.Bool().Draw(t, fmt.Sprint("back ", e.number)) {
						places = append(places, place)
						e.holder = -1
					} else {
						kept = append(kept, e)
					}
				}
				q.giveBack(holders[h], places...)
				n.held[h] = kept
			},
			"hold": func(t *rapid.T) {
				h := who.Draw(t, "holder")
				items := slices.Clone(holders[h].items)
				q.hold(items)
				held = append(held, items)
				n.looked = append(n.looked, slices.Clone(n.held[h]))
			},
			"let": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip("nobody looks")
				}
				which := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				for i, item := range held[which] {
					require.Equal(t, n.looked[which][i].number, item.event.Number, "it is still there")
				}
				q.let(held[which])
				held, n.looked = slices.Delete(held, which, which+1), slices.Delete(n.looked, which, which+1)
			},
			"": func(t *rapid.T) {
				require.Equal(t, n.checkpoint(), q.checkpoint())
				between := rapid.Int64Range(n.checkpoint(), n.received).Draw(t, "between")
				require.Equal(t, n.checkpointBehind(between), q.checkpointBehind(between))
				require.EqualValues(t, n.unused(), recycler)
				queued := 0
				for _, e := range n.events {
					if e.holder < 0 {
						queued++
					}
				}
				require.Equal(t, queued, q.queued)
				for h := range holders {
					require.Len(t, holders[h].items, len(n.held[h]))
					for i, item := range holders[h].items {
						require.Equal(t, n.held[h][i].number, item.event.Number)
					}
				}
				if len(n.events) == 0 {
					require.Empty(t, q.lanes, "nothing is kept of keys")
				}
			},
		})
	})
}

// TestQueueKeepsOnlyWhatIsOpen counts what is kept while the first event stays unacknowledged.
func TestQueueKeepsOnlyWhatIsOpen(t *testing.T) {
	t.Parallel()
	q := newQueue(0)
	var slow, fast holder
	var recycler wiper
	q.add(recycler.page(q, []int64{1}, []string{"slow"}))
	q.send(&slow, q.next(&slow), 0)
	for number := int64(2); number < 100_000; number++ {
		if number%2 == 0 {
			q.skip(number)
			continue
		}
		q.add(recycler.page(q, []int64{number}, []string{fmt.Sprint(number % 7)}))
		q.send(&fast, q.next(&fast), 0)
		q.ack(&fast, 1)
	}
	require.EqualValues(t, 0, q.checkpoint())
	require.Same(t, q.first, q.last, "one event is open")
	require.Len(t, q.lanes, 1)
	require.Less(t, len(q.ready)+len(fast.lanes), 100)
	require.Less(t, cap(q.free.items), 100)
	q.ack(&slow, 1)
	require.EqualValues(t, 99_999, q.checkpoint())
}
