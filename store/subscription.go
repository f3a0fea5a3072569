package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// subscription is one subscription as this Store runs it: its queue, its subscribers, and the goroutine that reads for
// them and writes its checkpoint. Only that goroutine adds to the queue or replaces it.
type subscription struct {
	hub   *hub
	id    SubscriptionID
	opts  SubscribeOptions
	ahead ahead         // of the goroutine alone
	work  chan struct{} // holds one: there is something for the goroutine to do
	done  chan struct{} // closed when the goroutine has ended

	mu          sync.Mutex
	queue       *queue
	subscribers []*Subscriber
	state       SubscriptionState
	changed     chan struct{} // closed at the next change of state
	begun       bool          // the first attempt to get the lease has been made
	lease       Lease
	leaseCtx    context.Context // ends when the lease is lost
	leaseEnd    context.CancelCauseFunc
	validUntil  time.Time  // when the lease ends for all this process knows; zero for one without
	lost        bool       // somebody else has, or had, the lease
	gone        bool       // it is about to stop, and takes no more subscribers
	unwritten   error      // what kept the last checkpoint from being written
	closing     error      // why all subscribers were closed, or nil
	sealed      error      // why nothing can be acknowledged any more, or nil
	ending      error      // why it ends when what is queued has been dealt with, or nil
	streamID    int64      // of the stream that numbers count in
	looked      bool       // the stream has been looked at since it was last asked to
	saved       int64      // the checkpoint in the database
	dirty       time.Time  // since when the checkpoint is ahead of saved, or zero
	acked       bool       // an event was acknowledged since the checkpoint was saved
	asked       bool       // a checkpoint is due, and is going to be written
	saving      bool       // a checkpoint is being written
	saveErr     error      // why the last one was not, or nil
	wasAcked    bool       // what acked was when the writing began
	settled     *sync.Cond // told when saving has ended
	problem     *string    // the last error, to be saved, or nil
	troubled    bool       // the last error is not over
	inbox       [][]Recorded
	inboxSize   int
	fed         int64 // the last number that the feed has offered
	missed      bool  // the inbox is not all there is: read from storage
	unfed       error // why the feed can't read, or nil
	retryAt     time.Time
}

// readSize is how many events are read from storage at a time.
const readSize = 1000

// pageSize is readSize, or less where the queue is small.
func (s *subscription) pageSize() int { return min(readSize, (s.opts.MaxSize+1)/2) }

