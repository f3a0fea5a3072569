package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// replicaOf returns the replica of a storage, or nil.
func replicaOf(s Storage) Storage {
	if r, ok := s.(Replicated); ok {
		return r.Replica()
	}
	return nil
}

// Primary returns the same Store, but its reads ask the primary, so that they see everything that was committed before the call. Without a
// replica, such as postgres.Options.Reads, that is what every Store does.
//
// With a replica, these calls read it and may lag: [Store.Stream], [Store.All], [Store.Page], [Store.Event], [Store.Head],
// [Store.StreamInfo], [Store.Streams], [Store.ReadSnapshot] and [Store.Correlation]. Subscriptions, watchers and projections, which the
// Store and the result share, read their pages there. Everything else asks the primary: all writes and what they are judged by, leases
// and checkpoints, lists of subscriptions and projections, [Store.WaitFor], and what runs in a transaction.
//
// It is safe to append with an expected version that comes from a read that lags: the append returns a [WrongExpectedVersionError] then.
// Read the stream from Primary before you try again, since the replica may still lag. Read from Primary, too, what this program has just
// written. Closing the result closes the Store.
func (s *Store) Primary() *Store {
	p := *s
	p.reads, p.replicated = s.storage, false
	return &p
}

// placeSoon has the primary give positions to what was committed, in the background: a replica can't, and shows nothing in All before.
func (s *Store) placeSoon() {
	if s.replicated && s.hub != nil && s.hub.ticker != nil {
		s.hub.tickSoon()
	}
}

// ReplicaLagError is [ErrReplica]: a subscription has read the replica up to Position and finds nothing behind it for a PollInterval,
// although the primary ends at Head.
type ReplicaLagError struct{ Position, Head int64 }

func (e *ReplicaLagError) Error() string {
	return fmt.Sprintf("store: %v: it shows nothing behind position %d, but the primary ends at %d: it lags or has stopped to follow; "+
		"see whether it is connected, and whether its replay is paused", ErrReplica, e.Position, e.Head)
}

// Is matches [ErrReplica].
func (e *ReplicaLagError) Is(target error) bool { return target == ErrReplica }

// otherHistory says that the replica has another event than the primary in a place.
func otherHistory(stream string, number int64) error {
	return fmt.Errorf("store: %w: it has another event at %d of %q than the primary: it does not follow that primary; rebuild it", ErrReplica, number, stream)
}

// endFor returns where the primary ends. It asks, unless the primary is known to have a number.
func (e *env) endFor(ctx context.Context, number int64) (int64, error) {
	if end := e.end.Load(); end >= number {
		return end, nil
	}
	end, err := e.storage.Head(ctx)
	if err == nil {
		e.end.Store(end)
	}
	return end, err
}

// holds reports whether the primary has what was seen in a stream, or has hard deleted it.
func (e *env) holds(ctx context.Context, stream string, streamID int64, seen SeenEvent) (bool, error) {
	if e.poller != nil && stream == All {
		end, at, err := e.poller.Poll(ctx, seen.Number)
		return end >= seen.Number && (at == uuid.Nil || at == seen.ID), err
	}
	r := ReadRequest{Stream: stream, StreamID: streamID, From: seen.Number, Limit: 1}
	page, next, err := e.storage.ReadFiltered(ctx, r, EventFilter{})
	switch {
	case isOfStream(err):
		return true, nil // the stream is looked at next
	case err != nil:
		return false, err
	case len(page) > 0 && page[0].Number == seen.Number:
		return page[0].ID == seen.ID, nil
	}
	return next > seen.Number, nil
}

// cut cuts off a page what is behind the end of the primary. A replica may show a commit before its primary does, which waits for
// standbys to confirm it; until then a checkpoint of it would count as one of events that are lost.
func cut(page []Recorded, next, end int64) ([]Recorded, int64) {
	if next-1 <= end {
		return page, next
	}
	for len(page) > 0 && page[len(page)-1].Number > end {
		page = page[:len(page)-1]
	}
	return page, end + 1
}

// confirm returns what of a page of the replica the primary shows, too, which ends at end. It makes sure that the primary has the last of
// these events in its place: a replica that follows another primary has others.
func (e *env) confirm(ctx context.Context, stream string, streamID int64, page []Recorded, next, end int64) ([]Recorded, int64, error) {
	page, next = cut(page, next, end)
	if len(page) == 0 {
		return page, next, nil
	}
	last := &page[len(page)-1]
	held, err := e.holds(ctx, stream, streamID, SeenEvent{last.Number, last.ID})
	if err == nil && !held {
		err = otherHistory(stream, last.Number)
	}
	return page, next, err
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
