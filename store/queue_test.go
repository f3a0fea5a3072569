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
		n := &naive{received: start, held: make([][]*naiveEvent, len(holders))}
		who := rapid.IntRange(0, len(holders)-1)
		keys := rapid.SampledFrom([]string{"", "", "a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				number := n.received + rapid.Int64Range(1, 3).Draw(t, "step")
				key := keys.Draw(t, "key")
				q.add(&Recorded{Number: number}, nil, key, nil)
				n.received = number
				n.events = append(n.events, &naiveEvent{number, key, -1})
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
				q.send(holders[h], have)
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
			"": func(t *rapid.T) {
				require.Equal(t, n.checkpoint(), q.checkpoint())
				queued := 0
				for _, e := range n.events {
					if e.holder < 0 {
						queued++
					}
				}
				require.Equal(t, queued, q.queued)
				for h := range holders {
					require.Len(t, holders[h].items, len(n.held[h]))
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
	q.add(&Recorded{Number: 1}, nil, "slow", nil)
	q.send(&slow, q.next(&slow))
	for number := int64(2); number < 100_000; number++ {
		if number%2 == 0 {
			q.skip(number)
			continue
		}
		q.add(&Recorded{Number: number}, nil, fmt.Sprint(number%7), nil)
		q.send(&fast, q.next(&fast))
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
