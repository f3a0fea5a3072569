package store

import "context"

// clogged reports whether a subscriber has nothing to do, since the queue is full of events behind others in flight. s.mu is
// held.
func (s *subscription) clogged() bool {
	q := s.queue()
	_, enough := s.room()
	return (s.missed || len(s.inbox) > 0 || q.Dropped()) && !enough && s.desk.Starved()
}

// stir wakes the goroutine if the queue is clogged, or events that were dropped are to be read again. s.mu is held.
func (s *subscription) stir() {
	if _, again := s.queue().Wants(); again || s.clogged() {
		s.poke()
	}
}

// readAgain reads events from a number on that were dropped since the queue was clogged. The callbacks are asked about them once more.
func (s *subscription) readAgain(ctx context.Context, from int64) error {
	r := s.pager.bound(s.behind(from-1, s.pageSize()))
	page, next, err := s.fetchFiltered(ctx, s.hub.storage, r) // a replica may lag, and not have them: that must not count as deleted
	if err != nil {
		s.pager.halve(r, err) // it is read again after RetryInterval
		return err
	}
	s.pager.learn(r, page)
	if ok, err := s.comparable(ctx); err != nil || !ok {
		return err
	}
	s.mu.Lock()
	streamID, upTo := s.streamID, min(next-1, s.queue().Received())
	if next == from { // the end: what was dropped is deleted
		upTo = s.queue().Received()
	}
	var dropped []*Recorded
	for i := range page {
		if e := &page[i]; e.Number >= from && e.Number <= upTo && s.queue().WasDropped(e.Number) {
			dropped = append(dropped, e)
		}
	}
	b := s.queue().Batch(len(dropped))
	s.mu.Unlock()
	for _, e := range dropped {
		if selected, key, failure := s.opts.ask(streamID, e); selected {
			put(b, e, key, failure)
		}
	}
	b.Page = page
	few := b
	if b.Len() < len(page)/4 { // then they must not keep the whole page
		few = b.Move((*Recorded).clone)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue().Again(few, upTo)
	if few != b {
		s.queue().Add(b)
	}
	s.noteProgress()
	s.desk.Stir()
	return nil
}

// comparable reports whether a page that was read by the stream's name is of the stream that numbers count in. If it may not be,
// the stream is to be looked at before anything else. A stream that is gone has left nothing.
func (s *subscription) comparable(ctx context.Context) (bool, error) {
	if s.id.Stream == All {
		return true, nil
	}
	info, exists, err := s.streamInfo(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		return false, err
	case exists && (info.ID != s.streamID || info.Status() == Deleted):
		s.looked = false
		return false, nil
	}
	return true, nil
}
