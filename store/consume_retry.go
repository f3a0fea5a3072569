package store

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// retry is an event that is to be handled again. It is in flight or parked, so that no other event of its key is handled before.
type retry struct {
	task
	consumer *consumer      // that has it in flight; nil of one that is parked
	failed   *CallbackError // if it is a callback that is to be tried again
	err      error          // what it has failed with last
	attempt  int            // the last
	wait     *backoff.ExponentialBackOff
	at       time.Time
}

// errLater says that an event is handled again later, and others before.
var errLater = errors.New("later")

// unordered reports whether events of other keys, or without a key, may be handled while one waits to be handled again.
func (o *ConsumeOptions) unordered() bool { return o.Handlers > 1 || o.PartitionBy != nil }

// untilDue returns a context that ends when a retry is due, or it is time to look at what is parked.
func (c *consumer) untilDue(ctx context.Context) (context.Context, context.CancelFunc) {
	at, ok := c.nextLook()
	if first, any := c.subscriber.subscription.aside.firstRetry(c); any && (!ok || first.Before(at)) {
		at, ok = first, true
	}
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, at)
}

// postpone has an event handled again later.
func (c *consumer) postpone(r *retry) {
	a := c.subscriber.subscription.aside
	if r.parked != nil {
		a.postpone(c.subscriber.epoch, r)
		return
	}
	r.consumer = c
	a.await(r)
}

// waitsAt notes that the event with this number has failed with err, or if err is nil, that an event was dealt with or postponed. While an
// event of an unknown version is to be retried, the subscription is Waiting with the error of the first such event.
func (c *consumer) waitsAt(number int64, err error) {
	if !errors.Is(err, ErrUnknownVersion) {
		number, err = math.MaxInt64, nil
	}
	if r := c.subscriber.subscription.aside.firstUnknown(c); r != nil && r.event.Number < number {
		err = r.err
	}
	c.subscriber.waitsAt(err)
}

// retryDue handles the event again that has been due longest, if there is one: one, so that retries do not keep other events waiting.
func (c *consumer) retryDue(ctx context.Context) error {
	a := c.subscriber.subscription.aside
	r := a.dueRetry(c)
	if r == nil {
		return nil
	}
	if !c.subscriber.inFlight(r.event) {
		c.waitsAt(0, nil)
		return nil // it is void
	}
	if r.failed != nil {
		c.waitsAt(0, nil)
		return c.giveBack(ctx, []Recorded{r.event})
	}
	a.begin(c)
	c.event, c.attempt = &r.event, r.attempt
	if err := c.handle(ctx, r.task, nil, r); !errors.Is(err, errLater) {
		return err
	}
	return nil
}

// takeOver gives an event back to the queue that is due to be handled again, while the consumer that has it is busy. The caller, which has
// nothing to do, is sent it next.
func (c *consumer) takeOver(ctx context.Context) {
	if r := c.subscriber.subscription.aside.handOver(c); r != nil {
		_ = r.consumer.giveBack(ctx, []Recorded{r.event}) // an event that is not in flight any more comes again anyway
	}
}

// giveBack gives events back that the consumer does not handle now.
func (c *consumer) giveBack(ctx context.Context, events []Recorded) error {
	if len(events) == 0 {
		return nil
	}
	return void(c.subscriber.Nack(context.WithoutCancel(ctx), events...))
}
