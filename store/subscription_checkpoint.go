package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// noteProgress notes since when the checkpoint is ahead of what is saved, and pokes the goroutine when it has to know.
// s.mu is held.
func (s *subscription) noteProgress() {
	ahead := s.queue().Checkpoint() - s.saved
	if ahead <= 0 || s.opts.Transient {
		return
	}
	if s.dirty.IsZero() {
		s.dirty = time.Now()
		s.poke() // to set a timer
	}
	if s.saving && s.dirtyNext.IsZero() && s.queue().Checkpoint() > s.savingAt {
		s.dirtyNext = time.Now()
	}
	if at, reached := s.dueAt(ahead); reached && (!s.timed || !at.After(time.Now())) {
		s.timed = true // for this checkpoint the goroutine is told once
		s.poke()
	}
}

// checkpointPace is the time between two checkpoints of a subscription that are written for the default threshold.
const checkpointPace = DefaultCheckpointAfter / 4

// dueAt returns whether a checkpoint that is so far ahead is to be written for its threshold, and when: a default threshold
// has a pace. What was only filtered out does not count one by one. s.mu is held.
func (s *subscription) dueAt(ahead int64) (at time.Time, reached bool) {
	threshold := int64(s.opts.CheckpointThreshold)
	if !s.acked {
		threshold = max(threshold, DefaultCheckpointThreshold)
	}
	if ahead < threshold {
		return at, false
	}
	if s.opts.paced {
		at = s.savedAt.Add(min(checkpointPace, s.opts.CheckpointAfter/4))
	}
	return at, true
}

// due reports whether it is time for a checkpoint that is so far ahead, for its threshold. s.mu is held.
func (s *subscription) due(ahead int64) bool {
	at, reached := s.dueAt(ahead)
	return reached && !at.After(time.Now())
}

// save has the checkpoint written if that is due, and writes the last error. The checkpoint is written beside the
// goroutine, which reads on meanwhile, one at a time; its error is returned from the next call.
func (s *subscription) save(ctx context.Context) error {
	if s.opts.Transient {
		return nil
	}
	s.mu.Lock()
	ahead := s.queue().Checkpoint() - s.saved
	due := ahead > 0 && !s.saving && (s.refused != nil || s.due(ahead) || s.opts.CheckpointAfter >= 0 && time.Since(s.dirty) >= s.opts.CheckpointAfter)
	problem, epoch, err := s.troubles.problem, s.lease.Epoch, s.saveErr
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
	return s.saveProblem(ctx, epoch, problem)
}

// saveProblem writes the last error, unless that is over meanwhile.
func (s *subscription) saveProblem(ctx context.Context, epoch int64, p *problem) error {
	s.mu.Lock()
	begun := s.troubles.write(p)
	s.mu.Unlock()
	if !begun {
		return nil
	}
	err := s.hub.storage.SaveError(ctx, s.id, epoch, p.text, p.number)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubles.written(p, err, s.saved)
	return err
}

// refuse notes why a checkpoint was not written. s.mu is held.
func (s *subscription) refuse(err error) {
	s.refused = err
	s.change()
}

// isLeased reports whether the subscription has the lease, and is Waiting for something else.
func (s *subscription) isLeased() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (s.refused != nil || s.unread != nil || s.unknownVersion() != nil) && s.valid()
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
	if checkpoint > s.saved || !errors.Is(err, ErrLeaseLost) || errors.As(err, &lost) {
		s.unwritten = &SubscriptionError{s.id, fmt.Errorf("checkpoint %d is not written: %w", checkpoint, err)}
	}
}
