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

// ConsumeOptions of [Store.Consume]. The zero value of each field is its default.
type ConsumeOptions struct {
	SubscribeOptions
	// Handlers is how many events are handled at a time. Default: 1. ConcurrencyLimit is at least this. Each handler is a
	// subscriber of its own. It takes one event at a time, or events of one partition key, so that all handlers are busy whenever
	// there are as many keys, or events without a key. While a handler is idle, a slow one delays only the events of its key: the
	// idle one also handles retries that are due, and replays parked events of other keys.
	//
	// With one handler and no PartitionBy, events are handled in order, and a retry delays all events behind it. Otherwise events are
	// in order only within a partition key: until a retry is due, its handler goes on with other keys and with events without a key. A
	// handler with BufferSize retries takes no new events. A parked event whose replay has failed delays only its key.
	Handlers int
	// OnError decides about an event whose handler failed, for the attempt-th time in a row from 1, or whose callback did. An
	// event is parked under its partition key, without PartitionBy under its stream's name. A later event of the key is
	// parked behind it without being handled, unless it has been tried before. Default: Retry, for ever. See [RetryThen].
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
// Before Consume returns it closes its subscribers and gives the lease up, also if the handler panics, or if ctx ends while Consume waits
// for the lease. The error is that of ctx if ctx has ended, otherwise the reason why Consume has stopped. It is [ErrPositionLost] as well
// if the store turns out at the end not to have an event that was handled.
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
				s.log.Warn("eventstore: a subscription did not end in good order; events may come again", "err", e)
			}
		}
	}()
	unmapped := o.SubscribeOptions
	unmapped.Mapper = nil // see newConsumer
	for range o.Handlers {
		r, err := s.Subscribe(ctx, stream, name, &unmapped)
		if err != nil {
			return err
		}
		subscribers = append(subscribers, r)
	}
	if o.Handlers == 1 {
		return newConsumer(subscribers[0], handler, &o).run(ctx)
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
					res.panicked = recover() // it was logged
				}
				results <- res
			}()
			res = result{err: newConsumer(r, handler, o).run(ctx)}
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
	c := &consumer{subscriber: r, handler: handler, opts: o, mapper: o.Mapper}
	if r.subscription.opts.Mapper != nil { // of a subscriber that came first
		c.mapper = nil
	}
	return c
}

// logPanic logs a panic, with its stack, and lets it go on. It is deferred.
func (c *consumer) logPanic(ctx context.Context) {
	p := recover()
	if p == nil {
		return
	}
	s := c.subscriber.subscription
	about := s.names()
	if c.event != nil {
		about = s.about(c.event, c.attempt)
	}
	s.env.log.ErrorContext(ctx, logPanic, append(about, "panic", p, "stack", string(debug.Stack()))...)
	panic(p)
}

// run handles events until there is a reason not to, which it returns.
func (c *consumer) run(ctx context.Context) error {
	defer c.logPanic(ctx)
	c.subscriber.subscription.aside.join(c)
	defer c.subscriber.subscription.aside.leave(c)
	for {
		c.event = nil
		err := c.retryDue(ctx)
		if err == nil {
			err = c.handleNext(ctx)
		}
		if err == nil {
			err = c.replay(ctx)
		}
		if err != nil && !errors.Is(err, errVoid) { // what is void comes again
			return err
		}
	}
}

// handleNext handles what comes next, if something does before a retry is due or it is time to look at what is parked.
func (c *consumer) handleNext(ctx context.Context) error {
	c.subscriber.subscription.aside.rest(c)
	wait, cancel := c.untilDue(ctx)
	defer cancel()
	next := c.subscriber.next
	if wait.Err() != nil && ctx.Err() == nil { // another retry is due
		next = c.subscriber.there
	}
	events, err := next(wait, c.opts.unordered())
	if err != nil {
		return c.noNext(ctx, wait, err)
	}
	if len(events) == 0 {
		c.takeOver(ctx)
		return nil
	}
	c.subscriber.subscription.aside.begin(c)
	for n := range events {
		c.event, c.attempt = &events[n], 0
		err := c.handleSent(ctx, events[n], nil)
		if errors.Is(err, errLater) {
			return c.giveBack(ctx, events[n+1:])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noNext deals with an error that came instead of events.
func (c *consumer) noNext(ctx, wait context.Context, err error) error {
	var failed *CallbackError
	switch {
	case errors.As(err, &failed):
		c.subscriber.subscription.aside.begin(c)
		c.event, c.attempt = &failed.Event, max(failed.attempt, 1)
		if err := c.handleSent(ctx, failed.Event, failed); !errors.Is(err, errLater) {
			return err
		}
		return nil
	case errors.Is(err, ErrLeaseLost):
		c.subscriber.subscription.aside.dropRetries(c) // they are void
		c.waitsAt(0, nil)
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return ctx.Err()
	case wait.Err() != nil && errors.Is(err, wait.Err()):
		c.takeOver(ctx)
		return nil
	}
	return err
}

// handleSent handles an event that was sent, unless it is to be parked behind others of its key.
func (c *consumer) handleSent(ctx context.Context, e Recorded, failed *CallbackError) error {
	if err := c.loadFor(ctx); err != nil {
		return err
	}
	if done, err := c.parkBehind(ctx, e); done || err != nil {
		return err
	}
	return c.handle(ctx, task{event: e}, failed, c.subscriber.subscription.aside.handedOver(&e))
}

// handle handles one event until it is dealt with, or given back to have its callback tried again. It returns errLater if the
// event is to be handled again and others may go first; then it is called with the retry.
func (c *consumer) handle(ctx context.Context, t task, failed *CallbackError, again *retry) error {
	var wait *backoff.ExponentialBackOff
	attempt := 1
	troubled := again != nil
	defer func() {
		if troubled && t.parked == nil {
			c.waitsAt(0, nil)
		}
	}()
	if failed != nil {
		attempt = max(failed.attempt, 1)
	}
	if again != nil {
		wait, attempt = again.wait, again.attempt+1
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
		if wait == nil {
			wait = waits(c.opts.MinBackoff, c.opts.MaxBackoff, attempt)
		}
		if t.parked != nil || c.opts.unordered() {
			c.postpone(&retry{task: t, failed: failed, err: err, attempt: attempt, wait: wait, at: time.Now().Add(wait.NextBackOff())})
			return errLater
		}
		select {
		case <-time.After(wait.NextBackOff()):
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

func (c *consumer) ack(ctx context.Context, e Recorded) error {
	if c.opts.unordered() {
		return void(c.subscriber.ackOnly(context.WithoutCancel(ctx), e))
	}
	return void(c.subscriber.Ack(context.WithoutCancel(ctx), e))
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
