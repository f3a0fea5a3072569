package store

import (
	"context"
	"errors"
)

// carried returns a [PositionLostError] if the store does not have the last event that the subscription has seen, under a lease that
// it has lost: its subscribers are to know that, and may never get the lease again. It returns nil if that can't be found out now.
func (s *subscription) carried(ctx context.Context) error {
	seen, streamID := s.seen()
	if seen.IsZero() {
		return nil
	}
	state := CheckpointState{}
	if s.id.Stream == All {
		end, err := s.env.storage.Head(ctx)
		if err != nil {
			return nil
		}
		state.End = end
	} else {
		info, exists, err := s.streamInfo(ctx)
		if err != nil || !exists || info.ID != streamID || info.Status() == Deleted {
			return nil
		}
		state.End = info.Version
	}
	if state.End >= seen.Number {
		page, err := s.readUnfiltered(ctx, ReadRequest{Stream: s.id.Stream, From: seen.Number, Limit: 1})
		if err != nil {
			return nil
		}
		if len(page) > 0 && page[0].Number == seen.Number {
			state.At = page[0].ID
		}
	}
	return CheckpointRequest{ID: s.id, Seen: seen}.judgePlace(state)
}

// confirm returns what of a page the primary shows, too. ok is false if the page is not of the stream that numbers count in: then that
// is looked at before anything else.
func (s *subscription) confirm(ctx context.Context, page []Recorded, next int64) (confirmed []Recorded, behind int64, ok bool, err error) {
	var end int64
	_, streamID := s.seen()
	if s.id.Stream != All {
		// The page was read by the stream's name. If that is still the one whose numbers are counted, it was all the time.
		info, same, err := s.same(ctx)
		if err != nil || !same {
			return nil, next, false, err
		}
		end = info.Version
	}
	if !s.env.replicated {
		return page, next, true, nil
	}
	if s.id.Stream == All {
		if end, err = s.env.endFor(ctx, next-1); err != nil {
			return nil, next, false, err
		}
	}
	page, next, err = s.env.confirm(ctx, s.id.Stream, streamID, page, next, end)
	return page, next, err == nil, err
}

// recall makes sure that the primary still has what the subscription has seen, if that is in doubt: a replica that does not follow a new
// primary goes on to show what was lost.
func (s *subscription) recall(ctx context.Context) error {
	s.mu.Lock()
	_, doubted := s.life.Recall()
	seen, streamID := s.seenNow(), s.life.Stream()
	s.mu.Unlock()
	if !doubted {
		return nil
	}
	held, err := s.env.holds(ctx, s.id.Stream, streamID, seen)
	switch {
	case err != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.life.Distrust()
		return err
	case !held:
		return &PositionLostError{Stream: s.id.Stream, After: seen.Number, Head: seen.Number, Replaced: true}
	}
	return nil
}

// judgeLoss returns what a PositionLostError means that a page of the replica has led to: the primary alone can say that events are lost.
func (s *subscription) judgeLoss(ctx context.Context, lost error) error {
	if !s.env.replicated || !errors.Is(lost, ErrPositionLost) {
		return lost
	}
	seen, streamID := s.seen()
	held, err := s.env.holds(ctx, s.id.Stream, streamID, seen)
	switch {
	case err != nil:
		return err
	case held:
		return otherHistory(s.id.Stream, seen.Number)
	}
	return lost
}
