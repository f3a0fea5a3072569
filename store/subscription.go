package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/checkpoint"
	"github.com/eventstore-go/eventstore/store/internal/lease"
	"github.com/eventstore-go/eventstore/store/internal/queue"
	"github.com/eventstore-go/eventstore/store/internal/trouble"
)

// subscription is one subscription as this Store runs it: its queue, its subscribers, and the goroutine that reads for
// them and writes its checkpoint. Only that goroutine adds to the queue or replaces it.
type subscription struct {
	hub  *hub
	id   SubscriptionID
	opts SubscribeOptions
	work chan struct{} // holds one: there is something for the goroutine to do
	done chan struct{} // closed when the goroutine has ended
	free chan struct{} // closed before, when the lease is given up and the name is free

	recycle func([]Recorded) // takes pages that only this subscription uses, or nil

	// Of the goroutine alone.
	ahead  ahead
	pager  pager
	leased bool // the lease may be this process's in the database
	writes bool // the database has taken a write, or would have
	again  bool // the last step has read events again that were dropped

	aside *aside // what Consume has parked
	lines *lines // of the log, about what it delivers

	mu         sync.Mutex
	desk       *queue.Desk[Recorded]
	state      SubscriptionState
	changed    chan struct{} // closed when those who wait for a state are to look again
	atUnknown  []*Subscriber // that wait at an event of an unknown version
	begun      bool          // the first attempt to get the lease has been made
	held       grant
	tenure     lease.Tenure
	gone       bool      // it is about to stop, and takes no more subscribers
	unwritten  error     // what kept the last checkpoint from being written
	closing    error     // why all subscribers were closed, or nil
	ending     error     // why it ends when what is queued has been dealt with, or nil
	streamID   int64     // of the stream that numbers count in
	seen       SeenEvent // the last event that was read, or that the lease came with
	unproven   bool      // that the lease's seen event is in its place
	doubted    bool      // that the primary has seen; with a replica only
	looked     bool      // the stream has been looked at since it was last asked to
	pace       *checkpoint.Pace
	settled    *sync.Cond // signalled when a write of the checkpoint has ended
	troubles   trouble.List
	inbox      []fedPage
	inboxSize  int // events
	inboxBytes int
	fed        int64 // the last number that the feed has offered
	missed     bool  // the inbox is not all there is: read from storage
	reading    trouble.Reading
	retryAt    time.Time
}

func newSubscription(h *hub, id SubscriptionID, opts SubscribeOptions) *subscription {
	s := &subscription{
		hub: h, id: id, opts: opts,
		work: make(chan struct{}, 1), done: make(chan struct{}), free: make(chan struct{}), changed: make(chan struct{}),
		writes: opts.projection != "", // which has found that out
		ahead:  ahead{storage: h.reads, overlap: 1}, pager: pager{most: h.pageBytes}, lines: newLines(h.log),
	}
	s.aside = newAside(s)
	if recycler, ok := h.reads.(Recycler); ok && opts.pages == nil {
		s.recycle = recycler.Recycle
	}
	s.desk = queue.NewDesk(s.newQueue(0), opts.ConcurrencyLimit)
	s.pace = checkpoint.New(opts.pace())
	s.settled = sync.NewCond(&s.mu)
	return s
}

// queue returns the queue, which is another one when what is in flight is void. s.mu is held.
func (s *subscription) queue() *queue.Queue[Recorded] { return s.desk.Queue() }

// newQueue returns a queue that goes on behind a checkpoint.
func (s *subscription) newQueue(checkpoint int64) *queue.Queue[Recorded] {
	q := queue.New(checkpoint, deliveries.Load(), s.opts.MaxSize, s.recycle)
	q.Bound(s.hub.pageBytes, (*Recorded).Size)
	return q
}

// poke tells the goroutine that there may be something to do.
func (s *subscription) poke() {
	select {
	case s.work <- struct{}{}:
	default:
	}
}

// run is the goroutine.
func (s *subscription) run(ctx context.Context) {
	defer close(s.done)
	err := errors.New("a callback has ended the subscription's goroutine")
	defer func() {
		s.settle()
		s.ahead.wait()
		s.hub.feed.leave(s.id.Stream, s)
		s.hub.leases.leave(s)
		s.handBack()
		s.hub.forget(s)
		close(s.free)
		s.stop(err)
	}()
	err = s.runUntil(ctx)
}

