package store

import (
	"errors"
	"slices"
)

// waitsAt notes that the handler has failed with err. While that is [ErrUnknownVersion], the subscription is Waiting; any other error,
// or nil, ends that.
func (r *Subscriber) waitsAt(err error) {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	r.waitAt(err)
}

// waitAt is waitsAt. The subscription's mu is held.
func (r *Subscriber) waitAt(err error) {
	if !errors.Is(err, ErrUnknownVersion) {
		err = nil
	}
	s := r.subscription
	if r.unknown == nil && err == nil {
		return
	}
	r.unknown = err
	switch at := slices.Index(s.atUnknown, r); {
	case err == nil && at >= 0:
		s.atUnknown = slices.Delete(s.atUnknown, at, at+1)
	case err != nil && at < 0:
		s.atUnknown = append(s.atUnknown, r)
	}
	s.change()
	s.poke()
}

// unknownVersion returns why a subscriber waits at an event of a version that the program does not know, or nil if none does.
// s.mu is held.
func (s *subscription) unknownVersion() error {
	if len(s.atUnknown) == 0 {
		return nil
	}
	return s.atUnknown[0].unknown
}
