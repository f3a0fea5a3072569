package batch

import (
	"slices"
	"time"
)

// Retries decides when events in flight that have failed are handled again, and which consumer C of a subscription does it: the one that
// has the event, or an idle one if that is busy. E is what the caller keeps of a retry.
//
//	| retry    | event                                                | then     | out                       |
//	|----------|------------------------------------------------------|----------|---------------------------|
//	| -        | Await                                                | awaited  |                           |
//	| awaited  | Due: its consumer has time, and so it is             | begins   | it                        |
//	| awaited  | HandOver: it is due, its consumer is busy            | handed   | it: give its event back   |
//	| awaited  | HandOver of a callback, of which the queue counts    | forgotten | it                       |
//	|          | the attempts                                         |          |                           |
//	| handed   | Handed: its event was sent again                     | begins   | it                        |
//	| any      | Drop, Leave of its consumer; handed: of any consumer | forgotten |                          |
//	| awaited  | Busy: its consumer handles something                 | same     | idle consumers, to wake   |
type Retries[C comparable, E any] struct {
	busy    map[C]bool // of all consumers
	awaited []*Again[C, E]
	handed  map[int64]*Again[C, E] // by number
}

// Again is an event in flight that is to be handled again.
type Again[C comparable, E any] struct {
	Consumer C // that has the event
	Number   int64
	At       time.Time
	Alone    bool // no other consumer could handle it either
	Callback bool // it is a callback that has failed
	Tried    E
}

// NewRetries returns no retries.
func NewRetries[C comparable, E any]() *Retries[C, E] {
	return &Retries[C, E]{busy: map[C]bool{}, handed: map[int64]*Again[C, E]{}}
}

// Join adds a consumer, which is busy.
func (r *Retries[C, E]) Join(c C) { r.busy[c] = true }

// Leave removes a consumer and its retries.
func (r *Retries[C, E]) Leave(c C) {
	r.Drop(c)
	delete(r.busy, c)
}

// Rest notes that a consumer has nothing to handle.
func (r *Retries[C, E]) Rest(c C) { r.busy[c] = false }

// Busy notes that a consumer handles something. It returns the idle consumers if one of them is to handle its retries meanwhile.
func (r *Retries[C, E]) Busy(c C) (wake []C) {
	r.busy[c] = true
	if slices.ContainsFunc(r.awaited, func(a *Again[C, E]) bool { return a.Consumer == c }) {
		return r.Idle()
	}
	return nil
}

// Idle returns the consumers that have nothing to handle.
func (r *Retries[C, E]) Idle() (idle []C) {
	for c, busy := range r.busy {
		if !busy {
			idle = append(idle, c)
		}
	}
	return idle
}

// Await adds a retry.
func (r *Retries[C, E]) Await(a *Again[C, E]) { r.awaited = append(r.awaited, a) }

// Drop forgets the retries of a consumer, whose events are not in flight any more, and those that were handed over.
func (r *Retries[C, E]) Drop(c C) {
	r.awaited = slices.DeleteFunc(r.awaited, func(a *Again[C, E]) bool { return a.Consumer == c })
	clear(r.handed)
}

// First returns when a consumer that is idle has a retry to handle. ok is false if it has none.
func (r *Retries[C, E]) First(c C) (at time.Time, ok bool) {
	if n := r.first(func(a *Again[C, E]) bool { return r.isFor(a, c) }); n >= 0 {
		return r.awaited[n].At, true
	}
	return at, false
}

// Due returns the retry of a consumer that has been due longest, which begins, or nil.
func (r *Retries[C, E]) Due(c C, now time.Time) *Again[C, E] {
	return r.take(r.first(func(a *Again[C, E]) bool { return a.Consumer == c }), now)
}

// HandOver returns the retry of a busy consumer that has been due longest, or nil. Its event is to be given back; the consumer that is sent
// it next begins the retry.
func (r *Retries[C, E]) HandOver(idle C, now time.Time) *Again[C, E] {
	a := r.take(r.first(func(a *Again[C, E]) bool { return a.Consumer != idle && r.isFor(a, idle) }), now)
	if a != nil && !a.Callback {
		r.handed[a.Number] = a
	}
	return a
}

// Handed returns the retry that was handed over and begins now, since the event with this number was sent again, or nil.
func (r *Retries[C, E]) Handed(number int64) *Again[C, E] {
	a := r.handed[number]
	delete(r.handed, number)
	return a
}

// FirstAlone returns the retry of a consumer, of those that no other one can handle, with the lowest number, or nil.
func (r *Retries[C, E]) FirstAlone(c C) (first *Again[C, E]) {
	for _, a := range r.awaited {
		if a.Consumer == c && a.Alone && (first == nil || a.Number < first.Number) {
			first = a
		}
	}
	return first
}

// isFor reports whether an idle consumer handles a retry: its own, or that of a consumer that is busy.
func (r *Retries[C, E]) isFor(a *Again[C, E], c C) bool {
	return a.Consumer == c || r.busy[a.Consumer] && !a.Alone
}

// first returns the place of the retry that is due first of those that are chosen, or -1.
func (r *Retries[C, E]) first(chosen func(a *Again[C, E]) bool) int {
	first := -1
	for n, a := range r.awaited {
		if chosen(a) && (first < 0 || a.At.Before(r.awaited[first].At)) {
			first = n
		}
	}
	return first
}

// take takes the retry at a place if it is due.
func (r *Retries[C, E]) take(n int, now time.Time) *Again[C, E] {
	if n < 0 || r.awaited[n].At.After(now) {
		return nil
	}
	a := r.awaited[n]
	r.awaited = slices.Delete(r.awaited, n, n+1)
	return a
}
