package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// consumer handles the events of a subscriber.
type consumer struct {
	subscriber *Subscriber
	handler    Handler
	opts       *ConsumeOptions
	mapper     func(Recorded) (Recorded, error) // or nil
	event      *Recorded                        // that it handles, or nil
	attempt    int
}

// newConsumer returns the consumer of a subscriber. The Mapper is called here and not by the subscription, since what is parked is the
// event as it is, which comes from the store again.
func newConsumer(r *Subscriber, handler Handler, o *ConsumeOptions) *consumer {
	return &consumer{subscriber: r, handler: handler, opts: o, mapper: o.Mapper}
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
		case <-time.After(backoffAfter(attempt, c.opts.MinBackoff, c.opts.MaxBackoff)):
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

// errAside says that a parked event was parked again, so that what is behind it is not ready any more.
var errAside = errors.New("parked again")

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

func (c *consumer) ack(ctx context.Context, e Recorded) error {
	if c.opts.unordered() {
		return void(c.subscriber.ackOnly(context.WithoutCancel(ctx), e))
	}
	return void(c.subscriber.Ack(context.WithoutCancel(ctx), e))
}

// giveBack gives events back that the consumer does not handle now.
func (c *consumer) giveBack(ctx context.Context, events []Recorded) error {
	if len(events) == 0 {
		return nil
	}
	return void(c.subscriber.Nack(context.WithoutCancel(ctx), events...))
}
