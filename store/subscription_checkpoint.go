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
// does not count one by one. If it is too early for the default threshold, the next acknowledgement asks again, or
// CheckpointAfter is over. s.mu is held.
func (s *subscription) due(ahead int64) bool {
	threshold := int64(s.opts.CheckpointThreshold)
	if !s.acked {
		threshold = max(threshold, DefaultCheckpointThreshold)
	}
	return ahead >= threshold && (!s.opts.paced || time.Since(s.savedAt) >= s.opts.CheckpointAfter/4)
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

// note notes that the last checkpoint was not written.
func (s *subscription) note(err error, checkpoint int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if checkpoint > s.saved || !errors.Is(err, ErrLeaseLost) {
		s.unwritten = &SubscriptionError{s.id, fmt.Errorf("checkpoint %d is not written: %w", checkpoint, err)}
	}
}
