package store

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Handler handles an event. While it returns an error, the event is handled again.
type Handler func(ctx context.Context, e Recorded) error

// Decision is what is to be done about an event that its handler failed on.
type Decision int

const (
	// Retry handles the event again, after a while.
	Retry Decision = iota
	// Skip acknowledges the event and goes on.
	Skip
	// Stop ends Consume, or Project, with the handler's error. The event is not acknowledged.
	Stop
	// Park puts the event aside, and all of its partition key behind it, until it is replayed. Only [Store.Project] can.
	Park
)

// ConsumeOptions of [Store.Consume]. The zero value of each field is its default.
type ConsumeOptions struct {
	SubscribeOptions
	// Handlers is how many events are handled at a time. Each is a subscriber of its own, so events are in order only
	// within a partition key. Default: 1. ConcurrencyLimit is at least this.
	Handlers int
	// OnError decides about an event whose handler failed, for the attempt-th time in a row from 1, or whose callback did.
	// Default: Retry, for ever.
	OnError func(e Recorded, err error, attempt int) Decision
	// MinBackoff and MaxBackoff bound the wait before an event is handled again. It grows from one to the other, with
	// some chance in it. Default: 100 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
}

// Consume subscribes, and calls handler for each event in order until ctx ends, the subscription ends, or OnError decides
// to stop. It acknowledges an event when the handler has returned nil; an event can come again after a crash or a
// takeover, so the handler must be idempotent. The context it gets ends when ctx does, and when another process has
// taken the subscription over; what the handler does then is done a second time there. It also carries e as the cause of
// what the handler appends, see [WithCause].
//
// Before Consume returns it has closed its subscribers and given the lease up, so that others go on at once; also if the handler
// panics, or ctx ends while it waits for the lease. The error is ctx's if ctx has ended, otherwise why it has stopped. It is
// [ErrPositionLost] as well if the store turns out at the end not to have what was handled.
func (s *Store) Consume(ctx context.Context, stream, name string, handler Handler, opts *ConsumeOptions) (err error) {
	var o ConsumeOptions
	if opts != nil {
		o = *opts
	}
	switch {
	case handler == nil:
		return &InvalidError{Field: "handler", Reason: "is nil"}
	case o.Handlers < 0:
		return &InvalidError{Field: "Handlers", Reason: "is negative"}
	case o.MinBackoff < 0 || o.MaxBackoff < 0:
		return &InvalidError{Field: "MinBackoff, MaxBackoff", Reason: "must not be negative"}
	}
	o.Handlers = max(o.Handlers, 1)
	o.ConcurrencyLimit = max(o.ConcurrencyLimit, o.Handlers)
	o.settles = true
	o.MinBackoff, o.MaxBackoff = backoffs(o.MinBackoff, o.MaxBackoff)
	subscribers := make([]*Subscriber, 0, o.Handlers)
	defer func() {
		for _, r := range subscribers {
			switch e := r.Close(); {
			case errors.Is(e, ErrPositionLost) && !errors.Is(err, ErrPositionLost):
				err = errors.Join(err, e)
			case e != nil && !errors.Is(e, ErrPositionLost):
				s.log.Warn("eventstore: a subscription did not end in good order; events may come again", "error", e)
			}
		}
	}()
	for range o.Handlers {
		r, err := s.Subscribe(ctx, stream, name, &o.SubscribeOptions)
		if err != nil {
			return err
		}
		subscribers = append(subscribers, r)
	}
	if o.Handlers == 1 {
		return (&consumer{subscribers[0], handler, &o}).run(ctx)
	}
	return s.consumeAll(ctx, subscribers, handler, &o)
}

// consumeAll runs a consumer for each of the subscribers until the first has ended, and returns how.
func (s *Store) consumeAll(ctx context.Context, subscribers []*Subscriber, handler Handler, o *ConsumeOptions) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make(chan result, len(subscribers))
	for _, r := range subscribers {
		go func() {
			res := result{exited: true}
			defer func() {
				if res.exited {
					if res.panicked = recover(); res.panicked != nil {
						s.log.Error("eventstore: a handler has panicked", "stack", string(debug.Stack()))
					}
				}
				results <- res
			}()
			res = result{err: (&consumer{r, handler, o}).run(ctx)}
		}()
	}
	first := <-results
	cancel(first.err)
	for range len(subscribers) - 1 {
		<-results
	}
	switch {
	case first.panicked != nil:
		panic(first.panicked) // on the caller's goroutine, where it can be recovered
	case first.exited:
		runtime.Goexit() // as the handler did, for FailNow
	}
	return first.err
}

