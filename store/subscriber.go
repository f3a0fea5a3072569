package store

import (
	"context"
	"errors"
	"iter"
	"slices"
)

// Subscriber receives the events of a subscription. [Store.Subscribe] makes one. Its methods may be called concurrently,
// but events sent to two goroutines are in no order.
type Subscriber struct {
	subscription *subscription
	size         int           // BufferSize
	work         chan struct{} // holds one: there may be something for Next

	// All guarded by the subscription's mu.
	held    holder
	epoch   int64 // of the lease that was held when it was sent something last
	waiting bool
	notice  error          // to be returned from Next once
	voided  map[int64]bool // what was in flight when the lease was lost last
	expiry  int64          // deliveries up to this one were void when the lease was seen to have expired
	ended   error          // why it gets no more events
	last    bool           // it was the last to leave
	unknown error          // why it waits at an event whose version the program does not know, or nil
}

// attach adds a subscriber, or returns nil if the subscription is about to stop.
func (s *subscription) attach(size int) (*Subscriber, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone, s.closing != nil:
		return nil, nil
	case len(s.subscribers) >= s.opts.ConcurrencyLimit:
		return nil, &SubscriptionError{s.id, ErrTooManySubscribers}
	}
	r := &Subscriber{subscription: s, size: size, work: make(chan struct{}, 1)}
	s.subscribers = append(s.subscribers, r)
	return r, nil
}

// poke lets Next look again.
func (r *Subscriber) poke() {
	select {
	case r.work <- struct{}{}:
	default:
	}
}

// end says that there are no more events, and why. The subscription's mu is held.
func (r *Subscriber) end(err error) {
	if r.ended == nil {
		r.ended = err
		r.poke()
	}
}

// Next waits for events and returns them in order: at least one, and at most as many as BufferSize leaves room for beside
// what the subscriber has in flight already. They stay in flight until they are acknowledged; while the buffer is full,
// Next waits.
//
// The error is ctx's; a [CallbackError], after which Next goes on; a [SubscriptionError], which is ErrLeaseLost when
// another process has taken the subscription over: what was in flight is void, and Next goes on when this process
// has the lease again, with what is not acknowledged in the database; or, for good, a SubscriptionError with the
// reason why the subscription has ended, [ErrSubscriberClosed] or [ErrClosed].
func (r *Subscriber) Next(ctx context.Context) ([]Recorded, error) {
	for {
		if err := ctx.Err(); err != nil {
			r.poke() // this call may have been woken instead of another
			return nil, err
		}
		events, err := r.take()
		if err != nil {
			r.poke() // other calls are to see that there is an error, or what is behind it
			return nil, err
		}
		if len(events) > 0 {
			return events, nil
		}
		select {
		case <-r.work:
		case <-ctx.Done():
			r.setWaiting(false)
			return nil, ctx.Err()
		}
	}
}

func (r *Subscriber) setWaiting(waiting bool) {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	r.waiting = waiting
}

// take takes what there is for the subscriber, and nothing if it has to wait.
func (r *Subscriber) take() ([]Recorded, error) {
	s := r.subscription
	for {
		items, sent, delivery, err := r.send()
		if err != nil || len(items) == 0 {
			return nil, err
		}
		events, again, err := r.prepare(items, sent, delivery)
		s.mu.Lock()
		s.queue.let(items)
		s.mu.Unlock()
		if err != nil || len(events) > 0 {
			return events, err
		}
		if !again {
			return nil, nil
		}
		s.poke()
	}
}

// send takes items from the queue, which are held. It returns how often the first of them was sent, this time included, and
// the number of the delivery.
func (r *Subscriber) send() (items []*item, sent int, delivery int64, err error) {
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	r.waiting = false
	switch {
	case r.ended != nil:
		return nil, 0, 0, r.ended
	case r.notice != nil:
		err := r.notice
		r.notice = nil
		return nil, 0, 0, err
	}
	most := min(r.size-len(r.held.items), r.share())
	if most > 0 && s.queue.queued > 0 && s.valid() {
		before := len(r.held.items)
		delivery = deliveries.Add(1)
		r.held.items = slices.Grow(r.held.items, min(most, s.queue.queued))
		for len(r.held.items)-before < most {
			i := s.queue.next(&r.held)
			if i == nil || i.failure != nil && len(r.held.items) > before {
				break
			}
			s.queue.send(&r.held, i, delivery)
			if i.failure != nil {
				break
			}
		}
		items = r.held.items[before:]
	}
	if len(items) == 0 {
		r.waiting = true
		return nil, 0, 0, nil
	}
	r.epoch = s.lease.Epoch
	if (s.missed || len(s.inbox) > 0) && s.opts.MaxSize-s.queue.queued >= s.pageSize() {
		s.poke()
	}
	if s.queue.queued > 0 {
		s.wake() // there is more for others
	}
	s.queue.hold(items)
	return items, items[0].sent, delivery, nil
}

// share is how many events one subscriber takes at a time when others wait for some, too. The subscription's mu is held.
func (r *Subscriber) share() int {
	s := r.subscription
	takers := 1
	for _, other := range s.subscribers {
		if other != r && other.waiting && len(other.held.items) < other.size {
			takers++
		}
	}
	return (s.queue.queued + takers - 1) / takers
}