func newSubscription(h *hub, id SubscriptionID, opts SubscribeOptions) *subscription {
	s := &subscription{
		hub: h, id: id, opts: opts, queue: newQueue(0),
		work: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
		ahead: ahead{storage: h.storage},
	}
	s.settled = sync.NewCond(&s.mu)
	return s
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
		s.hub.feed.leave(s)
		s.hub.leases.leave(s)
		s.hub.forget(s)
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
		lease, valid, err := s.acquire(ctx, create)
		if err == nil {
			s.mu.Lock()
			s.queue = newQueue(lease.Checkpoint)
			s.lease, s.validUntil, s.streamID, s.saved = lease, valid, lease.StreamID, lease.Checkpoint
			s.lost, s.looked, s.missed, s.inbox, s.inboxSize = false, false, true, nil, 0
			s.dirty, s.acked, s.asked, s.saveErr, s.unfed = time.Time{}, false, false, nil, nil
			s.leaseCtx, s.leaseEnd = context.WithCancelCause(context.Background())
			s.mu.Unlock()
			if !s.opts.Transient {
				s.hub.leases.hold(s)
			}
			return nil
		}
		if final(err) || ctx.Err() != nil {
			return err
		}
		retry := s.opts.RetryInterval
		if errors.Is(err, ErrLeaseHeld) {
			create = false // it is there: if it is deleted meanwhile, it stays deleted
			s.hub.leases.wait(s)
			retry = s.hub.leaseTTL // to notice that
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

// acquire takes the lease, or for a transient subscription makes one up, and returns until when it is valid.
func (s *subscription) acquire(ctx context.Context, create bool) (lease Lease, valid time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	if create {
		if lease.Checkpoint, lease.StreamID, err = s.start(ctx); err != nil {
			return lease, valid, err
		}
	}
	lease.ID = s.id
	if s.opts.Transient {
		return lease, valid, nil
	}
	valid = time.Now().Add(s.hub.leaseTTL)
	lease, err = s.takeLease(ctx, LeaseRequest{
		ID: s.id, Owner: s.hub.owner, TTL: s.hub.leaseTTL, Create: create, Checkpoint: lease.Checkpoint, StreamID: lease.StreamID,
	})
	if err != nil {
		return lease, valid, err
	}
	if s.id.Stream == All {
		head, err := s.hub.storage.Head(ctx)
		if err == nil && lease.Checkpoint > head {
			err = &PositionLostError{Stream: All, After: lease.Checkpoint, Head: head}
		}
		if err != nil {
			if final(err) {
				_ = s.hub.storage.SaveError(ctx, s.id, lease.Epoch, err.Error()) // it is returned, too
			}
			s.release(context.WithoutCancel(ctx), lease)
			return lease, valid, err
		}
	}
	return lease, valid, nil
}

// takeLease asks for the lease.
func (s *subscription) takeLease(ctx context.Context, r LeaseRequest) (Lease, error) {
	ctx, end := s.hub.observe(ctx, s.operation(OpAcquire))
	lease, err := s.hub.storage.AcquireLease(ctx, r)
	end(Outcome{Err: err})
	return lease, err
}

// operation is one of the subscription's, for the observer.
func (s *subscription) operation(kind OperationKind) Operation {
	name, partition := s.id.Name, 0
	if s.opts.projection != "" {
		name, partition = s.opts.projection, s.opts.partition
	}
	return Operation{Kind: kind, Stream: s.id.Stream, Subscription: name, Partition: partition}
}

// release gives a lease up that is not served.
func (s *subscription) release(ctx context.Context, l Lease) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	err := s.hub.storage.ReleaseLease(ctx, CheckpointRequest(l))
	if err != nil {
		s.hub.log.Warn("eventstore: a lease was not given up; it will expire", "stream", s.id.Stream, "subscription", s.id.Name, "error", err)
	}
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
		err := s.hub.feed.join(ctx, s)
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
	room := s.opts.MaxSize - s.queue.queued
	enough := room >= s.pageSize()
	inbox := len(s.inbox) > 0
	if s.unknown() && inbox {
		s.missed = true // the stream is there now: find out which one it is, and read it
	}
	ending, drained, missed, unfed := s.ending, s.queue.first == nil, s.missed, s.unfed
	if unfed == nil && !s.valid() {
		unfed = ErrLeaseLost
	}
	look := s.id.Stream != All && !s.looked
	s.mu.Unlock()
	switch {
	case ending != nil && drained:
		return false, ending
	case ending != nil:
		return false, nil
	case look:
		return true, s.look(ctx)
	case !enough:
		return false, nil
	case missed:
		s.setState(CatchingUp, nil)
		return true, s.read(ctx, min(room, readSize))
	case inbox:
		s.setState(Live, nil)
		s.unpack(room)
		return true, nil
	case unfed != nil:
		s.setState(Waiting, unfed)
		return false, nil
	}
	s.setState(Live, nil)
	return false, nil
}

// resting reports whether the subscription waits after an error.
func (s *subscription) resting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retryAt.After(time.Now())
}

// unknown reports whether the stream that numbers count in is not known, since it was not there yet. s.mu is held.
func (s *subscription) unknown() bool { return s.id.Stream != All && s.streamID == 0 }

