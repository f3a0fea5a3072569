package store

import (
	"context"
	"errors"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/intake"
	"github.com/eventstore-go/eventstore/store/internal/trouble"
)

// What others tell a subscription. None of it blocks.

// offer tells of new events, whose numbers are those of the subscription's stream.
func (s *subscription) offer(p fedPage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first, last int64
	if n := len(p.Events); n > 0 {
		first, last = p.Events[0].Number, p.Events[n-1].Number
	}
	s.life.Offer(p, first, last)
}

// news tells of n new events of the subscription's stream. They are read from the replica by the id of the stream: events that the
// feed finds may be of an earlier stream of the name, which was hard deleted at the primary since.
func (s *subscription) news(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.News(n)
}

// overtaken has the subscription read from storage if it is behind the feed, and nothing is on its way to it: what it took for the end
// was that of a standby which lags more than the one that the feed has read.
func (s *subscription) overtaken(position int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Overtaken(position)
}

// suspect says that the store, which ends at head, has lost events.
func (s *subscription) suspect(head int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Suspect(head, s.env.replicated)
}

// starve says why the feed can't read, or with nil that it can again.
func (s *subscription) starve(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Starve(err)
}

// compare has the subscription look at its stream if that differs from what it has read.
func (s *subscription) compare(info StreamInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Differs(found(info, true)) {
		s.life.Doubt()
	}
}

// found is what a look at a stream has found, as the machines know it.
func found(info StreamInfo, there bool) intake.Stream {
	return intake.Stream{ID: info.ID, Version: info.Version, There: there, Deleted: info.Status() == Deleted}
}

// extend says that the lease of an epoch was renewed.
func (s *subscription) extend(epoch int64, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Renewed(epoch, until, time.Now())
}

// loseLease says that somebody else has, or had, the lease of an epoch.
func (s *subscription) loseLease(epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.LoseLease(epoch)
}

// leaseFree says that the lease may be free.
func (s *subscription) leaseFree() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Free()
}

// close closes all subscribers.
func (s *subscription) close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Close(err)
}

// committed says that a projection has written a checkpoint.
func (s *subscription) committed(checkpoint int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Committed(checkpoint)
}

// trouble notes the last error, to be seen in the list of subscriptions, and the number of the event it is about, or 0.
func (s *subscription) trouble(number int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Trouble(number, err.Error())
}

// solved notes that errors about events from first to last are over.
func (s *subscription) solved(first, last int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Solved(first, last)
}

// applied notes that a batch of a projection was committed, by which errors about the events with numbers that are over are over.
// See [ProjectionStorage].Advance for what the transaction has done to the list.
func (s *subscription) applied(over func(number int64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Applied(over)
}

// What others ask.

// isLeased reports whether the subscription has the lease, and is Waiting for something else.
func (s *subscription) isLeased() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life.Leased(time.Now())
}

// grant returns the lease that the subscription has now: its epoch, and a context that ends with it. ok is false if it has none.
func (s *subscription) grant() (epoch int64, lease context.Context, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.ctx == nil || !s.life.Valid(time.Now()) {
		return 0, nil, false
	}
	return s.life.Epoch(), s.held.ctx, true
}

// epoch returns the epoch of the lease.
func (s *subscription) epoch() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life.Epoch()
}

// known returns the lease, with the checkpoint that is in the database for all this process knows.
func (s *subscription) known() Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Lease{ID: s.id, Epoch: s.life.Epoch(), Checkpoint: s.life.Saved(), StreamID: s.life.Stream()}
}

// checkpointRequest returns the checkpoint to be written, if there is one that is due, or will be soon. Until the result
// is told there is no other.
func (s *subscription) checkpointRequest(soon bool) (r CheckpointRequest, timeout time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	checkpoint, ok := s.life.Write(soon, time.Now())
	if !ok {
		return r, 0, false
	}
	return s.request(checkpoint), s.opts.Timeout, true
}

// request asks to save a checkpoint. s.mu is held.
func (s *subscription) request(checkpoint int64) CheckpointRequest {
	return CheckpointRequest{
		ID: s.id, Epoch: s.life.Epoch(), Checkpoint: checkpoint, StreamID: s.life.Stream(), Seen: s.seenNow(), Known: max(s.life.Saved(), 0),
		Era: s.held.lease.Era,
	}
}

// savedCheckpoint tells the result of writing a checkpoint.
func (s *subscription) savedCheckpoint(r CheckpointRequest, err error) {
	s.warnIfLost(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Written(r.Epoch, r.StreamID, err, errors.Is(err, ErrLeaseLost), time.Now())
}

// warnIfLost logs that the database has gone back behind a checkpoint: unless the subscription is closing, no caller is told.
func (s *subscription) warnIfLost(err error) {
	var lost *CheckpointLostError
	if errors.As(err, &lost) {
		s.env.log.Error("eventstore: a saved checkpoint is not in the database, as after a failover to a standby that lagged; events are delivered again",
			"stream", s.id.Stream, "subscription", s.id.Name, "saved", lost.Known, "found", lost.Found)
	}
}

// saveError writes the last error.
func (s *subscription) saveError(ctx context.Context, p *trouble.Problem) error {
	return s.timed(ctx, func(ctx context.Context) error {
		return s.env.storage.SaveError(ctx, s.id, s.epoch(), p.Text, p.Number)
	})
}

// noted answers with the result of saveError.
func (s *subscription) noted(p *trouble.Problem, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Noted(p, err, time.Now())
}
