package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// errAside says that a parked event was parked again, so that what is behind it is not ready any more.
var errAside = errors.New("parked again")

// nextLook returns when it is time to look at what is parked. ok is false while nothing is parked: the consumer is
// woken when the lease is lost.
func (c *consumer) nextLook() (at time.Time, ok bool) {
	s := c.subscriber.subscription
	if s.aside.storage == nil {
		return at, false
	}
	at = time.Now().Add(s.env.pollEvery)
	epoch, _, ok := c.subscriber.grant()
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
	epoch, lease, ok := c.subscriber.grant()
	if !ok || epoch != c.subscriber.epoch {
		c.subscriber.returnAll() // they come again if the lease does
		return errVoid
	}
	return c.load(ctx, epoch, lease)
}

// load reads which keys are parked, under the lease of an epoch.
func (c *consumer) load(ctx context.Context, epoch int64, lease context.Context) error {
	s := c.subscriber.subscription
	err := c.insist(ctx, lease, func(ctx context.Context) error { return s.aside.load(ctx, epoch) })
	if err == nil {
		c.subscriber.over(0) // it could not be read before, perhaps under another lease
	}
	return err
}

// insist does something in the database, trying until the database lets it. The error is ctx's, errVoid, or final.
func (c *consumer) insist(ctx, lease context.Context, do func(ctx context.Context) error) error {
	s := c.subscriber.subscription
	wait := waits(c.opts.MinBackoff, c.opts.MaxBackoff, 1)
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
				c.subscriber.over(number)
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrLeaseLost):
			c.subscriber.lose(c.subscriber.epoch, nil)
			return errVoid
		case lease.Err() != nil || errors.Is(err, errVoid):
			return errVoid
		case final(err):
			return err
		}
		c.subscriber.trouble(number, err)
		s.lines.warn(ctx, logParked, append(s.names(), "err", err)...)
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

// parkBehind parks an event of a key that has something parked, and acknowledges it. It reports whether it did, or the event is gone. While
// nothing is parked, it allocates nothing.
func (c *consumer) parkBehind(ctx context.Context, e Recorded) (done bool, err error) {
	if a := c.subscriber.subscription.aside; a.storage == nil || a.idle(c.subscriber.epoch) {
		return false, nil
	}
	return c.parkBehindKey(ctx, e)
}

func (c *consumer) parkBehindKey(ctx context.Context, e Recorded) (done bool, err error) {
	key, _ := c.key(&e)
	if behind, known := c.subscriber.subscription.aside.has(c.subscriber.epoch, key); known && !behind {
		return false, nil
	}
	how, err := c.savePark(ctx, e, c.parkedEvent(e, nil), false)
	if errors.Is(err, errVoid) {
		c.subscriber.returnAll() // what is parked is not known any more
	}
	if err != nil || how == parkInOrder {
		return false, err
	}
	return true, c.ack(ctx, e)
}