// prepare makes events of items, outside of the lock. Items that a callback fails on, and those behind them, go back. It
// reports whether nothing is left since all were left out, so that there may be more.
func (r *Subscriber) prepare(items []*item, sent int, delivery int64) (events []Recorded, again bool, err error) {
	s := r.subscription
	if f := items[0].failure; f != nil {
		if sent == 1 {
			f.Event.delivery = delivery
			return nil, false, f
		}
		selected, _, failure := s.opts.ask(r.streamID(), items[0].event) // once more, since it was given back
		if failure != nil {
			failure.attempt, failure.Event.delivery = sent, delivery
			return nil, false, failure
		}
		if !selected {
			r.settle(items[0])
			return nil, true, nil
		}
	}
	events = make([]Recorded, len(items))
	for n, i := range items {
		events[n] = *i.event
		events[n].delivery = delivery
		if s.opts.Mapper == nil {
			continue
		}
		failure := called("Mapper", *i.event, func() (err error) {
			events[n], err = s.opts.Mapper(*i.event)
			events[n].Number, events[n].delivery = i.event.Number, delivery
			return err
		})
		if failure != nil && n == 0 {
			r.giveBack(items[1:])
			failure.attempt, failure.Event.delivery = sent, delivery
			return nil, false, failure
		}
		if failure != nil {
			r.giveBack(items[n:])
			return events[:n], false, nil
		}
	}
	return events, false, nil
}

// streamID returns the id of the stream that numbers count in.
func (r *Subscriber) streamID() int64 {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	return r.subscription.streamID
}

// checkpointRequest asks to save the checkpoint that is reached when everything that was sent up to a number, which is one of
// those, is acknowledged: what was left out behind it is passed, too. ok is false if the event is not in flight any more.
// There must be no other subscriber.
func (r *Subscriber) checkpointRequest(number int64) (c CheckpointRequest, ok bool) {
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := r.held.find(number, 0); !ok {
		return c, false
	}
	return s.request(s.queue.checkpointBehind(number)), true
}

// known asks to save the last number that was read.
func (r *Subscriber) known() CheckpointRequest {
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.request(s.queue.received)
}

// settle acknowledges an item that turned out to be left out.
func (r *Subscriber) settle(i *item) {
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	if place := slices.Index(r.held.items, i); place >= 0 {
		s.queue.land(i)
		s.queue.drop(i)
		r.held.items = slices.Delete(slices.Clone(r.held.items), place, place+1)
		s.solve(i.event.Number, i.event.Number)
	}
	s.noteProgress()
	s.wake()
}

// giveBack puts items that the subscriber does not get yet back into the queue.
func (r *Subscriber) giveBack(items []*item) {
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	var places []int
	for place, i := range r.held.items {
		if slices.Contains(items, i) {
			places = append(places, place)
			i.sent--
		}
	}
	s.queue.giveBack(&r.held, places...)
	r.poke()
}

// Events yields events one by one, and acknowledges each when the loop asks for the next. An event that the loop
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
			events, err := r.Next(ctx)
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
	return r.subscription.leaseCtx
}

// State returns what the subscription is doing.
func (r *Subscriber) State() SubscriptionState {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	return r.subscription.state
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
	if r.ended != nil {
		return false
	}
	s.leaveOne(r)
	r.end(ErrSubscriberClosed)
	if len(s.subscribers) > 0 {
		return false
	}
	r.last, s.gone = true, true
	s.poke()
	return true
}

// noteVoid notes that what the subscriber has in flight is void. If that is nothing, it may still be busy with what was
// voided before. The subscription's mu is held.
func (r *Subscriber) noteVoid() {
	if len(r.held.items) == 0 {
		return
	}
	r.voided = make(map[int64]bool, len(r.held.items))
	for _, i := range r.held.items {
		r.voided[i.event.Number] = true
	}
}

// takeBack puts what a subscriber has in flight back into the queue. s.mu is held.
func (s *subscription) takeBack(r *Subscriber) {
	places := make([]int, len(r.held.items))
	for i := range places {
		places[i] = i
	}
	s.queue.giveBack(&r.held, places...)
}

// leaveOne takes back what a subscriber has in flight, and forgets it. s.mu is held.
func (s *subscription) leaveOne(r *Subscriber) {
	s.takeBack(r)
	s.subscribers = slices.DeleteFunc(s.subscribers, func(other *Subscriber) bool { return other == r })
	s.wake()
}

// close closes all subscribers.
func (s *subscription) close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing == nil {
		s.closing = err
	}
	s.poke()
}

// flushed returns what kept the last checkpoint from being written when the subscription had ended in good order.
func (s *subscription) flushed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unwritten
}

// epoch returns the epoch of the lease.
func (s *subscription) epoch() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease.Epoch
}

// known returns the lease, with the checkpoint that is in the database for all this process knows.
func (s *subscription) known() Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Lease{ID: s.id, Epoch: s.lease.Epoch, Checkpoint: s.saved, StreamID: s.streamID}
}

// differs reports whether there is more in the stream than the subscription has read, or another stream.
func (s *subscription) differs(info StreamInfo) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.missed && (info.Version != s.queue.received || info.ID != s.streamID || info.Status() == Deleted)
}