// look finds out whether the stream is still the one that the subscription's numbers count in.
func (s *subscription) look(ctx context.Context) error {
	s.mu.Lock()
	s.looked = true // before it looks: it may be asked to again meanwhile
	s.mu.Unlock()
	info, exists, err := s.streamInfo(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.looked = false
		return err
	case !exists:
		return nil
	case info.Status() == Deleted:
		s.ending = &StreamError{Stream: s.id.Stream, Err: ErrStreamDeleted}
	case s.streamID != 0 && info.ID != s.streamID:
		// Hard deleted, and created again: numbers begin anew.
		s.void()
		s.queue = newQueue(0)
		s.streamID, s.saved, s.dirty = info.ID, -1, time.Now()
		s.missed, s.inbox, s.inboxSize = true, nil, 0
	case info.Version < s.queue.received:
		return &PositionLostError{Stream: s.id.Stream, After: s.queue.received, Head: info.Version}
	default:
		s.streamID = info.ID
		if info.Version > s.queue.received {
			s.missed = true
		}
	}
	return nil
}

// read adds a page from storage to the queue.
func (s *subscription) read(ctx context.Context, limit int) error {
	s.mu.Lock()
	// What comes to the inbox from now on follows the page, if the page is the last one.
	s.missed, s.inbox, s.inboxSize = false, nil, 0
	unknown := s.unknown()
	s.mu.Unlock()
	if unknown {
		// Before anything of it is read: another stream of the name may come after this one.
		if err := s.look(ctx); err != nil {
			s.miss()
			return err
		}
	}
	s.mu.Lock()
	unknown = s.unknown()
	from := s.queue.received + 1
	s.mu.Unlock()
	if unknown {
		return nil
	}
	page, next, err := s.page(ctx, from, limit)
	if err != nil || next > from {
		s.miss()
	}
	if err != nil {
		return err
	}
	s.take(page, false, next-1)
	return nil
}

// miss says that there is more in storage than in the inbox.
func (s *subscription) miss() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed, s.inbox, s.inboxSize = true, nil, 0
}

// page reads from storage. next is the number to go on from: from at the end of the stream.
func (s *subscription) page(ctx context.Context, from int64, limit int) (page []Recorded, next int64, err error) {
	switch {
	case s.opts.pages == nil && s.opts.Filter.IsZero() && s.opts.MaxSize >= 2*readSize: // there is no need to save memory
		r := ReadRequest{Stream: s.id.Stream, From: from, Limit: s.pageSize()}
		expected := s.ahead.expects(r)
		page, err = s.ahead.fetch(s.hub.ctx, r, math.MaxInt, s.readPage)
		if expected && len(page) == 0 && err == nil {
			page, err = s.readPage(ctx, r) // it was read too early: since then the feed may have offered what follows
		}
		if next = from; len(page) > 0 {
			next = page[len(page)-1].Number + 1
		}
		return page, next, err
	case s.opts.pages == nil:
		return s.fetch(ctx, from, limit)
	}
	return s.opts.pages.read(ctx, from, limit, func(limit int) ([]Recorded, int64, error) { return s.fetch(ctx, from, limit) })
}

// readPage is fetch with a time limit of its own, for a read that may be ahead of its time.
func (s *subscription) readPage(ctx context.Context, r ReadRequest) ([]Recorded, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	page, _, err := s.fetch(ctx, r.From, r.Limit)
	return page, err
}

// fetch is page for a page that nobody shares.
func (s *subscription) fetch(ctx context.Context, from int64, limit int) (page []Recorded, next int64, err error) {
	r := ReadRequest{Stream: s.id.Stream, From: from, Limit: limit}
	ctx, end := s.hub.observe(ctx, s.operation(OpFetch))
	switch {
	case !s.opts.Filter.IsZero():
		page, next, err = s.hub.storage.ReadFiltered(ctx, r, s.opts.Filter)
	case s.id.Stream == All:
		page, err = s.hub.storage.ReadAll(ctx, r)
	default:
		page, err = s.hub.storage.ReadStream(ctx, r)
	}
	end(Outcome{Err: err, Count: len(page)})
	switch {
	case errors.Is(err, ErrStreamNotFound):
		return nil, from, nil
	case errors.Is(err, ErrStreamDeleted):
		s.mu.Lock()
		s.ending = err
		s.mu.Unlock()
		return nil, from, nil
	case err != nil:
		return nil, from, err
	}
	for i := range page {
		page[i].codec = s.hub.codec
	}
	if s.opts.Filter.IsZero() {
		next = from
		if n := len(page); n > 0 {
			next = page[n-1].Number + 1
		}
	}
	return page, next, nil
}

