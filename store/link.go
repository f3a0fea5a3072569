package store

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// Link adds events that are in the store already to another stream, in the order given, all or none. A linked event
// gets a version in the stream it is linked to and keeps its original stream and version; [All] does not show it again.
// [IDs] gives the ids of recorded events.
//
// Errors: those of [Store.Append], and [ErrEventNotFound] if an id is unknown. An event can be in a stream once:
// linking it again, or into its own stream, is [ErrDuplicateEvent].
func (s *Store) Link(ctx context.Context, stream string, expected Expected, ids ...uuid.UUID) (AppendResult, error) {
	ctx, end := s.observe(ctx, Operation{Kind: OpLink, Stream: stream, Count: len(ids)})
	res, err := s.link(ctx, stream, expected, ids)
	end(Outcome{Err: err, Count: res.count()})
	return res, err
}

func (s *Store) link(ctx context.Context, stream string, expected Expected, ids []uuid.UUID) (AppendResult, error) {
	if err := s.usable(ctx); err != nil {
		return AppendResult{}, err
	}
	if err := checkWrite(stream, expected, len(ids)); err != nil {
		return AppendResult{}, err
	}
	seen := make(map[uuid.UUID]struct{}, len(ids))
	for _, id := range ids {
		if _, twice := seen[id]; twice {
			return AppendResult{}, &DuplicateEventError{Stream: stream, ID: id}
		}
		seen[id] = struct{}{}
	}
	res, err := s.storage.Link(ctx, LinkRequest{Stream: stream, Expected: expected, Events: ids})
	if err != nil {
		return AppendResult{}, err
	}
	s.committed()
	res.IDs = slices.Clone(ids)
	return res, nil
}
