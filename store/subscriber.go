package store

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/queue"
)

// deliveries numbers what subscribers are sent, across all Stores of the process: each call of Next that returns events is
// a delivery. An event that was sent twice has two, so that an acknowledgement of the first can't count for the second.
var deliveries atomic.Int64

// Subscriber receives the events of a subscription. [Store.Subscribe] makes one. Its methods may be called concurrently,
// but events sent to two goroutines are in no order.
type Subscriber struct {
	subscription *subscription
	seat         *queue.Seat[Recorded] // guarded by the subscription's mu
	work         chan struct{}         // holds one: there may be something for Next
	interrupted  atomic.Bool           // next is to return, with or without events

	// Guarded by the subscription's mu.
	epoch int64 // of the lease that was held when it was sent something last
	last  bool  // it was the last to leave
}

// attach adds a subscriber, or returns nil if the subscription is about to stop.
func (s *subscription) attach(opts *runOptions) (*Subscriber, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Closing() {
		return nil, nil
	}
	if err := s.opts.contradiction(s.id, opts); err != nil {
		return nil, err
	}
	r := &Subscriber{subscription: s, work: make(chan struct{}, 1)}
	seat, err := s.life.Sit(opts.BufferSize, r.poke)
	if err != nil {
		return nil, &SubscriptionError{s.id, ErrTooManySubscribers}
	}
	r.seat = seat
	s.audience.add(seat, opts.OnState)
	s.poke() // its OnState is to hear of the state
	return r, nil
}

// poke lets Next look again.
func (r *Subscriber) poke() {
	select {
	case r.work <- struct{}{}:
	default:
	}
}

// interrupt has next return without events, if there are none: the consumer is to look at something else.
func (r *Subscriber) interrupt() {
	r.interrupted.Store(true)
	r.poke()
}

// Next waits for events and returns them in order: at least one, and at most as many as BufferSize leaves room for beside
// what the subscriber has in flight already. They stay in flight until they are acknowledged; while the buffer is full,
// Next waits.
//
// The error is ctx's; a [CallbackError], after which Next goes on; a [SubscriptionError], which is ErrLeaseLost when
// another process has taken the subscription over: what was in flight is void, and Next goes on when this process
// has the lease again, with what is not acknowledged in the database; or, for good, a SubscriptionError with the
// reason why the subscription has ended, [ErrSubscriberClosed] or [ErrClosed].
func (r *Subscriber) Next(ctx context.Context) ([]Recorded, error) { return r.next(ctx, false) }

// next is Next. With one it returns what one handler needs at a time: an event, or events of one key, and of no key that the
// subscriber has in flight.
func (r *Subscriber) next(ctx context.Context, one bool) ([]Recorded, error) {
	for waited := false; ; waited = true {
		if err := ctx.Err(); err != nil {
			r.idle(waited)
			return nil, err
		}
		events, err := r.take(one, waited)
		if err != nil {
			r.poke() // other calls are to see that there is an error, or what is behind it
			return nil, err
		}
		if len(events) > 0 {
			return events, nil
		}
		if r.interrupted.CompareAndSwap(true, false) {
			r.idle(true)
			return nil, nil
		}
		select {
		case <-r.work:
		case <-ctx.Done():
		}
	}
}

// there is next for what is there already: it does not wait.
func (r *Subscriber) there(_ context.Context, one bool) ([]Recorded, error) {
	events, err := r.take(one, false)
	if err == nil && len(events) == 0 {
		r.idle(true)
	}
	return events, err
}

// idle says that a call of Next has ended, which may have been woken instead of another.
func (r *Subscriber) idle(waited bool) {
	r.poke()
	if !waited {
		return
	}
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	r.subscription.life.Idle(r.seat)
}

// take takes what there is for the subscriber, and nothing if it has to wait.
func (r *Subscriber) take(one, waited bool) ([]Recorded, error) {
	s := r.subscription
	for {
		items, sent, delivery, err := r.send(one, waited)
		if err != nil || len(items) == 0 {
			return nil, err
		}
		events, err := r.prepare(items, sent, delivery)
		s.mu.Lock()
		s.life.Let(items)
		s.mu.Unlock()
		if err != nil || len(events) > 0 {
			return events, err
		}
		s.poke() // it was left out
		waited = false
	}
}

// send takes items from the queue, which are held. It returns how often the first of them was sent, this time included, and
// the number of the delivery.
func (r *Subscriber) send(one, waited bool) (items []*queue.Item[Recorded], sent int, delivery int64, err error) {
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	delivery = deliveries.Add(1)
	items, sent, err = s.life.Take(r.seat, queue.Request{Delivery: delivery, Waited: waited, Bytes: s.env.pageBytes, One: one}, time.Now())
	if len(items) > 0 {
		r.epoch = s.life.Epoch()
	}
	return items, sent, delivery, err
}