// unpack adds what the feed has sent to the queue.
func (s *subscription) unpack(room int) {
	s.mu.Lock()
	page := s.inbox[0]
	if len(page) > room {
		s.inbox[0], page = page[room:], page[:room]
	} else {
		s.inbox[0] = nil
		s.inbox = s.inbox[1:]
	}
	s.inboxSize -= len(page)
	s.mu.Unlock()
	s.take(page, true, 0)
}

// take asks the callbacks about a page, adds what they choose to the queue, and notes that everything up to last was
// read. Events of the feed are filtered here.
func (s *subscription) take(page []Recorded, fed bool, last int64) {
	s.mu.Lock()
	received, number, streamID := s.queue.received, int64(0), s.streamID
	s.mu.Unlock()
	type chosen struct {
		event   *Recorded
		key     string
		failure *CallbackError
	}
	list := make([]chosen, 0, len(page))
	asks := s.opts.Selector != nil || s.opts.PartitionBy != nil || s.opts.choose != nil
	gap := false
	for i := range page {
		e := &page[i]
		if e.Number <= received {
			continue
		}
		if fed && s.id.Stream != All && e.Number > received+1 {
			gap = true // links, which the feed does not see
			break
		}
		received, number = e.Number, e.Number
		if fed && !s.opts.Filter.matches(e) {
			continue
		}
		c := chosen{event: e}
		selected := true
		if asks {
			selected, c.key, c.failure = s.opts.ask(streamID, *e)
		}
		if selected {
			list = append(list, c)
		}
	}
	sparse := len(list) < len(page)/4 // then they must not keep the whole page
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.grow(len(list))
	for _, c := range list {
		if sparse {
			c.event = c.event.clone()
		}
		s.queue.add(c.event, c.key, c.failure)
	}
	s.queue.skip(max(number, last))
	if gap {
		s.missed, s.inbox, s.inboxSize = true, nil, 0
	}
	s.noteProgress()
	s.wake()
}

// clone returns a copy that shares no memory with the page that r was read with.
func (r *Recorded) clone() *Recorded {
	c := *r
	c.Data, c.Metadata = bytes.Clone(r.Data), bytes.Clone(r.Metadata)
	c.Type, c.Stream = strings.Clone(r.Type), strings.Clone(r.Stream)
	return &c
}

// ask runs the callbacks of an event that is to be queued.
func (o *SubscribeOptions) ask(streamID int64, e Recorded) (selected bool, key string, failure *CallbackError) {
	selected = true
	if o.choose != nil {
		failure = called("PartitionBy", e, func() error {
			selected = o.choose(streamID, &e)
			return nil
		})
		return selected, "", failure
	}
	if o.Selector != nil {
		failure = called("Selector", e, func() error {
			selected = o.Selector(e)
			return nil
		})
		if failure != nil || !selected {
			return failure != nil, e.Stream, failure
		}
	}
	if o.PartitionBy != nil {
		key = e.Stream // if there is no answer, the nearest thing to one
		failure = called("PartitionBy", e, func() error {
			key = o.PartitionBy(e)
			return nil
		})
	}
	return true, key, failure
}

// wake lets waiting subscribers look at the queue. s.mu is held.
func (s *subscription) wake() {
	if s.queue.queued == 0 {
		return
	}
	for _, r := range s.subscribers {
		r.poke()
	}
}

