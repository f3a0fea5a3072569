package store

import "errors"

// waitsAt notes that the subscriber waits at an event, since the program does not know the event's version, or with another
// error that it does not. The subscription is Waiting meanwhile.
func (r *Subscriber) waitsAt(err error) {
	if !errors.Is(err, ErrUnknownVersion) {
		err = nil
	}
	s := r.subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.unknown == nil && err == nil {
		return
	}
	r.unknown = err
	s.change()
	s.poke()
}

// unknownVersion returns why a subscriber waits at an event of a version that the program does not know, or nil if none does.
// s.mu is held.
func (s *subscription) unknownVersion() error {
	for _, r := range s.subscribers {
		if r.unknown != nil {
			return r.unknown
		}
	}
	return nil
}
