package store

import "context"

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