// noteProgress notes since when the checkpoint is ahead of what is saved, and pokes the goroutine when it has to know.
// s.mu is held.
func (s *subscription) noteProgress() {
	ahead := s.queue.checkpoint() - s.saved
	if ahead <= 0 || s.opts.Transient {
		return
	}
	if s.dirty.IsZero() {
		s.dirty = time.Now()
		s.poke() // to set a timer
	}
	if s.due(ahead) {
		s.poke()
	}
}

// due reports whether a checkpoint that is so far ahead is to be written for its threshold. What was only filtered out
// does not count one by one. s.mu is held.
func (s *subscription) due(ahead int64) bool {
	threshold := int64(s.opts.CheckpointThreshold)
	if !s.acked {
		threshold = max(threshold, DefaultCheckpointThreshold)
	}
	return ahead >= threshold
}

// save has the checkpoint written if that is due, and writes the last error. The checkpoint is written beside the
// goroutine, which reads on meanwhile, one at a time; its error is returned from the next call.
func (s *subscription) save(ctx context.Context) error {
	if s.opts.Transient {
		return nil
	}
	s.mu.Lock()
	ahead := s.queue.checkpoint() - s.saved
	due := ahead > 0 && !s.saving && (s.due(ahead) || s.opts.CheckpointAfter >= 0 && time.Since(s.dirty) >= s.opts.CheckpointAfter)
	problem, epoch, err := s.problem, s.lease.Epoch, s.saveErr
	s.saveErr, s.asked = nil, s.asked || due
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if due {
		s.hub.checkpoints.poke()
	}
	if problem == nil {
		return nil
	}
	if err := s.hub.storage.SaveError(ctx, s.id, epoch, *problem); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem == problem {
		s.problem = nil
	}
	return nil
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
	} else if !s.dirty.IsZero() && !s.asked && !s.saving && s.opts.CheckpointAfter >= 0 && !s.opts.Transient {
		until(s.dirty.Add(s.opts.CheckpointAfter))
	}
	expired := !s.validUntil.IsZero() && !s.validUntil.After(now)
	if !expired {
		until(s.validUntil)
	}
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

// left returns why the subscription has no subscribers any more, or nil.
func (s *subscription) left() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing != nil:
		s.gone = true
		return s.closing
	case len(s.subscribers) == 0:
		s.gone = true
		return ErrSubscriberClosed
	}
	return nil
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
	s.sealed = s.failed(why)
	r := CheckpointRequest{ID: s.id, Epoch: s.lease.Epoch, Checkpoint: max(s.queue.checkpoint(), s.saved), StreamID: s.streamID}
	lost := s.lost
	if final(why) && !errors.Is(why, ErrSubscriberClosed) && !errors.Is(why, ErrClosed) {
		text := why.Error()
		s.problem = &text
	}
	problem := s.problem
	s.mu.Unlock()
	if lost {
		s.note(ErrLeaseLost, r.Checkpoint)
		return why
	}
	if problem != nil {
		if err := s.hub.storage.SaveError(ctx, s.id, r.Epoch, *problem); err != nil {
			s.hub.log.Warn("eventstore: the last error of a subscription was not noted", "stream", s.id.Stream, "subscription", s.id.Name, "error", err)
		}
	}
	if err := s.hub.storage.ReleaseLease(ctx, r); err != nil {
		s.note(err, r.Checkpoint)
	}
	s.hub.leases.poke()
	return why
}

// note notes that the last checkpoint was not written.
func (s *subscription) note(err error, checkpoint int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if checkpoint > s.saved || !errors.Is(err, ErrLeaseLost) {
		s.unwritten = &SubscriptionError{s.id, fmt.Errorf("checkpoint %d is not written: %w", checkpoint, err)}
	}
}