// savePark parks an event, or parks it again. The error is errVoid if the event is not in flight any more.
func (c *consumer) savePark(ctx context.Context, e Recorded, p ParkedEvent, again bool) (how parking, err error) {
	a := c.subscriber.subscription.aside
	r := ParkedChange{ID: p.Subscription, Epoch: c.subscriber.epoch, Park: []ParkedEvent{p}, Again: again}
	err = c.insist(ctx, c.subscriber.lease(), func(ctx context.Context) (err error) {
		if !again {
			var ok bool
			if r.StreamID, ok = c.subscriber.origin(e); !ok {
				return errVoid
			}
		}
		how, err = a.park(ctx, r)
		return err
	})
	return how, err
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
		reason := "decided to park: " + ErrNoParking.Error() + ": decide to Retry, Skip or Stop: " + why.Error()
		return &InvalidError{Field: "OnError", Reason: reason, Err: errors.Join(ErrNoParking, why)}
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
	how, err := c.savePark(ctx, t.event, p, t.parked != nil)
	if err != nil {
		return err
	}
	if how == parkDone {
		c.subscriber.gaveUp(ctx, Park, t.event, attempts, why)
	}
	c.subscriber.over(t.event.Number)
	switch {
	case t.parked == nil:
		return c.ack(ctx, t.event)
	case how == parkDone:
		return errAside
	}
	return nil // it was discarded, or hard deleted, meanwhile
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

// replay handles what is parked and may be handled again, if that has changed. Several consumers may do so, each for another key.
func (c *consumer) replay(ctx context.Context) error {
	s := c.subscriber.subscription
	a := s.aside
	epoch, lease, ok := c.subscriber.grant()
	if a.storage == nil || !ok || a.idle(epoch) {
		return nil
	}
	stale := !a.loaded(epoch)
	if !stale && !a.isPending() {
		if stale = a.due(s.env.pollEvery) && c.changed(ctx); !stale {
			return nil
		}
	}
	c.subscriber.sentIn(epoch)
	now := time.Now() // what fails again waits until next time, so that new events are not kept waiting
	if stale {
		if err := c.load(ctx, epoch, lease); err != nil {
			return err
		}
	}
	for {
		var list []ParkedEvent
		var again *retry
		err := c.insist(ctx, lease, func(ctx context.Context) (err error) {
			list, again, err = a.claim(ctx, epoch, c.subscriber.seat.Size(), now)
			return err
		})
		if err == nil && len(list) > 0 {
			err = c.replayKey(ctx, epoch, lease, list, again)
		}
		if err != nil || len(list) == 0 {
			return err
		}
	}
}

// changed reports whether what is parked may have changed. If that can't be read, it was not: the next look is due after a while.
func (c *consumer) changed(ctx context.Context) bool {
	s := c.subscriber.subscription
	look, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	changed, err := s.aside.changed(look)
	switch {
	case err == nil:
		c.subscriber.over(0)
	case ctx.Err() == nil:
		c.subscriber.trouble(0, err)
		s.lines.warn(ctx, logParked, append(s.names(), "err", err)...)
	}
	return err == nil && changed
}

// replayKey handles parked events of a key that were claimed, in order. If one is parked again, or is to be handled again later, it
// leaves out what is behind it.
func (c *consumer) replayKey(ctx context.Context, epoch int64, lease context.Context, list []ParkedEvent, again *retry) (err error) {
	dealt, begun := false, time.Now()
	c.subscriber.subscription.aside.begin(c)
	defer func() { c.subscriber.subscription.aside.release(epoch, list[0].Key, dealt) }()
	for i := range list {
		r := again
		if r != nil && r.parked.ID != list[i].ID {
			r = nil
		}
		err = c.replayOne(ctx, lease, &list[i], r)
		if errors.Is(err, errLater) || errors.Is(err, errAside) {
			err = nil
			break
		}
		if err != nil {
			return err
		}
		if time.Since(begun) > c.subscriber.subscription.env.pollEvery {
			break // some of what is behind it may be discarded by now
		}
	}
	dealt = true
	return err
}

// replayOne handles a parked event, unless the Selector leaves it out. again is the retry that it waited for, or nil.
func (c *consumer) replayOne(ctx, lease context.Context, p *ParkedEvent, again *retry) error {
	s := c.subscriber.subscription
	t := task{parked: p}
	err := c.insist(ctx, lease, func(ctx context.Context) (err error) {
		t.event, err = s.env.storage.ReadEvent(ctx, p.ID)
		t.event.codec = s.env.codec
		if t.gone = errors.Is(err, ErrEventNotFound); t.gone {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	t.event.ID, t.event.Number = p.ID, p.Number
	selected, failed := true, (*CallbackError)(nil)
	if !t.gone {
		selected, failed = s.opts.selects(&t.event) // it may have been parked since the Selector failed
	}
	if t.gone || !selected {
		c.subscriber.over(p.Number)
		return c.settle(ctx, t)
	}
	c.event, c.attempt = &t.event, 0
	defer func() { c.event = nil }()
	return c.handle(ctx, t, failed, again)
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
	r.subscription.life.TakeBack(r.seat)
}
