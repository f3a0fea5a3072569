package store

// offer is called by the feed with new events, whose numbers are those of the subscription's stream. It does not block.
func (s *subscription) offer(p fedPage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	page := p.events
	if s.id.Stream != All {
		if first := page[0].Number; s.queue().Received() > 0 && first <= max(s.fed, 1) {
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
	size, bytes := s.inboxSize+len(page), s.inboxBytes+sizeOf(page)
	switch {
	case size > s.opts.MaxSize:
		if s.opts.endWhenBehind {
			s.ending = ErrTooSlow
		}
		s.emptyInbox(true)
	case s.inboxBytes > 0 && bytes > s.hub.pageBytes:
		s.emptyInbox(true)
		s.inboxSize = size // so far it is behind
	default:
		s.inbox = append(s.inbox, p)
		s.inboxSize, s.inboxBytes = size, bytes
	}
	s.poke()
}

// suspect says that the store, which ends at head, has lost events. The subscription ends if it has read beyond head. Otherwise it
// reads on from storage, and so finds out whether what it has seen is in its place.
func (s *subscription) suspect(head int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue().Received() > head && s.ending == nil {
		s.ending = &PositionLostError{Stream: s.id.Stream, After: s.queue().Received(), Head: head}
	}
	s.emptyInbox(true)
	s.looked, s.doubted = false, s.hub.replicated
	s.poke()
}

// starve notes why the feed can't read, or with nil that it can again.
func (s *subscription) starve(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading.Fed(err, &s.troubles, s.queue().Received()+1, s.pace.Saved()) {
		s.poke()
	}
}

// compare has the subscription look at its stream if info differs from what it has read.
func (s *subscription) compare(info StreamInfo) {
	if !s.differs(info) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked = false
	s.poke()
}

// committed notes a checkpoint that a projection has written.
func (s *subscription) committed(checkpoint int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pace.Committed(checkpoint, s.queue().Checkpoint()) {
		s.poke()
	}
}
