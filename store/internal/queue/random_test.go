package queue

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// world is a stream with events, a subscription's goroutine that reads it, and subscribers.
type world struct {
	t         *rapid.T
	d         *Desk[event]
	size      int // of the queue
	page      int // how many events are read at a time
	bytes     int // of the queue, or 0
	events    []*worldEvent
	sitters   []*sitter
	delivered int64
	presses   int
	again     bool // the last step has read again
}

type worldEvent struct {
	number int64
	key    string
	acked  bool
	gone   bool // hard deleted
}

// sitter is a subscriber, with what it has in flight in the order in which it was sent.
type sitter struct {
	seat           *Seat[event]
	size           int
	has            []int64
	waiting, woken bool
}

func (w *world) event(number int64) *worldEvent { return w.events[number-1] }

// sit lets one more subscriber in.
func (w *world) sit(size int) {
	s := &sitter{size: size}
	seat, err := w.d.Sit(size, func() { s.woken = true })
	if errors.Is(err, ErrFull) {
		return
	}
	require.NoError(w.t, err)
	s.seat = seat
	w.sitters = append(w.sitters, s)
}

// run does what the subscription's goroutine does, until it has done so many things or there is nothing more to do.
func (w *world) run(steps int) {
	for range steps {
		if !w.step() {
			return
		}
	}
}

// step does what the subscription's goroutine does next, and reports whether there was anything.
func (w *world) step() bool {
	q := w.d.Queue()
	more := q.Received() < int64(len(w.events))
	if (more || q.Dropped()) && !w.enough() && w.d.Starved() {
		w.presses++
		q.Press()
	}
	from, again := q.Wants()
	if again && (!w.again || !more || !w.enough()) {
		w.again = true
		w.readAgain(from)
		return true
	}
	w.again = false
	if !more || !w.enough() {
		return false
	}
	b := q.Batch(w.page)
	last := q.Received()
	for last < int64(len(w.events)) && b.Len() < w.page {
		last++
		if e := w.event(last); !e.gone {
			b.Put(&event{last}, last, e.key, nil)
		}
	}
	q.Add(b)
	q.Skip(last)
	w.d.Stir()
	return true
}

// enough reports whether the queue has room for a page.
func (w *world) enough() bool {
	q := w.d.Queue()
	return q.Room() >= w.page && (w.bytes == 0 || q.Bytes() <= w.bytes)
}

// weight is how many bytes an event has, if the queue is bounded in bytes.
func weight(e *event) int { return 1 + int(e.number%5) }

// rest lets the goroutine do all there is to do.
func (w *world) rest() {
	w.run(1000)
	require.False(w.t, w.step(), "it goes round in circles")
	q := w.d.Queue()
	if q.available() == 0 && slices.ContainsFunc(w.sitters, func(s *sitter) bool { return s.waiting && len(s.has) < s.size }) {
		require.EqualValues(w.t, len(w.events), q.Received(), "a subscriber waits, and other keys may be behind those that stand still")
	}
}

func (w *world) readAgain(from int64) {
	q := w.d.Queue()
	upTo := min(from+int64(w.page)-1, q.Received())
	b := q.Batch(w.page)
	for number := from; number <= upTo; number++ {
		if e := w.event(number); q.WasDropped(number) && !e.gone {
			require.False(w.t, e.acked)
			b.Put(&event{number}, number, e.key, nil)
		}
	}
	q.Again(b, upTo)
	require.GreaterOrEqual(w.t, q.Room(), 0)
	w.d.Stir()
}

