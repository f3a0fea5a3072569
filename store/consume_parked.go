package store

import (
	"context"
	"errors"
	"slices"
	"time"

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

// nextLook returns when it is time to look at what is parked. ok is false while nothing is parked: the consumer is
// woken when the lease is lost.
func (c *consumer) nextLook() (at time.Time, ok bool) {
	s := c.subscriber.subscription
	if s.aside.storage == nil {
		return at, false
	}
	at = time.Now().Add(s.hub.pollEvery)
	epoch, _, ok := s.grant()
	switch {
	case !ok:
		return at, true
	case s.aside.idle(epoch):
		return at, false
	}
	return s.aside.nextReplay(epoch, at), true
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
	wait := c.opts.backoff(1)
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

// key returns the key under which an event is parked. Without PartitionBy that is its stream's name; an event with an empty key
// is in no order with others, so its key is its own id.
func (c *consumer) key(e *Recorded) (key string, hash int64) {
	key = e.Stream
	if by := c.subscriber.subscription.opts.PartitionBy; by != nil {
		_ = called("PartitionBy", *e, func() error { // if it panics the stream is the nearest thing to a key
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

// replay handles what is parked and may be handled again, if that has changed. One consumer does so at a time.
func (c *consumer) replay(ctx context.Context) error {
	s := c.subscriber.subscription
	a := s.aside
	epoch, lease, ok := s.grant()
	if a.storage == nil || !ok || a.idle(epoch) || a.loaded(epoch) && !a.isPending() && !a.due(s.hub.pollEvery) || !a.begin() {
		return nil
	}
	defer a.end()
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
	now := time.Now() // what fails again waits until next time, so that new events are not kept waiting
	if err := c.insist(ctx, lease, func(ctx context.Context) error { return a.load(ctx, epoch) }); err != nil {
		return err
	}
	for done := false; !done; {
		var list []ParkedEvent
		err := c.insist(ctx, lease, func(ctx context.Context) (err error) {
			if list, err = a.ready(ctx, c.subscriber.seat.Size(), now); err == nil && len(list) == 0 {
				done, err = a.finish(ctx, epoch, now)
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

// replayEach handles parked events in order. If one is to be handled again later, it leaves out what is behind it.
func (c *consumer) replayEach(ctx, lease context.Context, list []ParkedEvent) error {
	for len(list) > 0 {
		p := list[0]
		list = list[1:]
		err := c.replayOne(ctx, lease, p)
		if errors.Is(err, errLater) {
			list = slices.DeleteFunc(list, func(behind ParkedEvent) bool { return behind.Key == p.Key })
		} else if err != nil {
			return err
		}
	}
	return nil
}

// replayOne handles a parked event.
func (c *consumer) replayOne(ctx, lease context.Context, p ParkedEvent) error {
	s := c.subscriber.subscription
	t := task{parked: &p}
	err := c.insist(ctx, lease, func(ctx context.Context) (err error) {
		t.event, err = s.hub.storage.ReadEvent(ctx, p.ID)
		t.event.codec = s.hub.codec
		if t.gone = errors.Is(err, ErrEventNotFound); t.gone {
			return nil
		}
		return err
	})
	t.event.ID, t.event.Number = p.ID, p.Number
	again := s.aside.take(p)
	switch {
	case err != nil:
		return err
	case t.gone:
		return c.settle(ctx, t)
	}
	c.event, c.attempt = &t.event, 0
	defer func() { c.event = nil }()
	return c.handle(ctx, t, nil, again)
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
	r.subscription.desk.TakeBack(r.seat)
	r.subscription.stir()
}
