package store

import (
	"context"
	"errors"
	"math"
	"time"
)

// errLater says that an event is handled again later, and others before.
var errLater = errors.New("later")

// handle handles one event until it is dealt with, or given back to have its callback tried again. It returns errLater if the
// event is to be handled again and others may go first; then it is called with the number of attempts before.
func (c *consumer) handle(ctx context.Context, t task, failed *CallbackError, tried int) error {
	attempt, troubled := tried+1, tried > 0
	defer func() {
		if troubled && t.parked == nil {
			c.waitsAt(0, nil)
		}
	}()
	if failed != nil && !troubled {
		attempt = max(failed.attempt, 1)
	}
	for ; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err, lease := t.event, error(failed), c.subscriber.lease()
		if failed == nil {
			c.attempt = attempt
			if e, err = c.mapped(e); err == nil {
				err = c.call(ctx, lease, e, attempt)
			}
		}
		if err == nil {
			c.subscriber.over(e.Number)
			return c.settle(ctx, t)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if lease.Err() != nil {
			return errVoid
		}
		if errors.Is(err, ErrUnregisteredType) {
			return err // no retry mends the program
		}
		c.subscriber.trouble(e.Number, err)
		troubled = true
		if t.parked == nil { // a parked event delays only its key
			c.waitsAt(e.Number, err)
		}
		decision := Retry
		if c.opts.OnError != nil {
			decision = c.opts.OnError(e, err, attempt)
		}
		switch decision {
		case Skip:
			c.subscriber.gaveUp(ctx, Skip, e, attempt, err)
			c.subscriber.over(e.Number)
			return c.settle(ctx, t)
		case Stop:
			return err
		case Park:
			return c.park(ctx, t, err, attempt)
		case Retry:
		}
		c.subscriber.logDecision(ctx, Retry, e, attempt, err)
		wait := backoffAfter(attempt, c.opts.MinBackoff, c.opts.MaxBackoff)
		if t.parked != nil || c.opts.unordered() {
			c.postpone(t, failed, err, attempt, time.Now().Add(wait))
			return errLater
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		case <-lease.Done():
			return errVoid
		}
		if !c.subscriber.inFlight(t.event) {
			return errVoid // its stream was created again
		}
		if failed != nil {
			return void(c.subscriber.Nack(ctx, t.event))
		}
	}
}

// mapped returns an event as the Mapper changes it.
func (c *consumer) mapped(e Recorded) (Recorded, error) {
	if c.mapper == nil {
		return e, nil
	}
	return c.callMapper(e)
}

func (c *consumer) callMapper(e Recorded) (mapped Recorded, err error) {
	failure := called("Mapper", e, func() (err error) {
		mapped, err = c.mapper(e)
		return err
	})
	if failure != nil {
		return e, failure
	}
	mapped.Number, mapped.delivery = e.Number, e.delivery
	return mapped, nil
}

// call calls the handler with a context that ends when the lease is lost.
func (c *consumer) call(ctx, lease context.Context, e Recorded, attempt int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(lease, func() { cancel(context.Cause(lease)) })()
	if c.subscriber.subscription.env.observer != nil {
		return c.observed(ctx, e, attempt)
	}
	return c.handler(WithCause(ctx, e), e)
}

// errNoReturn is the outcome of a handler that panicked, or ended its goroutine.
var errNoReturn = errors.New("the handler did not return")

// observed is call's end if there is an observer.
func (c *consumer) observed(ctx context.Context, e Recorded, attempt int) (err error) {
	s := c.subscriber.subscription
	ctx, end := s.env.observe(ctx, Operation{
		Kind: OpHandle, Stream: s.id.Stream, Subscription: s.id.Name, Events: []Recorded{e}, Attempt: attempt,
	})
	err = errNoReturn
	defer func() { end(Outcome{Err: err, Count: 1}) }()
	err = c.handler(WithCause(ctx, e), e)
	return err
}

// postpone has an event handled again later.
func (c *consumer) postpone(t task, failed *CallbackError, err error, attempt int, at time.Time) {
	a := c.subscriber.subscription.aside
	if t.parked != nil {
		a.postpone(c.subscriber.epoch, t.parked, attempt, at)
		return
	}
	a.retries.await(&retry{
		Consumer: c.subscriber, Number: t.event.Number, At: at, Alone: errors.Is(err, ErrUnknownVersion), Callback: failed != nil,
		Tried: attempted{event: t.event, err: err, attempt: attempt},
	})
}

// waitsAt notes that the event with this number has failed with err, or if err is nil, that an event was dealt with or postponed. While an
// event of an unknown version is to be retried, the subscription is Waiting with the error of the first such event.
func (c *consumer) waitsAt(number int64, err error) {
	if !errors.Is(err, ErrUnknownVersion) {
		number, err = math.MaxInt64, nil
	}
	if r := c.subscriber.subscription.aside.retries.firstUnknown(c.subscriber); r != nil && r.Number < number {
		err = r.Tried.err
	}
	c.subscriber.waitsAt(err)
}

// retryDue handles the event again that has been due longest, if there is one: one, so that retries do not keep other events waiting.
func (c *consumer) retryDue(ctx context.Context) error {
	retries := c.subscriber.subscription.aside.retries
	r := retries.due(c.subscriber)
	if r == nil {
		return nil
	}
	if !c.subscriber.inFlight(r.Tried.event) {
		c.waitsAt(0, nil)
		return nil // it is void
	}
	if r.Callback {
		c.waitsAt(0, nil)
		return c.giveBack(ctx, []Recorded{r.Tried.event})
	}
	retries.begin(c.subscriber)
	c.event, c.attempt = &r.Tried.event, r.Tried.attempt
	if err := c.handle(ctx, task{event: r.Tried.event}, nil, r.Tried.attempt); !errors.Is(err, errLater) {
		return err
	}
	return nil
}

// takeOver gives an event back to the queue that is due to be handled again, while the consumer that has it is busy. The caller, which has
// nothing to do, is sent it next.
func (c *consumer) takeOver(ctx context.Context) {
	if r := c.subscriber.subscription.aside.retries.handOver(c.subscriber); r != nil {
		_ = r.Consumer.Nack(context.WithoutCancel(ctx), r.Tried.event) // an event that is not in flight any more comes again anyway
	}
}
