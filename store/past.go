package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// PositionAt returns the last position in [All] that was given before t, or 0 if none was. With it, programs read the past:
// [Store.VersionAt], aggregate.Repository.LoadAtPosition, or a loop over All that ends at the position. For a t in the past the result
// stays the same, with two exceptions: after a hard delete it may be the position of an earlier event, and on SQLite a transaction that
// was open at t adds its events when it commits.
//
// The time of a position is when the store gave it, by the store's own clock, to the microsecond; CreatedAt, which the caller may set,
// does not count. SQLite and memory give positions as part of the append, by the clock of the process. PostgreSQL gives them after the
// commit, by the clock of the database server: within moments if subscriptions run or a [Notifier] is set, else when All is next read.
// So an event that was committed before t may have got its position after t. The times never go back as positions go up: if the clock is
// set back, positions get the time of the last one until the clock has passed it. The times survive backups; copies made by
// `eventstore import` have the time of the import.
//
// It is [errors.ErrUnsupported] if the backend is no [PastStorage].
func (s *Store) PositionAt(ctx context.Context, t time.Time) (int64, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	past, err := s.past()
	if err != nil {
		return 0, err
	}
	return past.PositionAt(ctx, wholeMicros(t))
}

// past returns what finds where streams ended in the past, or why there is nothing.
func (s *Store) past() (PastStorage, error) {
	past, ok := s.reads.(PastStorage)
	if !ok {
		return nil, fmt.Errorf("store: this backend does not find past positions and versions: %w", errors.ErrUnsupported)
	}
	s.placeSoon()
	return past, nil
}

// wholeMicros rounds t up to the microsecond, within the years that databases and drivers take.
func wholeMicros(t time.Time) time.Time {
	first, last := time.Unix(0, 0).UTC(), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	switch t = t.UTC(); {
	case t.Before(first):
		return first
	case t.After(last):
		return last
	}
	return t.Add(time.Microsecond - 1).Truncate(time.Microsecond)
}

// VersionAt returns the version that a stream had when [All] ended at a position: that of its last event at or below the position, or 0
// if it had none. Read the stream up to this version to see it as it was. Events that are linked to the stream have no position in it,
// so that VersionAt goes by the stream's own events alone: links count from the next own event on.
//
// Errors are [ErrInvalid], [ErrStreamNotFound], [ErrStreamDeleted], the database's, and [errors.ErrUnsupported] if the backend is no
// [PastStorage]. A position past the end of All is its end.
func (s *Store) VersionAt(ctx context.Context, stream string, position int64) (int64, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	if err := checkStream(stream); err != nil {
		return 0, err
	}
	switch {
	case stream == All:
		return 0, &InvalidError{Field: "stream", Reason: All + " has positions, not versions"}
	case position < 0:
		return 0, &InvalidError{Field: "position", Reason: fmt.Sprintf("%d is negative", position)}
	}
	past, err := s.past()
	if err != nil {
		return 0, err
	}
	return past.VersionAt(ctx, stream, position)
}
