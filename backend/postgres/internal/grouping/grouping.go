// Package grouping decides which appends of a process go to the database together. It only computes: the caller holds the lock, reads
// the clock, starts goroutines, and sends what the methods return.
package grouping

import (
	"slices"
	"time"
)

// Limits bound a group.
type Limits struct {
	Flushes int // appends that lead, and flushes, under way at the same time
	Members int // appends of a flush
	Events  int // events of a flush
	Bytes   int // bytes of a flush
}

// State is what the group has decided about an append.
type State int8

const (
	Waiting  State = iota + 1 // for a flush
	Leading                   // on its own, counted as a flush
	Together                  // in a flush with others
	Alone                     // on its own, not counted: another session may hold its stream for a long time
	Gone                      // ended, or given up by its caller
)

// Append is an append in the group. T is what the caller keeps with it.
type Append[T any] struct {
	Of T

	stream        string
	events, bytes int
	state         State
	since         time.Time // when it began to lead
	company       *company  // if it is in a flush
}

// Stream returns the name of the stream that is appended to.
func (a *Append[T]) Stream() string { return a.stream }

// State returns what the group has decided last.
func (a *Append[T]) State() State { return a.state }

// company counts the callers that wait for a flush.
type company struct{ present int }

// Group is the appends of a process that are under way or wait. An append never waits for others: if fewer than Limits.Flushes are under
// way, it goes at once, as a leader. When a leader or a flush ends, the appends that came meanwhile go next. Two appends to one stream are
// never under way together unless one goes alone. Until then appends to one stream keep their order.
//
// A stream that another session holds delays only its own appends. A flush skips such a stream: its append is refused and goes alone, to
// wait for the stream. A leader that takes longer than the patience is passed: it no longer counts, and it and the appends behind it on
// its stream go alone.
//
//	state     event                                      then      returned
//	-         Join: an append to its stream goes alone   Alone
//	-         Join: a flush is free, and none of its     Leading
//	          stream leads, is in a flush, or waits
//	-         Join: otherwise                            Waiting
//	Waiting   another ends: only this one can go         Leading   it
//	Waiting   another ends: several can go               Together  those, in the order they came
//	Waiting   another ends: its stream is busy, or the   Waiting
//	          flush is full
//	Waiting   Pass: the leader of its stream is passed   Alone     it, in order
//	Waiting   Quit                                       Gone
//	Leading   Leave                                      Gone      the next
//	Leading   Pass: it has led for the patience          Alone     the next
//	Together  Refuse: the flush did not write it         Alone
//	Together  Quit: others still wait for the flush      Gone
//	Together  Quit: no other caller waits                Together  last: cancel the flush
//	Alone     Leave                                      Gone
//	flush     Sent: the flush has ended                            the next
//
// A leader that takes followers along is the group commit of databases; see DeWitt et al., Implementation Techniques for Main Memory
// Database Systems, 1984.
type Group[T any] struct {
	limits  Limits
	flushes int // under way, leaders included
	leaders []*Append[T]
	waiting []*Append[T]
	streams map[string]traffic
}

// traffic is the appends to a stream.
type traffic struct {
	busy    bool // one is in a flush, or leads
	waiting int
	alone   int
}

// New returns a group without appends.
func New[T any](limits Limits) *Group[T] {
	return &Group[T]{limits: limits, streams: map[string]traffic{}}
}

// Join adds an append. Its state is then Leading, Alone or Waiting.
func (g *Group[T]) Join(stream string, events, bytes int, now time.Time) *Append[T] {
	a := &Append[T]{stream: stream, events: events, bytes: bytes}
	switch t := g.streams[stream]; {
	case t.alone > 0:
		g.alone(a)
	case g.flushes < g.limits.Flushes && !t.busy && t.waiting == 0:
		g.flushes++
		t.busy = true
		g.note(stream, t)
		g.lead(a, now)
	default:
		t.waiting++
		g.note(stream, t)
		a.state = Waiting
		g.waiting = append(g.waiting, a)
	}
	return a
}

// Leave ends an append that led or went alone. It returns the appends that go next: none, one that leads, or several in one flush.
func (g *Group[T]) Leave(a *Append[T], now time.Time) (next []*Append[T]) {
	was := a.state
	a.state = Gone
	if was == Alone {
		t := g.streams[a.stream]
		t.alone--
		g.note(a.stream, t)
		return nil
	}
	g.leaders = slices.DeleteFunc(g.leaders, func(l *Append[T]) bool { return l == a })
	g.free(a)
	return g.next(now)
}

