package queue

import (
	"errors"
	"fmt"
	"slices"
)

// Desk hands the events of a queue out to seats, in turns, and takes their answers.
//
// A seat's turn comes when it has waited longest since it was sent something. What is there is dealt out to all seats with room,
// one unit at a time: an event without a key, or a lane that belongs to no seat. So a seat is sent no more than its share, even
// if the others have not asked yet; a seat that asks is only passed over for others that wait and whose turn comes first.
type Desk[E any] struct {
	queue  *Queue[E]
	limit  int
	seats  []*Seat[E] // the one whose turn it is first
	sealed error
}

// Seat is a subscriber as the desk sees it: what it has in flight. Its fields belong to the desk.
type Seat[E any] struct {
	size   int
	wake   func()
	items  []*Item[E]  // in flight, in the order in which they were sent; not changed in place, since callers that look at them share it
	lanes  laneHeap[E] // that belong to it, with queued items
	served bool        // it was sent something

	waiting int  // calls that wait for something to be sent
	hungry  bool // there was nothing for it when it asked last

	notice error          // to be returned from Take once
	voided map[int64]bool // what was in flight when that was voided last
	expiry int64          // deliveries up to this one were void when the lease was seen to have expired
	ended  error          // why it gets no more events
}

// ErrFull says that there are as many seats as the limit allows.
var ErrFull = errors.New("no seat is free")

// ErrVoid says that an event was in flight, but is not any more, since the lease was lost. It comes again.
var ErrVoid = errors.New("void")

// UnknownError says that a seat does not have an event in flight.
type UnknownError struct{ Number int64 }

func (e *UnknownError) Error() string { return fmt.Sprintf("%d is not in flight", e.Number) }

// NewDesk returns a desk for a queue, with limit seats at most.
func NewDesk[E any](q *Queue[E], limit int) *Desk[E] { return &Desk[E]{queue: q, limit: limit} }

// Queue returns the desk's queue.
func (d *Desk[E]) Queue() *Queue[E] { return d.queue }

// Seats returns how many seats are taken.
func (d *Desk[E]) Seats() int { return len(d.seats) }

// Sit adds a seat that has at most size events in flight. The desk calls wake when there may be something for it; wake must not
// block. The error is ErrFull.
func (d *Desk[E]) Sit(size int, wake func()) (*Seat[E], error) {
	if len(d.seats) >= d.limit {
		return nil, ErrFull
	}
	s := &Seat[E]{size: size, wake: wake}
	at := slices.IndexFunc(d.seats, func(o *Seat[E]) bool { return o.served })
	if at < 0 {
		at = len(d.seats)
	}
	d.seats = slices.Insert(d.seats, at, s)
	return s, nil
}

// Rise ends a seat. What it has in flight goes to the others, before all else. It returns how many seats are left. If the seat
// has ended already, ok is false and nothing changes.
func (d *Desk[E]) Rise(s *Seat[E], why error) (left int, ok bool) {
	if s.ended != nil {
		return len(d.seats), false
	}
	d.takeBack(s)
	d.seats = slices.DeleteFunc(d.seats, func(o *Seat[E]) bool { return o == s })
	s.end(why)
	d.Stir()
	return len(d.seats), true
}

// End ends all seats. Nothing is taken back.
func (d *Desk[E]) End(why error) {
	for _, s := range d.seats {
		s.end(why)
	}
	d.seats = nil
}

func (s *Seat[E]) end(why error) {
	s.ended = why
	s.wake()
}

// Seal lets nothing be acknowledged or given back any more: that returns why.
func (d *Desk[E]) Seal(why error) { d.sealed = why }

// Void forgets what is in flight or queued, and goes on with another queue. A notice that is not nil is returned once from the
// next Take of each seat.
func (d *Desk[E]) Void(q *Queue[E], notice error) {
	d.queue = q
	for _, s := range d.seats {
		s.noteVoid()
		s.items, s.lanes = nil, laneHeap[E]{}
		if notice != nil {
			s.notice = notice
			s.wake()
		}
	}
}

// noteVoid notes that what the seat has in flight is void. If that is nothing, the subscriber may still be busy with what was
// voided before.
func (s *Seat[E]) noteVoid() {
	if len(s.items) == 0 {
		return
	}
	s.voided = make(map[int64]bool, len(s.items))
	for _, i := range s.items {
		s.voided[i.Number] = true
	}
}

// Size returns how many events the seat has in flight at most.
func (s *Seat[E]) Size() int { return s.size }

// room returns how many more events the seat may have in flight.
func (s *Seat[E]) room() int { return s.size - len(s.items) }

// Stir wakes the seats that wait and have something to be sent. Call it when more may be sent than before.
func (d *Desk[E]) Stir() {
	units := d.queue.available()
	for _, s := range d.seats {
		if s.waiting > 0 && s.room() > 0 && (units > 0 || s.lanes.front() != nil) {
			s.wake()
			units--
		}
	}
}

// Starved reports whether a seat with room has asked for events and got none, though some are queued: all of them are behind
// others in flight.
func (d *Desk[E]) Starved() bool {
	return d.queue.queued > 0 && d.queue.available() == 0 && slices.ContainsFunc(d.seats, func(s *Seat[E]) bool { return s.hungry && s.room() > 0 })
}

// Request is how Take is asked.
type Request struct {
	Delivery int64 // its number, higher than all before
	Open     bool  // events may be sent
	Waited   bool  // it is asked again, since it returned nothing
	Bytes    int   // of the events that are sent at most; one is sent in any case; 0 for any number
	One      bool  // for one unit, of another key than those in flight: its events up to the first that any seat could be sent
}

