package queue

import (
	"errors"
	"slices"
)

// Answer is what a subscriber says about n events: of each, the number, and the delivery that it means, or 0 for the latest.
type Answer struct {
	N     int
	Event func(i int) (number, delivery int64)
	Open  bool  // the lease is valid
	Sent  int64 // the last delivery that was made anywhere
}

// ErrNothing says that an answer is about no events.
var ErrNothing = errors.New("there are no events")

// Ack acknowledges everything that the seat was sent up to the last of the events. If one of them is not in flight, nothing changes.
// The error is ErrNothing, ErrVoid, an [UnknownError], or why the seat or the desk has ended.
func (d *Desk[E]) Ack(s *Seat[E], a Answer) error {
	last := -1
	for i := range a.N {
		place, err := d.place(s, a, i, last+1)
		if err != nil {
			return err
		}
		last = max(last, place)
	}
	if err := d.expired(s, a); err != nil {
		return err
	}
	d.queue.ack(s, last+1)
	d.Stir()
	return nil
}

// AckOnly acknowledges the first of the events and no other. The error is that of Ack.
func (d *Desk[E]) AckOnly(s *Seat[E], a Answer) error {
	if a.N == 0 {
		return ErrNothing
	}
	place, err := d.place(s, a, 0, 0)
	if err == nil {
		err = d.expired(s, a)
	}
	if err == nil {
		d.ackOne(s, place)
	}
	return err
}

// Nack gives events back: they are sent again, before all with higher numbers. The error is that of Ack.
func (d *Desk[E]) Nack(s *Seat[E], a Answer) error {
	places := make([]int, a.N)
	for i := range places {
		place, err := d.place(s, a, i, i)
		if err != nil {
			return err
		}
		places[i] = place
	}
	if err := d.expired(s, a); err != nil {
		return err
	}
	slices.Sort(places)
	d.queue.giveBack(s, slices.Compact(places)...)
	d.Stir()
	return nil
}

// expired returns ErrVoid if the lease has ended, and takes back what is in flight: the lease may come back, but the seat does not
// go on with anything then. It comes again.
func (d *Desk[E]) expired(s *Seat[E], a Answer) error {
	switch {
	case a.N == 0:
		return ErrNothing
	case a.Open:
		return nil
	}
	s.noteVoid()
	s.expiry = a.Sent
	d.takeBack(s)
	return ErrVoid
}

// place returns the place of the i-th event of an answer among what is in flight, which is likely to be this one.
func (d *Desk[E]) place(s *Seat[E], a Answer, i, likely int) (int, error) {
	number, delivery := a.Event(i)
	place, ok := s.find(number, likely)
	switch found := ok && (delivery == 0 || s.items[place].delivery == delivery); {
	case found && s.ended != nil:
		return 0, s.ended
	case found && d.sealed != nil:
		return 0, d.sealed
	case found:
		return place, nil
	case delivery == 0 && s.voided[number], delivery > 0 && delivery <= max(d.queue.since, s.expiry):
		return 0, ErrVoid
	case s.ended != nil:
		return 0, s.ended
	}
	return 0, &UnknownError{number}
}

// find returns the place of a number among what the seat has in flight, which is likely to be this one.
func (s *Seat[E]) find(number int64, likely int) (place int, ok bool) {
	if likely < len(s.items) && s.items[likely].Number == number {
		return likely, true
	}
	for place, i := range s.items {
		if i.Number == number {
			return place, true
		}
	}
	return 0, false
}

// InFlight reports whether a delivery of an event is in flight at the seat, or for 0, any.
func (s *Seat[E]) InFlight(number, delivery int64) bool {
	place, ok := s.find(number, 0)
	return ok && (delivery == 0 || s.items[place].delivery == delivery)
}
