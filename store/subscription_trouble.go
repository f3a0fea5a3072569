package store

import (
	"errors"
	"fmt"
)

// trouble notes the last error, to be seen in the list of subscriptions, and the number of the event it is about, or 0.
func (s *subscription) trouble(number int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubles.Note(number, err.Error())
	s.poke()
}

// solved notes that errors about events from first to last are over.
func (s *subscription) solved(first, last int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.solve(first, last)
}

// solve is solved. s.mu is held.
func (s *subscription) solve(first, last int64) {
	if !s.troubles.Empty() && s.troubles.Solve(first, last, s.pace.Saved()) {
		s.poke()
	}
}

// applied notes that a batch of a projection was committed, by which errors about the events with numbers that are over are over.
// See [ProjectionStorage].Advance for what the transaction has done to the list.
func (s *subscription) applied(over func(number int64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.troubles.Applied(over, s.pace.Saved()) {
		s.poke()
	}
}

// attempt notes and returns the result of an attempt to read.
func (s *subscription) attempt(err error) error {
	if err != nil && (final(err) || errors.Is(err, ErrLeaseLost)) {
		return err // it ends
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	received := s.queue().Received()
	if err != nil {
		err = fmt.Errorf("read behind %d: %w", received, err)
	}
	if s.reading.Own(err, &s.troubles, received+1, s.pace.Saved()) {
		s.poke()
	}
	return err
}
