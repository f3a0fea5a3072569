package store

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// retry is an event that is to be handled again. It is in flight or parked, so that no other event of its key is handled before.
type retry struct {
	task
	failed  *CallbackError // if it is a callback that is to be tried again
	err     error          // what it has failed with last
	attempt int            // the last
	wait    *backoff.ExponentialBackOff
	at      time.Time
}

// errLater says that an event is handled again later, and others before.
var errLater = errors.New("later")

// backoff returns the waits from that behind an attempt on.
func (o *ConsumeOptions) backoff(attempt int) *backoff.ExponentialBackOff {
	wait := &backoff.ExponentialBackOff{
		InitialInterval: o.MinBackoff, MaxInterval: o.MaxBackoff,
		Multiplier: backoff.DefaultMultiplier, RandomizationFactor: backoff.DefaultRandomizationFactor,
	}
	for range attempt - 1 {
		wait.NextBackOff()
	}
	return wait
}

// unordered reports whether events of other keys, or without a key, may be handled while one waits to be handled again.
func (o *ConsumeOptions) unordered() bool { return o.Handlers > 1 || o.PartitionBy != nil }

// untilDue returns a context that ends when a retry is due, or it is time to look at what is parked.
func (c *consumer) untilDue(ctx context.Context) (context.Context, context.CancelFunc) {
	at, ok := c.nextLook()
	if len(c.later) > 0 {
		if first := slices.MinFunc(c.later, byTime).at; !ok || first.Before(at) {
			at, ok = first, true
		}
	}
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, at)
}

// postpone has an event handled again later.
func (c *consumer) postpone(r *retry) {
	if r.parked == nil {
		c.later = append(c.later, r)
		return
	}
	c.subscriber.subscription.aside.postpone(c.subscriber.epoch, r)
}

// waitsAt notes that the event with this number has failed with err. A nil err notes that an event was dealt with or postponed. While an
// event of an unknown version is to be retried, the subscription is Waiting with the error of the first such event.
func (c *consumer) waitsAt(number int64, err error) {
	if !errors.Is(err, ErrUnknownVersion) {
		number, err = math.MaxInt64, nil
	}
	for _, r := range c.later {
		if r.event.Number < number && errors.Is(r.err, ErrUnknownVersion) {
			number, err = r.event.Number, r.err
		}
	}
	c.subscriber.waitsAt(err)
}

func byTime(a, b *retry) int { return a.at.Compare(b.at) }

// retryDue handles the event again that has been due longest, if there is one: one, so that retries do not keep other events waiting.
func (c *consumer) retryDue(ctx context.Context) error {
	if len(c.later) == 0 {
		return nil
	}
	r := slices.MinFunc(c.later, byTime)
	if r.at.After(time.Now()) {
		return nil
	}
	c.later = slices.DeleteFunc(c.later, func(o *retry) bool { return o == r })
	if !c.subscriber.inFlight(r.event) {
		c.waitsAt(0, nil)
		return nil // it is void
	}
	if r.failed != nil {
		c.waitsAt(0, nil)
		return c.giveBack(ctx, []Recorded{r.event})
	}
	c.event, c.attempt = &r.event, r.attempt
	if err := c.handle(ctx, r.task, nil, r); !errors.Is(err, errLater) {
		return err
	}
	return nil
}

// giveBack gives events back that the consumer does not handle now.
func (c *consumer) giveBack(ctx context.Context, events []Recorded) error {
	if len(events) == 0 {
		return nil
	}
	return void(c.subscriber.Nack(context.WithoutCancel(ctx), events...))
}
