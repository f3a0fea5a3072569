package store

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
)

// errAside says that a parked event was parked again, so that what is behind it may not be ready any more.
var errAside = errors.New("parked again")

// grant returns the lease that the subscription has now: its epoch, and a context that ends with it. ok is false if it has none.
func (s *subscription) grant() (epoch int64, lease context.Context, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaseCtx == nil || !s.valid() {
		return 0, nil, false
	}
	return s.lease.Epoch, s.leaseCtx, true
}

// next waits for events, but not longer than until it is time to look at what is parked.
func (c *consumer) next(ctx context.Context) ([]Recorded, error) {
	s := c.subscriber.subscription
	if s.aside.storage == nil {
		return c.subscriber.Next(ctx)
	}
	if epoch, _, ok := s.grant(); ok && s.aside.idle(epoch) {
		return c.subscriber.Next(ctx) // which returns when the lease is lost
	}
	wait, cancel := context.WithTimeout(ctx, s.hub.pollEvery)
	defer cancel()
	events, err := c.subscriber.Next(wait)
	if err != nil && ctx.Err() == nil && wait.Err() != nil && errors.Is(err, wait.Err()) {
		return nil, nil
	}
	return events, err
}

// loadFor makes sure that the keys that are parked are known under the lease that the subscriber's events were sent in.
func (c *consumer) loadFor(ctx context.Context) error {
	s := c.subscriber.subscription
	if s.aside.storage == nil || s.aside.loaded(c.subscriber.epoch) {
		return nil
	}
	epoch, lease, ok := s.grant()
	if !ok || epoch != c.subscriber.epoch {
		c.subscriber.returnAll() // they come again if the lease does
		return errVoid
	}
	return c.insist(ctx, lease, func(ctx context.Context) error { return s.aside.load(ctx, epoch) })
}

// insist does something in the database, trying until the database lets it. The error is ctx's, errVoid, or final.
func (c *consumer) insist(ctx, lease context.Context, do func(ctx context.Context) error) error {
	s := c.subscriber.subscription
	wait := c.backoff()
	number := int64(0) // of reading what is parked
	if c.event != nil {
		number = c.event.Number
	}
	for attempt := 1; ; attempt++ {
		step, cancel := context.WithTimeout(ctx, s.opts.Timeout)
		err := do(step)
		cancel()
		switch {
		case err == nil:
			if attempt > 1 {
				s.solved(number, number)
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrLeaseLost):
			s.loseLease(c.subscriber.epoch)
			return errVoid
		case lease.Err() != nil:
			return errVoid
		case final(err):
			return err
		}
		s.trouble(number, err)
		select {
		case <-time.After(wait.NextBackOff()):
		case <-ctx.Done():
			return ctx.Err()
		case <-lease.Done():
			return errVoid
		}
	}
}

func (c *consumer) backoff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: c.opts.MinBackoff, MaxInterval: c.opts.MaxBackoff,
		Multiplier: backoff.DefaultMultiplier, RandomizationFactor: backoff.DefaultRandomizationFactor,
	}
}

// key returns the key under which an event is parked. Without PartitionBy that is its stream's name; an event with an empty key
// is in no order with others, so its key is its own id.
func (c *consumer) key(e *Recorded) (key string, hash int64) {
	key = e.Stream
	if by := c.subscriber.subscription.opts.PartitionBy; by != nil {
		called("PartitionBy", *e, func() error { // if it panics the stream is the nearest thing to a key
			if key = by(*e); key == "" {
				key = e.ID.String()
			}
			return nil
		})
	}
	return PartitionKey(key)
}

// parkBehind parks an event of a key that has something parked, and acknowledges it. It reports whether it did. While nothing is
// parked, it allocates nothing.
func (c *consumer) parkBehind(ctx context.Context, e Recorded) (parked bool, err error) {
	if a := c.subscriber.subscription.aside; a.storage == nil || a.idle(c.subscriber.epoch) {
		return false, nil
	}
	return c.parkBehindKey(ctx, e)
}

func (c *consumer) parkBehindKey(ctx context.Context, e Recorded) (parked bool, err error) {
	s := c.subscriber.subscription
	epoch := c.subscriber.epoch
	if key, _ := c.key(&e); !s.aside.has(epoch, key) {
		return false, nil
	}
	err = c.insist(ctx, c.subscriber.lease(), func(ctx context.Context) (err error) {
		parked, err = s.aside.park(ctx, epoch, c.parkedEvent(e, nil))
		return err
	})
	if err == nil && parked {
		err = c.ack(ctx, e)
	}
	return parked, err
}

// parkedEvent returns what is parked of an event. why is nil for one that waits behind others.
func (c *consumer) parkedEvent(e Recorded, why error) ParkedEvent {
	key, hash := c.key(&e)
	p := ParkedEvent{
		Subscription: c.subscriber.subscription.id, Key: key, Hash: hash, Number: e.Number, ID: e.ID, Stream: e.Stream, Version: e.Version,
		Type: e.Type, Failed: why != nil,
	}
	if why != nil {
		p.Error = why.Error()
	}
	return p
}

