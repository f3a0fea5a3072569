package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/checkpoint"
	"github.com/eventstore-go/eventstore/store/internal/trouble"
)

// noteProgress notes that the checkpoint may have advanced. s.mu is held.
func (s *subscription) noteProgress() {
	if !s.opts.Transient && s.pace.Advance(s.queue().Checkpoint(), time.Now()) {
		s.poke()
	}
}

// pace returns how often the checkpoint is written. A default threshold is not kept to more than four times in CheckpointAfter.
func (o *SubscribeOptions) pace() checkpoint.Policy {
	p := checkpoint.Policy{
		Threshold: int64(o.CheckpointThreshold), LeftOut: DefaultCheckpointThreshold, After: o.CheckpointAfter,
	}
	if o.paced {
		p.Every = min(DefaultCheckpointAfter, o.CheckpointAfter) / 4
	}
	return p
}

// save has the checkpoint written if that is due, and writes the last error. The checkpoint is written beside the
// goroutine, which reads on meanwhile, one at a time; its error is returned from the next call.
func (s *subscription) save(ctx context.Context) error {
	if s.opts.Transient {
		return nil
	}
	s.mu.Lock()
	due := s.pace.Ask(s.queue().Checkpoint(), time.Now())
	problem, epoch, err := s.troubles.Pending(), s.tenure.Epoch(), s.pace.Failure()
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
	return s.saveProblem(ctx, epoch, problem)
}

// saveProblem writes the last error, unless that is over meanwhile.
func (s *subscription) saveProblem(ctx context.Context, epoch int64, p *trouble.Problem) error {
	s.mu.Lock()
	begun := s.troubles.Write(p)
	s.mu.Unlock()
	if !begun {
		return nil
	}
	err := s.hub.storage.SaveError(ctx, s.id, epoch, p.Text, p.Number)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubles.Written(p, err, s.pace.Saved())
	return err
}

// isLeased reports whether the subscription has the lease, and is Waiting for something else.
func (s *subscription) isLeased() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (s.pace.Refused() != nil || s.reading.OwnError() != nil || s.unknownVersion() != nil) && s.valid()
}

// left returns why the subscription has no subscribers any more, or nil.
func (s *subscription) left() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing != nil:
		s.gone = true
		return s.closing
	case s.desk.Seats() == 0:
		s.gone = true
		return ErrSubscriberClosed
	}
	return nil
}

// note notes that the last checkpoint was not written.
func (s *subscription) note(err error, checkpoint int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lost *CheckpointLostError
	if checkpoint > s.pace.Saved() || !errors.Is(err, ErrLeaseLost) || errors.As(err, &lost) {
		s.unwritten = &SubscriptionError{s.id, fmt.Errorf("checkpoint %d is not written: %w", checkpoint, err)}
	}
}