// runUntil runs the subscription until there is a reason to stop, which it returns.
func (s *subscription) runUntil(ctx context.Context) error {
	for create := !s.opts.existing; ; create = false {
		if err := s.begin(ctx, create); err != nil {
			return err
		}
		err := s.serve(ctx)
		if !errors.Is(err, ErrLeaseLost) {
			return err
		}
		s.lose(err)
	}
}

// begin waits until this process may run the subscription, and puts its queue where it goes on.
func (s *subscription) begin(ctx context.Context, create bool) error {
	defer s.hub.leases.stopWaiting(s)
	for {
		if err := s.left(); err != nil {
			return err
		}
		l, valid, err := s.acquire(ctx, create)
		if err == nil {
			s.writes = true
			s.mu.Lock()
			s.desk.Void(s.newQueue(l.Checkpoint), nil)
			if l.StreamID != s.streamID {
				s.troubles = trouble.List{}
			}
			s.reading.Begin(&s.troubles, l.Checkpoint)
			s.tenure.Take(l.Epoch, valid)
			s.streamID = l.StreamID
			s.pace.Begin(l.Checkpoint)
			s.seen, s.unproven, s.doubted = l.Seen, l.hasRead(), false
			s.looked = false
			s.emptyInbox(true)
			s.held = newGrant(l)
			s.mu.Unlock()
			if !s.opts.Transient {
				s.hub.leases.hold(s)
			}
			return nil
		}
		if final(err) || ctx.Err() != nil || errors.Is(err, ErrReadOnly) && !s.writes {
			return err
		}
		retry := s.opts.RetryInterval
		if errors.Is(err, ErrLeaseHeld) {
			create, s.writes = false, true // it is there: if it is deleted meanwhile, it stays deleted
			s.hub.leases.watch(s, s.opts.RetryInterval, s.id)
			retry = s.hub.leaseTTL // to notice that
		} else {
			s.lines.warn(ctx, "eventstore: a subscription can't begin; trying again", append(s.names(), "err", err)...)
		}
		s.setState(Waiting, err)
		select {
		case <-s.work:
		case <-time.After(retry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// operation is one of the subscription's, for the observer.
func (s *subscription) operation(kind OperationKind) Operation {
	name, partition := s.id.Name, 0
	if s.opts.projection != "" {
		name, partition = s.opts.projection, s.opts.partition
	}
	return Operation{Kind: kind, Stream: s.id.Stream, Subscription: name, Partition: partition}
}

// start returns the checkpoint that a new subscription begins with, and the id of the stream it counts in.
func (s *subscription) start(ctx context.Context) (checkpoint, streamID int64, err error) {
	var end int64
	if s.id.Stream == All {
		if s.opts.Start == StartOrigin {
			return 0, 0, nil
		}
		end, err = s.hub.storage.Head(ctx)
	} else {
		var info StreamInfo
		info, _, err = s.streamInfo(ctx)
		end, streamID = info.Version, info.ID
		if err == nil && info.Status() == Deleted {
			err = s.refuseDeleted(ctx)
		}
	}
	switch {
	case err != nil:
		return 0, 0, err
	case s.opts.Start.current:
		return end, streamID, nil
	case s.opts.Start.after > end:
		if isNew, err := s.isNew(ctx); err != nil || !isNew {
			return s.opts.Start.after, streamID, err
		}
		return 0, 0, &InvalidError{Field: "Start", Reason: fmt.Sprintf("is after %d, but the stream ends at %d", s.opts.Start.after, end)}
	}
	return s.opts.Start.after, streamID, nil
}

// refuseDeleted returns ErrStreamDeleted unless the subscription exists already. A new subscription on a soft-deleted
// stream is refused before it is written.
func (s *subscription) refuseDeleted(ctx context.Context) error {
	isNew, err := s.isNew(ctx)
	if err == nil && isNew {
		err = &StreamError{Stream: s.id.Stream, Err: ErrStreamDeleted}
	}
	return err
}

// isNew reports whether the subscription is not in the database yet.
func (s *subscription) isNew(ctx context.Context) (bool, error) {
	if s.opts.Transient {
		return true, nil
	}
	list, err := s.hub.storage.ListSubscriptions(ctx)
	return !slices.ContainsFunc(list, func(i SubscriptionInfo) bool { return i.SubscriptionID == s.id }), err
}

// streamInfo looks at the stream.
func (s *subscription) streamInfo(ctx context.Context) (info StreamInfo, exists bool, err error) {
	infos, err := s.hub.storage.StreamVersions(ctx, []string{s.id.Stream})
	info, exists = infos[s.id.Stream]
	return info, exists, err
}

// serve runs the subscription while it has the lease.
func (s *subscription) serve(ctx context.Context) error {
	if err := s.join(ctx); err != nil {
		if final(err) {
			s.leave(ctx, err) //nolint:errcheck // err counts
		}
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.left(); err != nil {
			return s.leave(ctx, err)
		}
		if s.isLost() {
			return ErrLeaseLost
		}
		more, err := s.step(ctx)
		switch {
		case err != nil && (final(err) || errors.Is(err, ErrLeaseLost)):
			if !errors.Is(err, ErrLeaseLost) {
				s.leave(ctx, err) //nolint:errcheck // err counts
			}
			return err
		case err != nil:
			s.setState(Waiting, err)
			s.mu.Lock()
			s.retryAt = time.Now().Add(s.opts.RetryInterval)
			s.mu.Unlock()
		case more:
			continue
		}
		s.rest(ctx)
	}
}

// join becomes a member of the feed.
func (s *subscription) join(ctx context.Context) error {
	for {
		err := s.hub.feed.join(ctx, s.opts.Timeout, s.id.Stream, s)
		if err == nil || final(err) {
			return err
		}
		s.setState(Waiting, err)
		select {
		case <-time.After(s.opts.RetryInterval):
		case <-s.work:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.left(); err != nil {
			return err
		}
		if s.isLost() {
			return ErrLeaseLost
		}
	}
}

// step does what is to be done now: it saves the checkpoint if that is due, and adds to the queue. It reports whether
// there may be more to do.
func (s *subscription) step(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	if s.resting() {
		return false, nil
	}
	if err := s.save(ctx); err != nil {
		return false, err
	}
	s.mu.Lock()
	if s.clogged() {
		s.queue().Press()
	}
	room, enough := s.room()
	inbox := len(s.inbox) > 0
	if s.unknown() && inbox {
		s.missed = true // the stream is there now: find out which one it is, and read it
	}
	ending, drained, missed, unfed := s.ending, s.queue().Empty(), s.missed, s.reading.FeedError()
	if unfed == nil && !s.valid() {
		unfed = ErrLeaseLost
	}
	look := s.id.Stream != All && !s.looked
	from, again := s.queue().Wants()
	again = again && (!s.again || !enough || !missed && !inbox) // by turns with what is new
	s.again = again
	waiting := s.state.Phase == Waiting || s.unknownVersion() != nil
	s.mu.Unlock()
	switch {
	case ending != nil && drained:
		return false, ending
	case ending != nil:
		return false, nil
	case look:
		return true, s.attempt(s.look(ctx))
	case again:
		return true, s.attempt(s.readAgain(ctx, from))
	case !enough:
		if waiting {
			s.goOn(CatchingUp, nil) // when there is room
		}
		return false, nil
	case missed:
		s.goOn(CatchingUp, nil)
		return true, s.attempt(s.read(ctx, min(room, readSize)))
	case inbox:
		s.goOn(Live, nil)
		return true, s.attempt(s.unpack(ctx, room))
	case unfed != nil:
		s.goOn(Waiting, unfed)
		return false, nil
	}
	s.goOn(Live, nil)
	return false, nil
}

// goOn sets the state. It is Waiting until whatever keeps the subscription from going on is over, so that attempts meanwhile do
// not show as states of their own: while the checkpoint can't be written, nothing can be read, the lease has expired, or a
// subscriber waits at an event of an unknown version.
func (s *subscription) goOn(p Phase, err error) {
	s.mu.Lock()
	reason := cmp.Or(s.pace.Refused(), s.reading.OwnError())
	if reason == nil && !s.valid() {
		reason = cmp.Or(s.reading.FeedError(), ErrLeaseLost)
	}
	if reason == nil {
		reason = s.unknownVersion()
	}
	s.mu.Unlock()
	if reason != nil {
		p, err = Waiting, reason
	}
	s.setState(p, err)
}

// resting reports whether the subscription waits after an error.
func (s *subscription) resting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retryAt.After(time.Now())
}

// rest waits until there is something to do.
func (s *subscription) rest(ctx context.Context) {
	s.mu.Lock()
	now := time.Now()
	wait := time.Duration(-1)
	until := func(at time.Time) {
		if d := max(at.Sub(now), 0); !at.IsZero() && (wait < 0 || d < wait) {
			wait = d
		}
	}
	if s.retryAt.After(now) {
		until(s.retryAt)
	} else {
		until(s.pace.Deadline(s.queue().Checkpoint()))
	}
	expired := s.tenure.Expired(now)
	until(s.tenure.Deadline(now))
	waiting := s.state.Phase == Waiting
	s.mu.Unlock()
	if expired && !waiting {
		s.setState(Waiting, ErrLeaseLost)
	}
	var timer <-chan time.Time
	if wait >= 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-s.work:
	case <-timer:
	case <-ctx.Done():
	}
}

// leave writes the checkpoint and gives the lease up. It returns why.
func (s *subscription) leave(ctx context.Context, why error) error {
	s.settle()
	if s.opts.Transient {
		return why
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	s.mu.Lock()
	s.desk.Seal(s.failed(why))
	r := s.request(max(s.queue().Checkpoint(), s.pace.Saved()))
	if errors.Is(why, ErrPositionLost) {
		r = s.held.lease.request() // what was dealt with since then is not in this database
	}
	lost := s.tenure.Lost()
	if final(why) && !errors.Is(why, ErrSubscriberClosed) && !errors.Is(why, ErrClosed) {
		s.troubles.End(r.Checkpoint+1, why.Error()) // it is over when that is dealt with
	}
	problem := s.troubles.Pending()
	s.mu.Unlock()
	if lost {
		s.note(ErrLeaseLost, r.Checkpoint)
		return why
	}
	if problem != nil {
		if err := s.hub.storage.SaveError(ctx, s.id, r.Epoch, problem.Text, problem.Number); err != nil {
			s.hub.log.Warn("eventstore: the last error of a subscription was not noted", "stream", s.id.Stream, "subscription", s.id.Name, "err", err)
		}
	}
	s.leased = false // what fails here is noted, and not tried again
	if err := s.hub.storage.ReleaseLease(ctx, r); err != nil && !errors.Is(why, ErrPositionLost) {
		s.note(err, r.Checkpoint)
	}
	s.hub.leases.poke()
	return why
}

// setState sets the state and tells OnState if it has changed. It is called on the subscription's goroutine.
func (s *subscription) setState(p Phase, err error) {
	if err != nil {
		err = s.failed(err)
	}
	s.mu.Lock()
	same := s.begun && s.state.Phase == p && (err == nil) == (s.state.Err == nil) && (err == nil || err.Error() == s.state.Err.Error())
	s.begun = true
	if !same {
		s.state = SubscriptionState{Phase: p, Err: err}
		s.change()
	}
	state := s.state
	s.mu.Unlock()
	if !same && s.opts.OnState != nil {
		s.opts.OnState(state)
	}
}

// change wakes those who wait for a state, or for what goes with it. s.mu is held.
func (s *subscription) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// failed says which subscription an error is of.
func (s *subscription) failed(err error) error {
	var known *SubscriptionError
	if errors.As(err, &known) {
		return err
	}
	return &SubscriptionError{s.id, err}
}

// stop ends the subscription for its subscribers.
func (s *subscription) stop(err error) {
	s.mu.Lock()
	s.held.close(err)
	s.desk.End(s.failed(err))
	s.mu.Unlock()
	s.lines.end(context.Background(), s.names()...)
	s.setState(Stopped, err)
}

// final reports whether an error ends a subscription: trying again would not help.
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