// isLost reports whether the lease was lost.
func (s *subscription) isLost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// lose voids what is in flight and queued, and tells the subscribers.
func (s *subscription) lose(err error) {
	s.settle()
	s.hub.leases.leave(s)
	s.hub.feed.leave(s)
	s.mu.Lock()
	s.lost = true
	s.leaseEnd(err)
	s.void()
	s.queue = newQueue(s.queue.received)
	for _, r := range s.subscribers {
		r.notice = s.failed(err)
		r.poke()
	}
	s.mu.Unlock()
	s.setState(Waiting, err)
}

// void makes the subscribers forget what they have in flight. s.mu is held.
func (s *subscription) void() {
	for _, r := range s.subscribers {
		r.noteVoid()
		r.held = holder{}
	}
}

// extend notes that the lease was renewed.
func (s *subscription) extend(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.validUntil
	s.validUntil = until
	if !was.After(time.Now()) { // it had expired
		s.poke()
		s.wake()
	}
}

// loseLease notes that somebody else has, or had, the lease of an epoch.
func (s *subscription) loseLease(epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease.Epoch == epoch {
		s.lost = true
		s.poke()
	}
}

// valid reports whether the lease has not expired for all this process knows. s.mu is held.
func (s *subscription) valid() bool {
	return !s.lost && (s.validUntil.IsZero() || time.Now().Before(s.validUntil))
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
		close(s.changed)
		s.changed = make(chan struct{})
	}
	state := s.state
	s.mu.Unlock()
	if !same && s.opts.OnState != nil {
		s.opts.OnState(state)
	}
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
	if s.leaseEnd != nil {
		s.leaseEnd(err)
	}
	for _, r := range s.subscribers {
		r.end(s.failed(err))
	}
	s.subscribers = nil
	s.mu.Unlock()
	s.setState(Stopped, err)
}

// fail ends the subscription when what is queued has been dealt with.
func (s *subscription) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending == nil {
		s.ending = err
		s.poke()
	}
}

// offer is called by the feed with new events, whose numbers are those of the subscription's stream. It does not block.
func (s *subscription) offer(page []Recorded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id.Stream != All {
		if first := page[0].Number; s.queue.received > 0 && first <= max(s.fed, 1) {
			s.looked = false // numbers begin anew: it may be another stream of the name
			s.poke()
		}
		s.fed = page[len(page)-1].Number
	}
	if s.ending != nil || s.missed && !s.opts.endWhenBehind {
		return
	}
	if s.missed && s.inboxSize+len(page) <= s.opts.MaxSize {
		s.inboxSize += len(page) // it reads them by itself, but does not get ever further behind
		return
	}
	if s.inboxSize+len(page) > s.opts.MaxSize {
		if s.opts.endWhenBehind {
			s.ending = ErrTooSlow
		}
		s.missed, s.inbox, s.inboxSize = true, nil, 0
		s.poke()
		return
	}
	s.inbox = append(s.inbox, page)
	s.inboxSize += len(page)
	s.poke()
}

// starve notes why the feed can't read, or with nil that it can again.
func (s *subscription) starve(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unfed != nil || err != nil {
		s.unfed = err
		s.poke()
	}
}

// lookAgain asks the subscription to look at its stream.
func (s *subscription) lookAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked = false
	s.poke()
}

// trouble notes the last error, to be seen in the list of subscriptions.
func (s *subscription) trouble(err error) {
	text := err.Error()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubled = true
	s.problem = &text
	s.poke()
}

// committed notes a checkpoint that a projection has written.
func (s *subscription) committed(checkpoint int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = max(s.saved, checkpoint)
}

// solved notes that the last error is over.
func (s *subscription) solved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.troubled {
		s.troubled = false
		s.problem = new(string)
		s.poke()
	}
}

// final reports whether an error ends a subscription: trying again would not help.
func final(err error) bool {
	for _, e := range []error{
		ErrClosed, ErrInvalid, ErrSubscriptionNotFound, ErrProjectionNotFound, ErrProjectionReplaced, ErrSubscriberClosed, ErrPositionLost, ErrStreamDeleted, ErrSchema, ErrTooSlow,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