// take lets a subscriber ask, unless it waits and was not woken.
func (w *world) take(s *sitter, one bool) {
	if s.waiting && !s.woken {
		return
	}
	w.delivered++
	items, _, err := w.d.Take(s.seat, Request{Delivery: w.delivered, Open: true, Waited: s.waiting, Bytes: w.bytes, One: one})
	require.NoError(w.t, err)
	s.waiting, s.woken = len(items) == 0, false
	keys := map[string]bool{}
	for _, i := range items {
		e := w.event(i.Number)
		require.False(w.t, e.acked, "%d is acknowledged", i.Number)
		for _, o := range w.sitters {
			require.NotContains(w.t, o.has, i.Number, "in flight twice")
		}
		if one {
			require.True(w.t, len(items) == 1 || e.key != "", "one event without a key")
			for _, number := range s.has {
				require.True(w.t, keys[e.key] || e.key == "" || w.event(number).key != e.key, "a key that is in flight")
			}
		}
		keys[e.key] = true
		s.has = append(s.has, i.Number)
	}
	require.True(w.t, !one || len(keys) <= 1)
	if w.bytes > 0 && len(items) > 1 {
		bytes := 0
		for _, i := range items {
			bytes += weight(i.Event)
		}
		require.LessOrEqual(w.t, bytes, w.bytes)
	}
	require.LessOrEqual(w.t, len(s.has), s.size)
	w.d.Queue().Let(items)
	w.check()
}

// acked notes what a subscriber has acknowledged.
func (w *world) acked(s *sitter, numbers ...int64) {
	for _, number := range numbers {
		w.event(number).acked = true
	}
	s.has = slices.DeleteFunc(s.has, func(number int64) bool { return slices.Contains(numbers, number) })
}

func (w *world) answer(numbers ...int64) Answer {
	return Answer{N: len(numbers), Event: func(i int) (int64, int64) { return numbers[i], 0 }, Open: true, Sent: w.delivered}
}

// check checks what always holds.
func (w *world) check() {
	q := w.d.Queue()
	at := map[int64]*sitter{}
	where := map[string]*sitter{}
	for _, s := range w.sitters {
		require.Len(w.t, s.seat.items, len(s.has))
		for place, i := range s.seat.items {
			require.Equal(w.t, s.has[place], i.Number)
			at[i.Number] = s
			if key := w.event(i.Number).key; key != "" {
				require.True(w.t, where[key] == nil || where[key] == s, "key %s is at two seats", key)
				where[key] = s
			}
		}
	}
	lowest := q.Received() + 1
	before := map[string]int64{} // of a key, the lowest number that waits
	for _, e := range w.events[:q.Received()] {
		if e.acked || e.gone && at[e.number] == nil {
			continue
		}
		lowest = min(lowest, e.number)
		if e.key == "" {
			continue
		}
		if at[e.number] == nil && before[e.key] == 0 {
			before[e.key] = e.number
		}
		require.False(w.t, at[e.number] != nil && before[e.key] > 0, "%d of key %s is in flight, and %d waits", e.number, e.key, before[e.key])
	}
	require.LessOrEqual(w.t, q.Checkpoint(), lowest-1)
	if !slices.ContainsFunc(w.events, func(e *worldEvent) bool { return e.gone }) {
		require.Equal(w.t, lowest-1, q.Checkpoint())
	}
	wanting := 0
	for _, l := range q.short {
		if l.wants() {
			wanting++
		}
	}
	require.Equal(w.t, wanting, q.wanting)
	waiting, woken := 0, 0
	for _, s := range w.sitters {
		if len(s.has) < s.size && s.waiting {
			waiting++
			if s.woken {
				woken++
			}
		}
	}
	require.GreaterOrEqual(w.t, woken, min(waiting, q.available()), "a subscriber waits for what is there, and was not woken")
}

// TestRandom lets events come and subscribers come, take, acknowledge, give back and go at random, with a queue that is small, and
// checks that every event is handled, and the events of a key in order and at one subscriber at a time.
func TestRandom(t *testing.T) {
	t.Parallel()
	presses := 0
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 10).Draw(t, "size")
		w := &world{t: t, size: size, page: (size + 1) / 2}
		q := New[event](0, 0, size, nil)
		if w.bytes = rapid.IntRange(0, 20).Draw(t, "bytes"); w.bytes > 0 {
			q.Bound(w.bytes, weight)
		}
		w.d = NewDesk(q, 3)
		room := rapid.IntRange(1, 4)
		w.sit(room.Draw(t, "room"))
		w.sit(room.Draw(t, "room"))
		deletes := rapid.Bool().Draw(t, "deletes")
		for range 120 {
			w.happens(room, deletes)
			w.check()
		}
		w.drain()
		presses += w.presses
	})
	require.NotZero(t, presses, "the queue was never full of what stands still")
}

