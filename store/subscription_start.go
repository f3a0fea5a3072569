package store

import (
	"context"
	"fmt"
	"slices"
)

// start returns the checkpoint that a new subscription begins with, and the id of the stream it counts in.
func (s *subscription) start(ctx context.Context) (checkpoint, streamID int64, err error) {
	var end int64
	if s.id.Stream == All {
		if s.opts.Start == StartOrigin {
			return 0, 0, nil
		}
		end, err = s.env.storage.Head(ctx)
	} else {
		var info StreamInfo
		info, _, err = s.streamInfo(ctx)
		end, streamID = info.Version, info.ID
		if err == nil && info.Status() == Deleted {
			err = s.refuseDeleted(ctx)
		}
	}
	switch {
	case err != nil:
		return 0, 0, err
	case s.opts.Start.current:
		return end, streamID, nil
	case s.opts.Start.after > end:
		if isNew, err := s.isNew(ctx); err != nil || !isNew {
			return s.opts.Start.after, streamID, err
		}
		return 0, 0, &InvalidError{Field: "Start", Reason: fmt.Sprintf("is after %d, but the stream ends at %d", s.opts.Start.after, end)}
	}
	return s.opts.Start.after, streamID, nil
}

// refuseDeleted returns ErrStreamDeleted unless the subscription exists already. A new subscription on a soft-deleted
// stream is refused before it is written.
func (s *subscription) refuseDeleted(ctx context.Context) error {
	isNew, err := s.isNew(ctx)
	if err == nil && isNew {
		err = &StreamError{Stream: s.id.Stream, Err: ErrStreamDeleted}
	}
	return err
}

// isNew reports whether the subscription is not in the database yet.
func (s *subscription) isNew(ctx context.Context) (bool, error) {
	if s.opts.Transient {
		return true, nil
	}
	list, err := s.env.storage.ListSubscriptions(ctx)
	return !slices.ContainsFunc(list, func(i SubscriptionInfo) bool { return i.SubscriptionID == s.id }), err
}

// streamInfo looks at the stream.
func (s *subscription) streamInfo(ctx context.Context) (info StreamInfo, exists bool, err error) {
	infos, err := s.env.storage.StreamVersions(ctx, []string{s.id.Stream})
	info, exists = infos[s.id.Stream]
	return info, exists, err
}
