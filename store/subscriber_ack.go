package store

import (
	"context"
	"slices"
)

// Ack acknowledges events: the one among them that was sent last, and everything that was sent to this subscriber
// before it. If one of them is not in flight here, the error is an [UnexpectedAckError], and nothing has changed; if it
// was when the lease was lost, it is [ErrLeaseLost], and the event comes again.
//
// An event that Next returned, and every copy of it, stands for that one delivery: if the event was sent again since, as after a
// reset, a lost lease, or Nack, acknowledging the earlier delivery is an error too, and the later one stays in flight.
//
// It returns at once: the checkpoint is written by the subscription, see CheckpointThreshold, and at the latest
// when the subscription ends in good order.
func (r *Subscriber) Ack(ctx context.Context, events ...Recorded) error {
	return r.ack(ctx, len(events), func(i int) (int64, int64) { return events[i].Number, events[i].delivery })
}

// AckNumber is Ack for the numbers of events. It acknowledges the latest delivery, since a number can't tell which one was
// handled: use Ack where the subscription may be reset, or lose its lease, meanwhile.
func (r *Subscriber) AckNumber(ctx context.Context, numbers ...int64) error {
	return r.ack(ctx, len(numbers), func(i int) (int64, int64) { return numbers[i], 0 })
}

func (r *Subscriber) ack(ctx context.Context, n int, event func(i int) (number, delivery int64)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	last := -1
	for i := range n {
		number, delivery := event(i)
		place, err := r.place(number, delivery, last+1)
		if err != nil {
			return err
		}
		last = max(last, place)
	}
	if last < 0 {
		return &InvalidError{Field: "events", Reason: "are empty: there is nothing to acknowledge"}
	}
	if err := r.expired(); err != nil {
		return err
	}
	full := len(r.held.items) >= r.size
	s.queue.ack(&r.held, last+1)
	s.acked = true
	s.noteProgress()
	if s.ending != nil && s.queue.first == nil {
		s.poke()
	}
	if s.opts.PartitionBy != nil {
		s.wake() // a lane may be free
	} else if full && s.queue.queued > 0 {
		r.poke()
	}
	return nil
}

// place returns the place of an event among what is in flight, which is likely to be this one. A delivery of 0 is any. The
// subscription's mu is held.
func (r *Subscriber) place(number, delivery int64, likely int) (int, error) {
	s := r.subscription
	if place, ok := r.held.find(number, likely); ok && (delivery == 0 || r.held.items[place].delivery == delivery) {
		switch {
		case r.ended != nil:
			return 0, r.ended
		case s.sealed != nil:
			return 0, s.sealed
		}
		return place, nil
	}
	if delivery == 0 && r.voided[number] || delivery > 0 && delivery <= max(s.queue.since, r.expiry) {
		return 0, &SubscriptionError{s.id, ErrLeaseLost}
	}
	if r.ended != nil {
		return 0, r.ended
	}
	return 0, &UnexpectedAckError{SubscriptionID: s.id, Number: number}
}

// inFlight reports whether that delivery of an event is in flight.
func (r *Subscriber) inFlight(e Recorded) bool {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	place, ok := r.held.find(e.Number, 0)
	return ok && r.held.items[place].delivery == e.delivery
}

// expired returns ErrLeaseLost if the lease has ended for all this process knows, and takes back what is in flight: the lease
// may come back, if nobody has taken it, but the subscriber does not go on with anything then. It comes again. The
// subscription's mu is held.
func (r *Subscriber) expired() error {
	s := r.subscription
	if s.valid() {
		return nil
	}
	r.noteVoid()
	r.expiry = deliveries.Load()
	s.takeBack(r)
	return &SubscriptionError{s.id, ErrLeaseLost}
}

// Nack gives events back: they are sent again, before all with higher numbers, to whoever asks first. Errors are those
// of Ack.
func (r *Subscriber) Nack(ctx context.Context, events ...Recorded) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(events) == 0 {
		return &InvalidError{Field: "events", Reason: "are empty: there is nothing to give back"}
	}
	places := make([]int, len(events))
	for i := range events {
		place, err := r.place(events[i].Number, events[i].delivery, i)
		if err != nil {
			return err
		}
		places[i] = place
	}
	if err := r.expired(); err != nil {
		return err
	}
	slices.Sort(places)
	s.queue.giveBack(&r.held, slices.Compact(places)...)
	s.wake()
	return nil
}