// Sent ends a flush and returns the appends that go next, like Leave.
func (g *Group[T]) Sent(flush []*Append[T], now time.Time) (next []*Append[T]) {
	for _, a := range flush {
		g.free(a)
	}
	return g.next(now)
}

// Refuse lets an append that its flush did not write go alone. Call it before or after Sent.
func (g *Group[T]) Refuse(a *Append[T]) { g.alone(a) }

// Quit records that the caller of an append has given up before the answer. It reports whether that was the last caller that waited for
// the flush; cancel the flush then. Quit changes nothing for an append that leads or goes alone: call Leave.
func (g *Group[T]) Quit(a *Append[T]) (last bool) {
	switch a.state {
	case Together:
		a.company.present--
		if a.company.present == 0 {
			return true
		}
		a.state = Gone
	case Waiting:
		t := g.streams[a.stream]
		t.waiting--
		g.note(a.stream, t)
		g.waiting = slices.DeleteFunc(g.waiting, func(w *Append[T]) bool { return w == a })
		a.state = Gone
	}
	return false
}

// Passed is the result of passing one leader.
type Passed[T any] struct {
	Alone []*Append[T] // the appends behind it, in their order; they go alone
	Next  []*Append[T] // the appends that go next, as from Leave
}

// Pass passes each leader that has led for at least patience.
func (g *Group[T]) Pass(now time.Time, patience time.Duration) (passed []Passed[T]) {
	for _, l := range slices.Clone(g.leaders) {
		if now.Sub(l.since) < patience {
			continue
		}
		g.leaders = slices.DeleteFunc(g.leaders, func(other *Append[T]) bool { return other == l })
		g.alone(l)
		g.free(l)
		var p Passed[T]
		g.waiting = slices.DeleteFunc(g.waiting, func(a *Append[T]) bool {
			if a.stream != l.stream {
				return false
			}
			p.Alone = append(p.Alone, a)
			return true
		})
		for _, a := range p.Alone {
			t := g.streams[a.stream]
			t.waiting--
			g.note(a.stream, t)
			g.alone(a)
		}
		p.Next = g.next(now)
		passed = append(passed, p)
	}
	return passed
}

// Waiting returns how many appends wait for a flush.
func (g *Group[T]) Waiting() int { return len(g.waiting) }

// Idle reports whether there are no appends.
func (g *Group[T]) Idle() bool { return g.flushes == 0 && len(g.waiting) == 0 && len(g.streams) == 0 }

// lead lets an append lead. Its stream is already marked busy.
func (g *Group[T]) lead(a *Append[T], now time.Time) {
	a.state, a.since = Leading, now
	g.leaders = append(g.leaders, a)
}

// alone lets an append go alone.
func (g *Group[T]) alone(a *Append[T]) {
	a.state = Alone
	t := g.streams[a.stream]
	t.alone++
	g.note(a.stream, t)
}

// free lets other appends to its stream go.
func (g *Group[T]) free(a *Append[T]) {
	t := g.streams[a.stream]
	t.busy = false
	g.note(a.stream, t)
}

// note stores the traffic of a stream, and drops a stream without traffic.
func (g *Group[T]) note(stream string, t traffic) {
	if t == (traffic{}) {
		delete(g.streams, stream)
		return
	}
	g.streams[stream] = t
}

// next returns the appends that replace a leader or a flush that has ended.
func (g *Group[T]) next(now time.Time) []*Append[T] {
	taken := g.take()
	switch len(taken) {
	case 0:
		g.flushes--
	case 1:
		g.lead(taken[0], now)
	default:
		c := &company{present: len(taken)}
		for _, a := range taken {
			a.state, a.company = Together, c
		}
	}
	return taken
}

// take removes from the queue the appends that can go together: the first of each stream that is not busy, within the limits.
func (g *Group[T]) take() (taken []*Append[T]) {
	rest := g.waiting[:0]
	events, bytes := 0, 0
	for i, a := range g.waiting {
		if len(taken) == g.limits.Members || len(taken) > 0 && (events+a.events > g.limits.Events || bytes+a.bytes > g.limits.Bytes) {
			rest = append(rest, g.waiting[i:]...)
			break
		}
		t := g.streams[a.stream]
		if t.busy {
			rest = append(rest, a)
			continue
		}
		t.busy = true
		t.waiting--
		g.note(a.stream, t)
		events += a.events
		bytes += a.bytes
		taken = append(taken, a)
	}
	clear(g.waiting[len(rest):])
	g.waiting = rest
	return taken
}