// park parks an event that has failed, or parks it again. The error of one that was parked is errAside.
func (c *consumer) park(ctx context.Context, t task, why error, attempts int) error {
	s := c.subscriber.subscription
	if s.aside.storage == nil {
		return &InvalidError{Field: "OnError", Reason: "decided to park: " + ErrNoParking.Error() + ": decide to Retry, Skip or Stop: " + why.Error(), Err: errors.Join(ErrNoParking, why)}
	}
	if err := c.loadFor(ctx); err != nil {
		return err
	}
	p := c.parkedEvent(t.event, why)
	p.Attempts = attempts
	if t.parked != nil {
		p.Attempts += t.parked.Attempts
		p.ParkedAt = t.parked.ParkedAt
	}
	err := c.insist(ctx, c.subscriber.lease(), func(ctx context.Context) error {
		_, err := s.aside.park(ctx, c.subscriber.epoch, p)
		return err
	})
	if err != nil {
		return err
	}
	s.logFailure(ctx, logPark, &t.event, attempts, why)
	s.hub.gaveUp(ctx, s.operation(OpPark), t.event, attempts, why)
	s.solved(t.event.Number, t.event.Number)
	if t.parked != nil {
		return errAside
	}
	return c.ack(ctx, t.event)
}

// settle notes that an event has been dealt with.
func (c *consumer) settle(ctx context.Context, t task) error {
	if t.parked == nil {
		return c.ack(ctx, t.event)
	}
	return c.remove(ctx, t.event.ID)
}

// remove notes that a parked event has been dealt with.
func (c *consumer) remove(ctx context.Context, id uuid.UUID) error {
	s := c.subscriber.subscription
	remove := func(ctx context.Context) error { return s.aside.remove(ctx, c.subscriber.epoch, id) }
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout) // it has been handled, even if ctx has ended since
	err := remove(last)
	cancel()
	if err == nil {
		return nil
	}
	return c.insist(ctx, c.subscriber.lease(), remove)
}

// pending reports whether an event is still to be handled: it is in flight, or parked and not discarded.
func (c *consumer) pending(ctx context.Context, t task) bool {
	if t.parked == nil {
		return c.subscriber.inFlight(t.event)
	}
	s := c.subscriber.subscription
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	there, err := s.aside.holds(ctx, *t.parked)
	return there || err != nil
}

// replay handles what is parked and may be handled again, if that has changed. One consumer does so at a time.
func (c *consumer) replay(ctx context.Context) error {
	s := c.subscriber.subscription
	a := s.aside
	epoch, lease, ok := s.grant()
	if a.storage == nil || !ok || a.idle(epoch) || a.loaded(epoch) && !a.isPending() && !a.due(s.hub.pollEvery) || !a.turn.TryLock() {
		return nil
	}
	defer a.turn.Unlock()
	c.subscriber.sentIn(epoch)
	if a.loaded(epoch) && !a.isPending() {
		look, cancel := context.WithTimeout(ctx, s.opts.Timeout)
		changed, err := a.changed(look)
		cancel()
		if err != nil || !changed {
			return nil // the next look is due after a while
		}
	}
	err := c.replayReady(ctx, epoch, lease)
	if err != nil {
		a.forget() // begin again
	}
	return err
}

// replayReady handles what is parked and has not failed, nor is behind something of its key that has.
func (c *consumer) replayReady(ctx context.Context, epoch int64, lease context.Context) error {
	a := c.subscriber.subscription.aside
	if err := c.insist(ctx, lease, func(ctx context.Context) error { return a.load(ctx, epoch) }); err != nil {
		return err
	}
	for done := false; !done; {
		var list []ParkedEvent
		err := c.insist(ctx, lease, func(ctx context.Context) (err error) {
			if list, err = a.ready(ctx, c.subscriber.size); err == nil && len(list) == 0 {
				done, err = a.finish(ctx, epoch)
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := c.replayEach(ctx, lease, list); err != nil && !errors.Is(err, errAside) {
			return err
		}
	}
	return nil
}

// replayEach handles parked events in order.
func (c *consumer) replayEach(ctx, lease context.Context, list []ParkedEvent) error {
	h := c.subscriber.subscription.hub
	for i := range list {
		t := task{parked: &list[i]}
		err := c.insist(ctx, lease, func(ctx context.Context) (err error) {
			t.event, err = h.storage.ReadEvent(ctx, list[i].ID)
			t.event.codec = h.codec
			if t.gone = errors.Is(err, ErrEventNotFound); t.gone {
				return nil
			}
			return err
		})
		t.event.ID, t.event.Number = list[i].ID, list[i].Number
		switch {
		case err != nil:
		case t.gone:
			err = c.settle(ctx, t)
		default:
			c.event = &t.event
			err = c.handle(ctx, t, nil)
			c.event = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sentIn notes the lease under which the subscriber is about to handle something.
func (r *Subscriber) sentIn(epoch int64) {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	r.epoch = epoch
}

// returnAll gives back what the subscriber has in flight.
func (r *Subscriber) returnAll() {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	r.subscription.takeBack(r)
	r.subscription.wake()
}