// Take sends the seat what is there for it, in order: its share of the units, and what is queued of lanes that belong to it. An
// item that has a failure comes alone. Items must be let go by [Queue.Let]. times is how often the first was sent, this time
// included.
//
// If there is nothing, the caller waits until it is woken and takes again, with Waited, or calls Idle. The error is the notice of
// Void, or why the seat has ended.
func (d *Desk[E]) Take(s *Seat[E], r Request) (items []*Item[E], times int, err error) {
	if r.Waited {
		s.waiting--
	}
	switch {
	case s.ended != nil:
		return nil, 0, s.ended
	case s.notice != nil:
		err = s.notice
		s.notice = nil
		return nil, 0, err
	}
	if r.Open && s.room() > 0 && d.queue.queued > 0 {
		items = d.send(s, r)
	}
	s.hungry = len(items) == 0
	if len(items) == 0 {
		s.waiting++
		return nil, 0, nil
	}
	d.toEnd(s)
	d.Stir()
	hold(items)
	return items, int(items[0].sent), nil
}

// send sends the seat what is there for it.
func (d *Desk[E]) send(s *Seat[E], r Request) []*Item[E] {
	before, share := len(s.items), d.share(s)
	if r.One {
		share = min(share, 1)
	}
	bytes := 0
	for room := s.room(); room > 0; room-- {
		i := d.next(s, share > 0, r.One, before)
		if i == nil {
			break
		}
		bytes += d.queue.weight(i)
		if len(s.items) > before && (i.failure != nil || r.Bytes > 0 && bytes > r.Bytes) {
			break
		}
		if i.lane == nil || i.lane.seat != s {
			share--
		}
		if len(s.items) == before {
			s.items = slices.Grow(s.items, d.likely(room, share+1, r.One))
		}
		d.queue.send(s, i, r.Delivery)
		if i.failure != nil {
			break
		}
	}
	return s.items[before:]
}

// likely returns how many items a seat with room is likely to be sent, of so many units.
func (d *Desk[E]) likely(room, units int, one bool) int {
	switch {
	case one:
		return 1
	case len(d.queue.lanes) > 0:
		return min(room, d.queue.queued)
	}
	return min(room, units)
}

// next returns what the seat is sent next, or nil: it has been sent all but the first items by this delivery. With one, that is an
// event of the same key.
func (d *Desk[E]) next(s *Seat[E], fresh, one bool, before int) *Item[E] {
	if one && len(s.items) > before {
		l := s.items[before].lane
		if l == nil || l.items.len() == 0 || lower(d.queue.fresh(), l.items.front()) != l.items.front() {
			return nil
		}
		return l.items.front()
	}
	var i *Item[E]
	if fresh {
		i = d.queue.fresh()
	}
	if own := s.lanes.front(); !one { // it is asked in any case, so that it forgets what is left over
		i = lower(i, own)
	}
	return i
}

// share returns how many units the seat is sent at most if all that is there is dealt out: first to those that wait, or take, in
// turn, and then to the others with room.
func (d *Desk[E]) share(s *Seat[E]) int {
	first, seats, past := 0, 0, false
	for _, o := range d.seats {
		switch {
		case o == s:
			past = true
			seats++
		case o.room() > 0:
			seats++
			if !past && o.waiting > 0 {
				first++
			}
		}
	}
	units := d.queue.available()
	if units <= first {
		return 0
	}
	return (units-first-1)/seats + 1
}

// toEnd makes the seat's turn the last.
func (d *Desk[E]) toEnd(s *Seat[E]) {
	s.served = true
	if at := slices.Index(d.seats, s); at >= 0 {
		copy(d.seats[at:], d.seats[at+1:])
		d.seats[len(d.seats)-1] = s
	}
}

// Idle says that a call that was to wait does so no more, and does not take either.
func (d *Desk[E]) Idle(s *Seat[E]) {
	s.waiting--
	d.Stir() // it may have been woken
}

// TakeBack puts what a seat has in flight back into the queue.
func (d *Desk[E]) TakeBack(s *Seat[E]) {
	d.takeBack(s)
	d.Stir()
}

// Return gives items back that the seat was sent, and that do not count as sent.
func (d *Desk[E]) Return(s *Seat[E], items []*Item[E]) {
	var places []int
	for place, i := range s.items {
		if slices.Contains(items, i) {
			places = append(places, place)
			i.sent--
		}
	}
	d.queue.giveBack(s, places...)
	d.Stir()
}

// LeaveOut acknowledges an item that is in flight at the seat, if it still is, and reports whether it was.
func (d *Desk[E]) LeaveOut(s *Seat[E], i *Item[E]) bool {
	place := slices.Index(s.items, i)
	if place >= 0 {
		d.ackOne(s, place)
	}
	return place >= 0
}

func (d *Desk[E]) ackOne(s *Seat[E], place int) {
	i := s.items[place]
	if place == 0 {
		d.queue.ack(s, 1)
	} else {
		d.queue.land(i)
		d.queue.drop(i)
		s.items = slices.Delete(slices.Clone(s.items), place, place+1)
	}
	d.Stir()
}

// takeBack is TakeBack, but wakes no seats.
func (d *Desk[E]) takeBack(s *Seat[E]) {
	places := make([]int, len(s.items))
	for i := range places {
		places[i] = i
	}
	d.queue.giveBack(s, places...)
}
