package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/intake"
	"github.com/eventstore-go/eventstore/store/internal/life"
	"github.com/eventstore-go/eventstore/store/internal/queue"
)

// subscription runs one subscription in this process: a goroutine that asks its [life.Life] what to do next, does it, and answers.
// All others, such as subscribers, the feed, leases and checkpoints, tell the Life what has happened.
//
// mu is held for calls of the Life, for waking without blocking, and to end what is held. No I/O, no callback and no other lock
// comes under it; those of the hub and the feed may be held when it is taken.
type subscription struct {
	env *env
	services
	id    SubscriptionID
	opts  runOptions
	work  chan struct{} // holds one: Next may return something else
	done  chan struct{} // closed when the goroutine has ended
	free  chan struct{} // closed before, when the lease is given up and the name is free
	aside *aside        // what Consume has parked
	lines *lines        // of the log, about what it delivers

	// Of the goroutine alone.
	ahead     ahead
	pager     pager
	claim     claim
	unwritten error // why the last checkpoint was not written

	mu       sync.Mutex
	life     *life.Life[Recorded]
	held     grant
	audience audience
}

// audience is who is told of the state of a subscription. The subscription's mu guards it.
type audience struct {
	changed   chan struct{} // closed when those who wait for a state are to look again
	listeners []listener    // told of each change
	newcomers []listener    // told of the state as it is, first
}

// listener is the OnState of a subscriber.
type listener struct {
	of   *queue.Seat[Recorded]
	call func(SubscriptionState)
}

// add adds a subscriber's OnState, if it has one.
func (a *audience) add(of *queue.Seat[Recorded], call func(SubscriptionState)) {
	if call != nil {
		a.newcomers = append(a.newcomers, listener{of, call})
	}
}

// remove removes the OnState of a subscriber.
func (a *audience) remove(of *queue.Seat[Recorded]) {
	isOf := func(l listener) bool { return l.of == of }
	a.listeners, a.newcomers = slices.DeleteFunc(a.listeners, isOf), slices.DeleteFunc(a.newcomers, isOf)
}

// due returns whom to tell of the state: all if it has changed, otherwise those that have not heard of any.
func (a *audience) due(changed, begun bool) (list []listener) {
	if !begun || !changed && len(a.newcomers) == 0 {
		return nil
	}
	if changed {
		list = slices.Clone(a.listeners)
	}
	list = append(list, a.newcomers...)
	a.listeners, a.newcomers = append(a.listeners, a.newcomers...), nil
	return list
}

// services are the goroutines that subscriptions of a Store share.
type services struct {
	feed        *feed
	leases      *leases
	checkpoints *checkpoints
}

func newSubscription(e *env, shared services, id SubscriptionID, opts runOptions) *subscription {
	s := &subscription{
		env: e, services: shared, id: id, opts: opts,
		work: make(chan struct{}, 1), done: make(chan struct{}), free: make(chan struct{}), audience: audience{changed: make(chan struct{})},
		claim: claim{writes: opts.kind == viaProject}, // which has found that out
		ahead: ahead{storage: e.reads, overlap: 1}, pager: pager{most: e.pageBytes}, lines: newLines(e.log),
	}
	s.aside = newAside(e.storage, opts.Transient, id, e.pollEvery, s)
	s.life = life.New(s.lifeOptions())
	return s
}

// pageSize is readSize, or less where the queue is small.
func (s *subscription) pageSize() int { return min(readSize, (s.opts.MaxSize+1)/2) }

func (s *subscription) lifeOptions() life.Options[Recorded] {
	var recycle func([]Recorded) // takes pages that only this subscription uses
	if recycler, ok := s.env.reads.(Recycler); ok && s.opts.pages == nil {
		recycle = recycler.Recycle
	}
	return life.Options[Recorded]{
		All: s.id.Stream == All, Transient: s.opts.Transient, Existing: s.opts.kind == viaProject,
		Seats: s.opts.ConcurrencyLimit, Page: s.pageSize(), Limit: readSize, Bytes: s.env.pageBytes,
		Retry: s.opts.RetryInterval, TTL: s.env.leaseTTL, Policy: s.opts.policy,
		Inbox: intake.Limits{Events: s.opts.MaxSize, Bytes: s.env.pageBytes, TooSlow: s.opts.kind == viaWatch},
		Queue: func(checkpoint int64) *queue.Queue[Recorded] {
			q := queue.New(checkpoint, deliveries.Load(), s.opts.MaxSize, recycle)
			q.Bound(s.env.pageBytes, (*Recorded).Size)
			return q
		},
		Weigh: sizeOf, Kind: s.kind, Named: s.failed,
		Left: ErrSubscriberClosed, LeaseLost: ErrLeaseLost, TooSlow: ErrTooSlow,
		Deleted: &StreamError{Stream: s.id.Stream, Err: ErrStreamDeleted},
		PositionLost: func(after, head int64) error {
			return &PositionLostError{Stream: s.id.Stream, After: after, Head: head}
		},
		WakeRunner: s.poke, WakeWatchers: s.change,
	}
}

// poke lets the goroutine ask again what to do.
func (s *subscription) poke() {
	select {
	case s.work <- struct{}{}:
	default:
	}
}

// change wakes those who wait for a state, or for what goes with it. s.mu is held.
func (s *subscription) change() {
	close(s.audience.changed)
	s.audience.changed = make(chan struct{})
}

