package store

import (
	"context"
	"errors"
	"time"
)

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
	if errors.Is(err, ErrLeaseHeld) {
		if lost := s.carried(ctx); lost != nil {
			err = lost
		}
	}
	if err != nil {
		return lease, valid, err
	}
	s.mu.Lock()
	if s.streamID == lease.StreamID && s.seen.Number > lease.Seen.Number {
		lease.Seen = s.seen // under an earlier lease: if it is lost, the subscribers are to know
	}
	s.mu.Unlock()
	if !lease.hasRead() {
		return lease, valid, nil
	}
	if err = s.hub.storage.SaveCheckpoint(ctx, lease.request()); err != nil { // saves what is there already, and so is judged
		if final(err) {
			_ = s.hub.storage.SaveError(ctx, s.id, lease.Epoch, err.Error(), lease.Checkpoint+1) // it is returned, too
		}
		s.release(context.WithoutCancel(ctx), lease)
	}
	return lease, valid, err
}

// release gives a lease up that is not served.
func (s *subscription) release(ctx context.Context, l Lease) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	err := s.hub.storage.ReleaseLease(ctx, l.request())
	if err == nil || errors.Is(err, ErrPositionLost) || errors.Is(err, ErrLeaseLost) {
		s.leased = false
	} else {
		s.hub.log.Warn("eventstore: a lease was not given up; it will expire", "stream", s.id.Stream, "subscription", s.id.Name, "err", err)
	}
}

// prove makes sure once more that the event which the subscription had seen is in its place. It comes after the first page
// was read: if that page was read from a database that has lost events, the event is not there now.
func (s *subscription) prove(ctx context.Context) error {
	s.mu.Lock()
	unproven, r := s.unproven && !s.opts.Transient, s.held.lease.request()
	s.mu.Unlock()
	if !unproven {
		return nil
	}
	if err := s.hub.storage.SaveCheckpoint(ctx, r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unproven = false
	return nil
}

// takeLease asks for the lease.
func (s *subscription) takeLease(ctx context.Context, r LeaseRequest) (Lease, error) {
	ctx, end := s.hub.observe(ctx, s.operation(OpAcquire))
	s.leased = true
	lease, err := s.hub.storage.AcquireLease(ctx, r)
	if errors.Is(err, ErrLeaseHeld) || errors.Is(err, ErrSubscriptionNotFound) || errors.Is(err, ErrReadOnly) {
		s.leased = false
	}
	end(Outcome{Err: err})
	return lease, err
}

// handBack gives the lease up if it may be this process's, though the subscription does not run: nobody knows whether it was
// acquired, or it was given up as lost while it was not. The row keeps its checkpoint.
func (s *subscription) handBack() {
	if !s.leased {
		return
	}
	ctx, cancel := context.WithTimeout(s.hub.ctx, min(s.opts.Timeout, s.hub.leaseTTL))
	defer cancel()
	list, err := s.hub.storage.RenewLeases(ctx, s.hub.owner, s.hub.leaseTTL)
	if err != nil {
		s.hub.log.Warn("eventstore: a lease may not be given up; it will expire", "stream", s.id.Stream, "subscription", s.id.Name, "err", err)
		return
	}
	for _, lease := range list {
		if lease.ID == s.id {
			s.hub.leases.giveUp(ctx, lease)
			s.hub.leases.poke()
		}
	}
}

// isLost reports whether the lease was lost.
func (s *subscription) isLost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tenure.Lost()
}

// lose voids what is in flight and queued, and tells the subscribers.
func (s *subscription) lose(err error) {
	s.settle()
	s.hub.leases.leave(s)
	s.hub.feed.leave(s.id.Stream, s)
	s.mu.Lock()
	s.tenure.Lose(s.tenure.Epoch())
	s.pace.Forgive()
	s.held.close(err)
	s.desk.Void(s.newQueue(s.queue().Received()), s.failed(err))
	s.mu.Unlock()
	s.lines.warn(context.Background(), "eventstore: a lease was lost; what is in flight comes again here or elsewhere", append(s.names(), "err", err)...)
	s.setState(Waiting, err)
}

// extend notes that the lease of an epoch was renewed.
func (s *subscription) extend(epoch int64, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading.Renewed()
	if s.tenure.Renew(epoch, until, time.Now()) {
		s.poke()
		s.desk.Stir()
		s.change()
	}
}

// leaseFree hints that the lease may be free.
func (s *subscription) leaseFree() { s.poke() }

// loseLease notes that somebody else has, or had, the lease of an epoch.
func (s *subscription) loseLease(epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenure.Lose(epoch) {
		s.poke()
	}
}

// valid reports whether the lease has not expired for all this process knows. s.mu is held.
func (s *subscription) valid() bool { return s.tenure.Valid(time.Now()) }

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
