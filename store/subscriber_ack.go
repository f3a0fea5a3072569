package store

import (
	"context"
	"errors"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/queue"
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
	return r.answer(ctx, ackUpTo, n, event)
}

// ackOnly acknowledges an event, and none that was sent before it. Errors are those of Ack.
func (r *Subscriber) ackOnly(ctx context.Context, e Recorded) error {
	return r.answer(ctx, ackOnly, 1, func(int) (int64, int64) { return e.Number, e.delivery })
}

// Nack gives events back: they are sent again, before all with higher numbers, to whoever asks first. Errors are those
// of Ack.
func (r *Subscriber) Nack(ctx context.Context, events ...Recorded) error {
	return r.answer(ctx, nack, len(events), func(i int) (int64, int64) { return events[i].Number, events[i].delivery })
}

// answer is what a subscriber can say about events.
type answer string

const (
	ackUpTo answer = "to acknowledge"
	ackOnly answer = "to acknowledge alone"
	nack    answer = "to give back"
)

// answer says something about n events.
func (r *Subscriber) answer(ctx context.Context, what answer, n int, event func(i int) (number, delivery int64)) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	a, now := queue.Answer{N: n, Event: event, Sent: deliveries.Load()}, time.Now()
	switch what {
	case ackUpTo:
		err = s.life.Ack(r.seat, a, now)
	case ackOnly:
		err = s.life.AckOnly(r.seat, a, now)
	case nack:
		err = s.life.Nack(r.seat, a, now)
	}
	if err != nil {
		return s.notAnswered(what, err)
	}
	return nil
}

// notAnswered says why an answer was refused.
func (s *subscription) notAnswered(what answer, err error) error {
	var unknown *queue.UnknownError
	switch {
	case errors.As(err, &unknown):
		return &UnexpectedAckError{SubscriptionID: s.id, Number: unknown.Number}
	case errors.Is(err, queue.ErrVoid):
		return &SubscriptionError{s.id, ErrLeaseLost}
	case errors.Is(err, queue.ErrNothing):
		return &InvalidError{Field: "events", Reason: "are empty: there is nothing " + string(what)}
	}
	return err
}

// inFlight reports whether that delivery of an event is in flight.
func (r *Subscriber) inFlight(e Recorded) bool {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	return r.seat.InFlight(e.Number, e.delivery)
}

// origin returns the id of the stream that an event came from. ok is false if that delivery is not in flight any more.
func (r *Subscriber) origin(e Recorded) (streamID int64, ok bool) {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	return r.subscription.life.Stream(), r.seat.InFlight(e.Number, e.delivery)
}