// run is the goroutine. It calls forget when nothing is left but to stop.
func (s *subscription) run(ctx context.Context, forget func()) {
	defer close(s.done)
	err := errors.New("a callback has ended the subscription's goroutine")
	defer func() {
		s.settle()
		s.ahead.wait()
		s.feed.leave(s.id.Stream, s)
		s.leases.leave(s)
		s.handBack()
		forget()
		close(s.free)
		s.stop(err)
	}()
	err = s.runUntil(ctx)
}

// runUntil runs the subscription until there is a reason to stop, which it returns.
func (s *subscription) runUntil(ctx context.Context) error {
	for ctx.Err() == nil {
		switch todo := s.next(); todo.Do {
		case life.Rest:
			s.rest(ctx, todo.Until)
		case life.Acquire:
			s.acquired(s.acquire(ctx, todo.Create))
		case life.Join:
			s.joined(s.feed.join(ctx, s.opts.Timeout, s.id.Stream, s))
		case life.Note:
			s.noted(todo.Problem, s.saveError(ctx, todo.Problem))
		case life.Look:
			s.tried(s.timed(ctx, s.look))
		case life.Again:
			s.tried(s.timed(ctx, func(ctx context.Context) error { return s.readAgain(ctx, todo.From) }))
		case life.Read:
			s.tried(s.timed(ctx, func(ctx context.Context) error { return s.read(ctx, todo.Limit) }))
		case life.Take:
			s.tried(s.timed(ctx, func(ctx context.Context) error { return s.accept(ctx, todo.Page, true) }))
		case life.Lose:
			s.lose(todo.Why)
		case life.Leave:
			s.leave(ctx, todo.Why)
			return todo.Why
		case life.Stop:
			return todo.Why
		}
	}
	return ctx.Err()
}

// next returns what to do next. First it calls each OnState that has not heard of the state.
func (s *subscription) next() life.Todo[Recorded] {
	s.mu.Lock()
	todo := s.life.Next(time.Now())
	state, begun := s.state()
	due := s.audience.due(todo.Changed, begun)
	s.mu.Unlock()
	for _, l := range due {
		l.call(state)
	}
	if todo.Due {
		s.checkpoints.poke()
	}
	return todo
}

// state returns the state; begun is false until there is one. s.mu is held.
func (s *subscription) state() (state SubscriptionState, begun bool) {
	phase, cause, begun := s.life.State()
	return SubscriptionState{Phase: Phase(phase), Err: cause}, begun
}

// rest waits until the goroutine is woken, or a time, unless that is zero.
func (s *subscription) rest(ctx context.Context, until time.Time) {
	var timer <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-s.work:
	case <-timer:
	case <-ctx.Done():
	}
}

// timed does something within Timeout.
func (s *subscription) timed(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	return do(ctx)
}

// tried answers with the result of an attempt to read.
func (s *subscription) tried(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Tried(err, time.Now())
}

// joined answers with the result of an attempt to join the feed.
func (s *subscription) joined(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.life.Failed(err, time.Now())
	} else {
		s.life.Joined()
	}
}

// stop ends the subscription for its subscribers.
func (s *subscription) stop(why error) {
	s.mu.Lock()
	s.held.close(why)
	s.life.Stopped(why)
	s.mu.Unlock()
	s.lines.end(context.Background(), s.names()...)
	s.next() // tells OnState
}

// settle waits until no checkpoint is being written.
func (s *subscription) settle() {
	for s.writing() {
		<-s.work
	}
}

func (s *subscription) writing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life.Writing()
}

// operation is one of the subscription's, for the observer.
func (s *subscription) operation(kind OperationKind) Operation {
	name, partition := s.id.Name, 0
	if s.opts.kind == viaProject {
		name, partition = s.opts.projection, s.opts.partition
	}
	return Operation{Kind: kind, Stream: s.id.Stream, Subscription: name, Partition: partition}
}

// failed adds which subscription an error is of.
func (s *subscription) failed(err error) error {
	var known *SubscriptionError
	if errors.As(err, &known) {
		return err
	}
	return &SubscriptionError{s.id, err}
}

// kind returns what an error means for the subscription.
func (s *subscription) kind(err error) life.Kind {
	switch {
	case errors.Is(err, ErrLeaseLost):
		return life.Gone
	case errors.Is(err, ErrLeaseHeld):
		return life.Held
	case final(err), errors.Is(err, ErrReadOnly) && !s.claim.writes:
		return life.Final
	}
	return life.Passing
}

// final reports whether an error is permanent, so that trying again can't help.
func final(err error) bool {
	if errors.Is(err, ErrReplica) {
		return false // whatever it says of its database: it follows
	}
	for _, e := range []error{
		ErrClosed, ErrInvalid, ErrSubscriptionNotFound, ErrProjectionNotFound, ErrProjectionReplaced, ErrSubscriberClosed, ErrPositionLost, ErrStreamDeleted, ErrSchema, ErrTooSlow,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// names are the attributes that identify the subscription, or the partition of a projection.
func (s *subscription) names() []any {
	if s.opts.kind == viaProject {
		return []any{"stream", s.id.Stream, "projection", s.opts.projection, "partition", s.opts.partition}
	}
	return []any{"stream", s.id.Stream, "subscription", s.id.Name}
}

// about are the attributes that identify an event, and an attempt at it: never what is in it.
func (s *subscription) about(e *Recorded, attempt int) []any {
	return append(s.names(), "event_stream", e.Stream, "number", e.Number, "type", e.Type, "attempt", attempt)
}

// logFailure logs that an event has failed, and what becomes of it.
func (s *subscription) logFailure(ctx context.Context, message string, e *Recorded, attempt int, err error) {
	s.lines.warn(ctx, message, append(s.about(e, attempt), "err", err)...)
}
