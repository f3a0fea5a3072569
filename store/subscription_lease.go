package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store/internal/intake"
	"github.com/eventstore-go/eventstore/store/internal/life"
)

// claim is what the goroutine knows of the lease in the database.
type claim struct {
	leased bool // it may be this process's
	writes bool // the database has taken a write, or would have
}

// grant is a lease that was acquired, and how long what works under it goes on. The zero value is none.
type grant struct {
	lease Lease
	ctx   context.Context // ends when the lease is lost, or the subscription has ended
	end   context.CancelCauseFunc
}

func newGrant(l Lease) grant {
	ctx, end := context.WithCancelCause(context.Background())
	return grant{l, ctx, end}
}

func (g *grant) close(why error) {
	if g.end != nil {
		g.end(why)
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
	valid = time.Now().Add(s.env.leaseTTL)
	lease, err = s.takeLease(ctx, LeaseRequest{
		ID: s.id, Owner: s.env.owner, TTL: s.env.leaseTTL, Create: create, Checkpoint: lease.Checkpoint, StreamID: lease.StreamID,
	})
	if errors.Is(err, ErrLeaseHeld) {
		if lost := s.carried(ctx); lost != nil {
			err = lost
		}
	}
	if err != nil {
		return lease, valid, err
	}
	if seen, streamID := s.seen(); streamID == lease.StreamID && seen.Number > lease.Seen.Number {
		lease.Seen = seen // under an earlier lease: if it is lost, the subscribers are to know
	}
	if !lease.hasRead() {
		return lease, valid, nil
	}
	if err = s.env.storage.SaveCheckpoint(ctx, lease.request()); err != nil { // saves what is there already, and so is judged
		if final(err) {
			_ = s.env.storage.SaveError(ctx, s.id, lease.Epoch, err.Error(), lease.Checkpoint+1) // it is returned, too
		}
		s.release(context.WithoutCancel(ctx), lease)
	}
	return lease, valid, err
}

// acquired answers with the result of acquire.
func (s *subscription) acquired(l Lease, valid time.Time, err error) {
	if err == nil {
		s.claim.writes = true
		s.mu.Lock()
		s.held = newGrant(l)
		s.life.Acquired(life.Grant{
			Epoch: l.Epoch, Until: valid, Checkpoint: l.Checkpoint, StreamID: l.StreamID, Seen: l.Seen.intake(), Read: l.hasRead(),
		})
		s.mu.Unlock()
		s.leases.stopWaiting(s)
		if !s.opts.Transient {
			s.leases.hold(s)
		}
		return
	}
	switch s.kind(err) {
	case life.Held:
		s.claim.writes = true
		s.leases.watch(s, s.opts.RetryInterval, s.id)
	case life.Final:
	default:
		s.lines.warn(s.env.ctx, "eventstore: a subscription can't begin; trying again", append(s.names(), "err", err)...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Failed(err, time.Now())
}

// intake returns s as the machines know it.
func (s SeenEvent) intake() intake.Seen { return intake.Seen{Number: s.Number, ID: s.ID} }

// seen returns the last event that was seen, and the stream that its number counts in.
func (s *subscription) seen() (seen SeenEvent, streamID int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seenNow(), s.life.Stream()
}

// seenNow is the event of seen. s.mu is held.
func (s *subscription) seenNow() SeenEvent {
	at := s.life.Seen()
	return SeenEvent{Number: at.Number, ID: uuid.UUID(at.ID)}
}

// release gives a lease up that is not served.
func (s *subscription) release(ctx context.Context, l Lease) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	err := s.env.storage.ReleaseLease(ctx, l.request())
	if err == nil || errors.Is(err, ErrPositionLost) || errors.Is(err, ErrLeaseLost) {
		s.claim.leased = false
	} else {
		s.env.log.Warn("eventstore: a lease was not given up; it will expire", "stream", s.id.Stream, "subscription", s.id.Name, "err", err)
	}
}

// prove makes sure once more that the event which the subscription had seen is in its place. It comes after the first page
// was read: if that page was read from a database that has lost events, the event is not there now.
func (s *subscription) prove(ctx context.Context) error {
	s.mu.Lock()
	unproven, r := s.life.Unproven(), s.held.lease.request()
	s.mu.Unlock()
	if !unproven {
		return nil
	}
	if err := s.env.storage.SaveCheckpoint(ctx, r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Prove()
	return nil
}

// takeLease asks for the lease.
func (s *subscription) takeLease(ctx context.Context, r LeaseRequest) (Lease, error) {
	ctx, end := s.env.observe(ctx, s.operation(OpAcquire))
	s.claim.leased = true
	lease, err := s.env.storage.AcquireLease(ctx, r)
	if errors.Is(err, ErrLeaseHeld) || errors.Is(err, ErrSubscriptionNotFound) || errors.Is(err, ErrReadOnly) {
		s.claim.leased = false
	}
	end(Outcome{Err: err})
	return lease, err
}

// lose voids what is in flight and queued, and tells the subscribers.
func (s *subscription) lose(why error) {
	s.leases.leave(s)
	s.feed.leave(s.id.Stream, s)
	s.mu.Lock()
	s.held.close(why)
	s.life.Lost()
	s.mu.Unlock()
	s.lines.warn(context.Background(), "eventstore: a lease was lost; what is in flight comes again here or elsewhere", append(s.names(), "err", why)...)
}

// leave writes the checkpoint and gives the lease up, because of why.
func (s *subscription) leave(ctx context.Context, why error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	s.mu.Lock()
	r := s.request(s.life.Seal())
	if errors.Is(why, ErrPositionLost) {
		r = s.held.lease.request() // what was dealt with since then is not in this database
	}
	if final(why) && !errors.Is(why, ErrSubscriberClosed) && !errors.Is(why, ErrClosed) {
		s.life.End(r.Checkpoint+1, why) // it is over when that is dealt with
	}
	lost, problem := s.life.IsLost(), s.life.Problem()
	s.mu.Unlock()
	if lost {
		s.note(ErrLeaseLost, r.Checkpoint)
		return
	}
	if problem != nil {
		if err := s.env.storage.SaveError(ctx, s.id, r.Epoch, problem.Text, problem.Number); err != nil {
			s.env.log.Warn("eventstore: the last error of a subscription was not noted", "stream", s.id.Stream, "subscription", s.id.Name, "err", err)
		}
	}
	s.claim.leased = false // what fails here is noted, and not tried again
	if err := s.env.storage.ReleaseLease(ctx, r); err != nil && !errors.Is(why, ErrPositionLost) {
		s.note(err, r.Checkpoint)
	}
	s.leases.poke()
}

// note notes that the last checkpoint was not written.
func (s *subscription) note(err error, checkpoint int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lost *CheckpointLostError
	if checkpoint > s.life.Saved() || !errors.Is(err, ErrLeaseLost) || errors.As(err, &lost) {
		s.unwritten = &SubscriptionError{s.id, fmt.Errorf("checkpoint %d is not written: %w", checkpoint, err)}
	}
}

// flushed returns what kept the last checkpoint from being written when the subscription had ended in good order. s.done is closed.
func (s *subscription) flushed() error { return s.unwritten }

// handBack gives the lease up if it may be this process's, though the subscription does not run: nobody knows whether it was
// acquired, or it was given up as lost while it was not. The row keeps its checkpoint.
func (s *subscription) handBack() {
	if !s.claim.leased {
		return
	}
	ctx, cancel := context.WithTimeout(s.env.ctx, min(s.opts.Timeout, s.env.leaseTTL))
	defer cancel()
	list, err := s.env.storage.RenewLeases(ctx, s.env.owner, s.env.leaseTTL)
	if err != nil {
		s.env.log.Warn("eventstore: a lease may not be given up; it will expire", "stream", s.id.Stream, "subscription", s.id.Name, "err", err)
		return
	}
	for _, lease := range list {
		if lease.ID == s.id {
			s.leases.giveUp(ctx, lease)
			s.leases.poke()
		}
	}
}
