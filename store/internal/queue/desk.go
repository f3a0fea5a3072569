package queue

import (
	"errors"
	"fmt"
	"slices"
)

// Desk hands the events of a queue out to seats, and takes their answers.
type Desk[E any] struct {
	queue  *Queue[E]
	limit  int
	seats  []*Seat[E]
	sealed error
}

// Seat is a subscriber as the desk sees it: what it has in flight. Its fields belong to the desk.
type Seat[E any] struct {
	size  int
	wake  func()
	items []*Item[E]  // in flight, in the order in which they were sent; not changed in place, since those who look at them share it
	lanes laneHeap[E] // that belong to it, with queued items

	waiting int // calls that wait for something to be sent

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
	d.seats = append(d.seats, s)
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

// room returns how many more events the seat may have in flight.
func (s *Seat[E]) room() int { return s.size - len(s.items) }

// Stir wakes the seats that wait, if something is queued. Call it when more may be sent than before.
func (d *Desk[E]) Stir() {
	if d.queue.queued == 0 {
		return
	}
	for _, s := range d.seats {
		if s.waiting > 0 {
			s.wake()
		}
	}
}

// Request is how Take is asked.
type Request struct {
	Delivery int64 // its number, higher than all before
	Open     bool  // events may be sent
	Waited   bool  // it is asked again, since it returned nothing
}

// Take sends the seat what is there for it, in order: its share of what is queued. An item that has a failure comes alone. Items must be let go by [Queue.Let]. times is how often the first was sent, this time
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
	if len(items) == 0 {
		s.waiting++
		return nil, 0, nil
	}
	d.Stir()
	hold(items)
	return items, int(items[0].sent), nil
}

// send sends the seat what is there for it.
func (d *Desk[E]) send(s *Seat[E], r Request) []*Item[E] {
	before, most := len(s.items), min(s.room(), d.share(s))
	s.items = slices.Grow(s.items, most)
	for len(s.items)-before < most {
		i := lower(d.queue.fresh(), s.lanes.front())
		if i == nil || i.failure != nil && len(s.items) > before {
			break
		}
		d.queue.send(s, i, r.Delivery)
		if i.failure != nil {
			break
		}
	}
	return s.items[before:]
}

// share is how many events a seat takes at a time when others wait for some, too.
func (d *Desk[E]) share(s *Seat[E]) int {
	takers := 1
	for _, o := range d.seats {
		if o != s && o.waiting > 0 && o.room() > 0 {
			takers++
		}
	}
	return (d.queue.queued + takers - 1) / takers
}

// Idle says that a call that was to wait does so no more, and does not take either.
func (d *Desk[E]) Idle(s *Seat[E]) {
	s.waiting--
	d.Stir() // it may have been woken
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

// LeaveOut acknowledges an item that is in flight at the seat, if it still is.
func (d *Desk[E]) LeaveOut(s *Seat[E], i *Item[E]) {
	if place := slices.Index(s.items, i); place >= 0 {
		d.ackOne(s, place)
	}
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

// takeBack puts what a seat has in flight back into the queue.
func (d *Desk[E]) takeBack(s *Seat[E]) {
	places := make([]int, len(s.items))
	for i := range places {
		places[i] = i
	}
	d.queue.giveBack(s, places...)
}
