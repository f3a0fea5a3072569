package store

import (
	"context"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/queue"
)

// readAgain reads events from a number on that were dropped since the queue was clogged. The callbacks are asked about them once more.
func (s *subscription) readAgain(ctx context.Context, from int64) error {
	_, streamID := s.seen()
	r := s.pager.bound(s.behind(from-1, s.pageSize(), streamID))
	page, next, err := s.fetchFiltered(ctx, s.env.storage, r) // a replica may lag, and not have them: that must not count as deleted
	if err != nil {
		s.pager.halve(r, err) // it is read again after RetryInterval
		return err
	}
	s.pager.learn(r, page)
	if ok, err := s.comparable(ctx); err != nil || !ok {
		return err
	}
	s.mu.Lock()
	b, upTo, wanted := s.life.Reread(len(page), from, next)
	var dropped []*Recorded
	for i := range page {
		if wanted(page[i].Number) {
			dropped = append(dropped, &page[i])
		}
	}
	s.mu.Unlock()
	for _, e := range dropped {
		if selected, key, failure := s.opts.ask(streamID, e); selected {
			put(b, e, key, failure)
		}
	}
	b.Page = page
	few, spare := b, (*queue.Batch[Recorded])(nil)
	if b.Len() < len(page)/4 { // then they must not keep the whole page
		few, spare = b.Move((*Recorded).clone), b
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.ReceivedAgain(few, spare, upTo, time.Now())
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
	case exists && (info.ID != s.life.Stream() || info.Status() == Deleted):
		s.life.Doubt()
		return false, nil
	}
	return true, nil
}
