package store

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/batch"
)

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
	if handler == nil {
		return &InvalidError{Field: "handler", Reason: "is nil"}
	}
	o, err := opts.checked()
	if err != nil {
		return err
	}
	subscribers := make([]*Subscriber, 0, o.Handlers)
	defer func() {
		for _, r := range slices.Backward(subscribers) { // the first, which has OnState, hears how the subscription ends
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
		r, err := s.subscribeBy(ctx, stream, name, &unmapped, viaConsume)
		if err != nil {
			return err
		}
		subscribers = append(subscribers, r)
		unmapped.OnState = nil // one of them calls it
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
	retries := c.subscriber.subscription.aside.retries
	retries.join(c.subscriber)
	defer retries.leave(c.subscriber)
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
	c.subscriber.subscription.aside.retries.rest(c.subscriber)
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
	c.subscriber.subscription.aside.retries.begin(c.subscriber)
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
		c.subscriber.subscription.aside.retries.begin(c.subscriber)
		c.event, c.attempt = &failed.Event, max(failed.attempt, 1)
		if err := c.handleSent(ctx, failed.Event, failed); !errors.Is(err, errLater) {
			return err
		}
		return nil
	case errors.Is(err, ErrLeaseLost):
		c.subscriber.subscription.aside.retries.drop(c.subscriber) // they are void
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
	return c.handle(ctx, task{event: e}, failed, c.subscriber.subscription.aside.retries.handedOver(&e))
}

// untilDue returns a context that ends when a retry is due, or it is time to look at what is parked.
func (c *consumer) untilDue(ctx context.Context) (context.Context, context.CancelFunc) {
	at, ok := c.nextLook()
	if first, any := c.subscriber.subscription.aside.retries.first(c.subscriber); any && (!ok || first.Before(at)) {
		at, ok = first, true
	}
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, at)
}

// nextLook returns when it is time to look at what is parked. ok is false while nothing is parked: the consumer is
// woken when the lease is lost.
func (c *consumer) nextLook() (at time.Time, ok bool) {
	s := c.subscriber.subscription
	if s.aside.storage == nil {
		return at, false
	}
	epoch, _, ok := c.subscriber.grant()
	switch {
	case !ok:
		return time.Now().Add(s.env.pollEvery), true
	case s.aside.idle(epoch):
		return at, false
	}
	return s.aside.nextReplay(epoch), true
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
	if !stale {
		switch a.next() {
		case batch.Rest:
			return nil
		case batch.Look:
			if stale = c.changed(ctx); !stale {
				return nil
			}
		case batch.Replay:
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
		var again batch.Postponed
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
func (c *consumer) replayKey(ctx context.Context, epoch int64, lease context.Context, list []ParkedEvent, again batch.Postponed) (err error) {
	dealt, begun := false, time.Now()
	c.subscriber.subscription.aside.retries.begin(c.subscriber)
	defer func() { c.subscriber.subscription.aside.release(epoch, list[0].Key, dealt) }()
	for i := range list {
		tried := 0
		if again.ID == list[i].ID {
			tried = again.Attempts
		}
		err = c.replayOne(ctx, lease, &list[i], tried)
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

// replayOne handles a parked event, unless the Selector leaves it out. tried is how often it has failed since it was released.
func (c *consumer) replayOne(ctx, lease context.Context, p *ParkedEvent, tried int) error {
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
	return c.handle(ctx, t, failed, tried)
}