// result is how a consumer ended.
type result struct {
	err      error
	panicked any
	exited   bool // without an error: by a panic or runtime.Goexit
}

// consumer handles the events of a subscriber.
type consumer struct {
	subscriber *Subscriber
	handler    Handler
	opts       *ConsumeOptions
}

// errVoid says that the lease was lost while an event was handled.
var errVoid = errors.New("void")

// run handles events until there is a reason not to, which it returns.
func (c *consumer) run(ctx context.Context) error {
	for {
		events, err := c.subscriber.Next(ctx)
		var failed *CallbackError
		switch {
		case errors.As(err, &failed):
			err = c.handle(ctx, failed.Event, failed)
		case errors.Is(err, ErrLeaseLost):
			continue
		}
		for n := 0; n < len(events) && err == nil; n++ {
			err = c.handle(ctx, events[n], nil)
		}
		if err != nil && !errors.Is(err, errVoid) { // what is void comes again
			return err
		}
	}
}

// handle handles one event until it is acknowledged, or given back to have its callback tried again.
func (c *consumer) handle(ctx context.Context, e Recorded, failed *CallbackError) error {
	wait := &backoff.ExponentialBackOff{
		InitialInterval: c.opts.MinBackoff, MaxInterval: c.opts.MaxBackoff,
		Multiplier: backoff.DefaultMultiplier, RandomizationFactor: backoff.DefaultRandomizationFactor,
	}
	attempt := 1
	troubled := false
	defer func() {
		if troubled {
			c.subscriber.waitsAt(nil)
		}
	}()
	if failed != nil {
		for ; attempt < failed.attempt; attempt++ {
			wait.NextBackOff() // of an attempt before
		}
	}
	for ; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err, lease := error(failed), c.subscriber.lease()
		if failed == nil {
			err = c.call(ctx, lease, e, attempt)
		}
		if err == nil {
			c.subscriber.subscription.solved()
			return c.ack(ctx, e)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if lease.Err() != nil {
			return errVoid
		}
		c.subscriber.subscription.trouble(err)
		troubled = true
		c.subscriber.waitsAt(err)
		decision := Retry
		if c.opts.OnError != nil {
			decision = c.opts.OnError(e, err, attempt)
		}
		switch decision {
		case Skip:
			sub := c.subscriber.subscription
			sub.hub.gaveUp(ctx, sub.operation(OpSkip), e, attempt, err)
			return c.ack(ctx, e)
		case Stop:
			return err
		case Park:
			return &InvalidError{Field: "OnError", Reason: "decided to park, which only a projection can: " + err.Error(), Err: err}
		case Retry:
		}
		select {
		case <-time.After(wait.NextBackOff()):
		case <-ctx.Done():
			return ctx.Err()
		case <-lease.Done():
			return errVoid
		}
		if !c.subscriber.inFlight(e) {
			return errVoid // its stream was created again
		}
		if failed != nil {
			return void(c.subscriber.Nack(ctx, e))
		}
	}
}

func (c *consumer) ack(ctx context.Context, e Recorded) error {
	return void(c.subscriber.Ack(context.WithoutCancel(ctx), e))
}

// void makes errVoid of [ErrLeaseLost].
func void(err error) error {
	if errors.Is(err, ErrLeaseLost) {
		return errVoid
	}
	return err
}

// call calls the handler with a context that ends when the lease is lost.
func (c *consumer) call(ctx, lease context.Context, e Recorded, attempt int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(lease, func() { cancel(context.Cause(lease)) })()
	if c.subscriber.subscription.hub.observer != nil {
		return c.observed(ctx, e, attempt)
	}
	return c.handler(WithCause(ctx, e), e)
}

// errNoReturn is the outcome of a handler that panicked, or ended its goroutine.
var errNoReturn = errors.New("the handler did not return")

// observed is call's end if there is an observer.
func (c *consumer) observed(ctx context.Context, e Recorded, attempt int) (err error) {
	s := c.subscriber.subscription
	ctx, end := s.hub.observe(ctx, Operation{
		Kind: OpHandle, Stream: s.id.Stream, Subscription: s.id.Name, Events: []Recorded{e}, Attempt: attempt,
	})
	err = errNoReturn
	defer func() { end(Outcome{Err: err, Count: 1}) }()
	err = c.handler(WithCause(ctx, e), e)
	return err
}