// happens lets something happen. What is of no use now is left.
func (w *world) happens(room *rapid.Generator[int], deletes bool) {
	t := w.t
	draw := func(what string, most int) int { return rapid.IntRange(0, most).Draw(t, what) }
	if len(w.sitters) == 0 {
		w.sit(room.Draw(t, "room"))
	}
	s := w.sitters[draw("who", len(w.sitters)-1)]
	if len(s.has) > 0 {
		if place := draw("which", 3*len(s.has)); place < len(s.has) {
			w.answers(s, place, draw("answer", 2))
			return
		}
	}
	switch what := draw("what", 20); {
	case what < 2:
		for _, key := range rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "a", "a", "a", "b", "b", "c"}), 1, 12).Draw(t, "keys") {
			w.events = append(w.events, &worldEvent{number: int64(len(w.events) + 1), key: key})
		}
	case what < 6:
		w.run(1 + what%2)
	case what < 7:
		w.rest()
	case what < 17:
		w.take(s, what < 13)
	case what == 17 && s.waiting:
		s.waiting = false
		w.d.Idle(s.seat)
	case what == 18:
		w.sit(room.Draw(t, "room"))
	case what == 19:
		left, ok := w.d.Rise(s.seat, errors.New("left"))
		require.True(t, ok)
		w.sitters = slices.DeleteFunc(w.sitters, func(o *sitter) bool { return o == s })
		require.Len(t, w.sitters, left)
	case what == 20 && deletes && len(w.events) > 0:
		e := w.events[draw("event", len(w.events)-1)]
		if q := w.d.Queue(); q.WasDropped(e.number) || e.number > q.Received() {
			e.gone = true
		}
	}
}

// answers lets a subscriber answer for an event in flight.
func (w *world) answers(s *sitter, place, what int) {
	switch what {
	case 0:
		require.NoError(w.t, w.d.Ack(s.seat, w.answer(s.has[place])))
		w.acked(s, slices.Clone(s.has[:place+1])...)
	case 1:
		for n := range place {
			if w.event(s.has[n]).key == w.event(s.has[place]).key {
				return // in the order of its key
			}
		}
		require.NoError(w.t, w.d.AckOnly(s.seat, w.answer(s.has[place])))
		w.acked(s, s.has[place])
	case 2:
		require.NoError(w.t, w.d.Nack(s.seat, w.answer(s.has[place:]...)))
		s.has = slices.Clone(s.has[:place])
	}
}

// drain has everything handled, and checks that it was.
func (w *world) drain() {
	w.sit(1)
	for n := 0; ; n++ {
		require.Less(w.t, n, 10_000, "events are left: %s", w.left())
		w.rest()
		done := true
		for _, s := range w.sitters {
			w.take(s, false)
			if len(s.has) > 0 {
				require.NoError(w.t, w.d.Ack(s.seat, w.answer(s.has...)))
				w.acked(s, slices.Clone(s.has)...)
				done = false
			}
		}
		w.rest()
		if done && w.d.Queue().Empty() && !w.d.Queue().Dropped() {
			break
		}
	}
	for _, e := range w.events {
		require.True(w.t, e.acked || e.gone, "%d of key %q was never sent", e.number, e.key)
	}
	q := w.d.Queue()
	require.EqualValues(w.t, len(w.events), q.Checkpoint())
	require.Empty(w.t, q.lanes)
	require.Zero(w.t, q.units)
	require.Zero(w.t, q.wanting)
	require.Zero(w.t, q.queued)
	require.Zero(w.t, q.bytes)
}

func (w *world) left() (list string) {
	for _, e := range w.events {
		if !e.acked && !e.gone {
			list += fmt.Sprintf("%d%s ", e.number, e.key)
		}
	}
	return list
}