// prepare makes events of items, outside of the lock. Items that a callback fails on, and those behind them, go back. There are no
// events if what was sent turned out to be left out.
func (r *Subscriber) prepare(items []*queue.Item[Recorded], sent int, delivery int64) (events []Recorded, err error) {
	s := r.subscription
	if err := items[0].Failure(); err != nil {
		f := err.(*CallbackError) //nolint:errorlint // it was put there as one
		if sent == 1 {
			f.Event.delivery = delivery
			return nil, f
		}
		selected, _, failure := s.opts.ask(r.streamID(), items[0].Event) // once more, since it was given back
		if failure != nil {
			failure.attempt, failure.Event.delivery = sent, delivery
			return nil, failure
		}
		if !selected {
			r.leaveOut(items[0])
			return nil, nil
		}
	}
	events = make([]Recorded, len(items))
	for n, i := range items {
		events[n] = *i.Event
		events[n].delivery = delivery
		if s.opts.Mapper == nil {
			continue
		}
		failure := called("Mapper", *i.Event, func() (err error) {
			events[n], err = s.opts.Mapper(*i.Event)
			events[n].Number, events[n].delivery = i.Number, delivery
			return err
		})
		if failure != nil && n == 0 {
			r.giveBack(items[1:])
			failure.attempt, failure.Event.delivery = sent, delivery
			return nil, failure
		}
		if failure != nil {
			r.giveBack(items[n:])
			return events[:n], nil
		}
	}
	return events, nil
}

// streamID returns the id of the stream that numbers count in.
func (r *Subscriber) streamID() int64 {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	return r.subscription.life.Stream()
}

// checkpointRequest asks to save the checkpoint that is reached when everything that was sent up to a number, which is one of
// those, is acknowledged: what was left out behind it is passed, too. ok is false if the event is not in flight any more.
// There must be no other subscriber.
func (r *Subscriber) checkpointRequest(number int64) (c CheckpointRequest, ok bool) {
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	checkpoint, ok := s.life.CheckpointBehind(r.seat, number)
	if !ok {
		return c, false
	}
	return s.request(checkpoint), true
}

// known asks to save the last number that was read.
func (r *Subscriber) known() CheckpointRequest {
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.request(s.life.Last())
}

// leaveOut acknowledges an item that turned out to be left out.
func (r *Subscriber) leaveOut(i *queue.Item[Recorded]) {
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.LeaveOut(r.seat, i, time.Now())
}

// giveBack puts items that the subscriber does not get yet back into the queue.
func (r *Subscriber) giveBack(items []*queue.Item[Recorded]) {
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Return(r.seat, items)
	r.poke()
}

// Events yields events one by one, and acknowledges each when the loop asks for the next. With a ConcurrencyLimit above 1 it takes
// one event at a time, or events of one partition key, so that a slow loop delays no others. An event that the loop
// ends with, by break or return or panic, is not acknowledged: it is given back. The sequence ends with an error, which
// comes last: ctx's, a [CallbackError], or a [SubscriptionError]. It goes on by itself when a lost lease comes back. The
// event of a CallbackError is given back, too, unless the loop's body acknowledges it.
func (r *Subscriber) Events(ctx context.Context) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		var rest []Recorded
		defer func() {
			if len(rest) > 0 {
				r.Nack(context.WithoutCancel(ctx), rest...) //nolint:errcheck // they may be void
			}
		}()
		for {
			events, err := r.next(ctx, r.subscription.opts.ConcurrencyLimit > 1) // what the loop has not begun is for others
			if errors.Is(err, ErrLeaseLost) {
				continue
			}
			if err != nil {
				yield(Recorded{}, err)
				var failed *CallbackError
				if errors.As(err, &failed) {
					r.Nack(context.WithoutCancel(ctx), failed.Event) //nolint:errcheck // the loop may have acknowledged it
				}
				return
			}
			for rest = events; len(rest) > 0; rest = rest[1:] {
				if err := ctx.Err(); err != nil {
					yield(Recorded{}, err)
					return
				}
				if !yield(rest[0], nil) {
					return
				}
				err := r.Ack(context.WithoutCancel(ctx), rest[0])
				if errors.Is(err, ErrLeaseLost) {
					rest = nil // void
					break
				}
				if err != nil {
					rest = nil
					yield(Recorded{}, err)
					return
				}
			}
		}
	}
}

// lease returns a context that ends when the lease is lost, or the subscription has ended.
func (r *Subscriber) lease() context.Context {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	return r.subscription.held.ctx
}

// Stream returns the name of the stream that the subscription reads, which may be [All].
func (r *Subscriber) Stream() string { return r.subscription.id.Stream }

// Name returns the name of the subscription.
func (r *Subscriber) Name() string { return r.subscription.id.Name }

// State returns what the subscription is doing.
func (r *Subscriber) State() SubscriptionState {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	state, _ := r.subscription.state()
	return state
}

// Close ends the subscriber. What it has in flight goes to the others, before all else. The last one to leave ends the
// subscription in this process: its checkpoint is written and its lease given up before Close returns, and the error
// says if that has failed; what was acknowledged may then come again. A Subscribe of the same name that comes meanwhile waits for
// that, and begins anew. Closing again does nothing, but it waits for the lease, too.
func (r *Subscriber) Close() error {
	if !r.leave() {
		if r.wasLast() {
			<-r.subscription.free // not done: OnState, which may close it again, is called before that
		}
		return nil
	}
	<-r.subscription.done
	return r.subscription.flushed()
}

// wasLast reports whether the subscription ended, or is going to, since r left.
func (r *Subscriber) wasLast() bool {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	return r.last
}

// leave is Close, but does not wait. It reports whether r was the last one, so that the subscription ends: it takes no more
// subscribers then.
func (r *Subscriber) leave() bool {
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.life.Rise(r.seat, ErrSubscriberClosed)
	r.last = r.last || last
	if !r.last {
		s.audience.remove(r.seat)
	}
	return last
}
