package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// StreamAppend is what [Store.AppendAll] appends to one stream. [To] makes one.
type StreamAppend struct {
	Stream   string
	Expected Expected // the zero value is refused
	Events   []Event  // at least one
}

// To returns an append of events to a stream that is as expected, for [Store.AppendAll].
func To(stream string, expected Expected, events ...Event) StreamAppend {
	return StreamAppend{Stream: stream, Expected: expected, Events: events}
}

// AppendAll appends to several streams at once, all or none: if one stream is not as expected, nothing is written to any. The results
// are in the order of the appends. Each stream may be named once; there must be at least one append, and at most [MaxAppends]. What
// else holds for [Store.Append] holds for each append.
//
// The events become visible together, in one commit. In [All] those of one append are adjacent, and those of a later append of the call
// come after those of an earlier one. On PostgreSQL events of other appends may stand between two of them.
//
// Errors are those of Append. A [WrongExpectedVersionError], [DuplicateEventError] or [StreamError] names the stream. An [InvalidError]
// names the place, as in "appends[1].events[0].type".
//
// Appending again with the same ids is a retry if each append by itself is one, as described at Append: AppendAll then returns the first
// results, with Retried set in each. If only some are, the call is refused: with a WrongExpectedVersionError if a stream is not as
// expected, else with a DuplicateEventError. An error of ctx or of the connection leaves open whether the events were written. They are
// then there in all streams or in none, and a retry with the same ids tells.
//
// While AppendAll waits for a stream that another transaction has written to, appends to its other streams go on, except for a short
// time. On a Store made by [Store.WithTx] the streams are locked until the transaction ends, in the order of their names: transactions
// that call AppendAll once, and write to no other stream before it, do not wait for each other in a circle. A refused AppendAll leaves
// nothing in the transaction, which stays usable.
//
// A backend that is no [MultiAppender] makes a transaction of its own for the call. A call on a Store made by WithTx over such a
// backend, or over one without transactions, fails with [errors.ErrUnsupported] if there are several appends.
func (s *Store) AppendAll(ctx context.Context, appends ...StreamAppend) ([]AppendResult, error) {
	op := Operation{Kind: OpAppend}
	if s.observer != nil {
		op.Streams = make([]string, len(appends))
		for i, a := range appends {
			op.Streams[i] = a.Stream
			op.Count += len(a.Events)
		}
	}
	ctx, end := s.observe(ctx, op)
	results, err := s.appendAll(ctx, appends)
	out := Outcome{Err: err}
	for _, r := range results {
		out.Count += r.count()
		out.Retried = r.Retried // of all or of none
	}
	end(out)
	return results, err
}

func (s *Store) appendAll(ctx context.Context, appends []StreamAppend) ([]AppendResult, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	list, err := s.appendRequests(ctx, appends)
	if err != nil {
		return nil, err
	}
	results, err := s.appendAllOrRetry(ctx, list)
	if err != nil {
		return nil, err
	}
	s.committed()
	for i := range results {
		results[i].IDs = list[i].ids()
	}
	return results, nil
}

// appendRequests checks the appends, and encodes their events.
func (s *Store) appendRequests(ctx context.Context, appends []StreamAppend) ([]AppendRequest, error) {
	switch n := len(appends); {
	case n == 0:
		return nil, &InvalidError{Field: "appends", Reason: "are empty: there is nothing to write"}
	case n > MaxAppends:
		return nil, &InvalidError{Field: "appends", Reason: fmt.Sprintf("are %d, at most %d are allowed", n, MaxAppends)}
	}
	streams := make(map[string]int, len(appends))
	ids := map[uuid.UUID]struct{}{}
	list := make([]AppendRequest, len(appends))
	for i, a := range appends {
		r, err := s.appendRequest(ctx, a.Stream, a.Expected, a.Events)
		if err != nil {
			return nil, inAppend(err, i)
		}
		if first, twice := streams[a.Stream]; twice {
			return nil, inAppend(&InvalidError{Field: "stream", Reason: fmt.Sprintf("%q is that of appends[%d], too: put the events of a stream into one append", a.Stream, first)}, i)
		}
		streams[a.Stream] = i
		for _, e := range r.Events {
			if _, twice := ids[e.ID]; twice {
				return nil, &DuplicateEventError{Stream: a.Stream, ID: e.ID}
			}
			ids[e.ID] = struct{}{}
		}
		list[i] = r
	}
	return list, nil
}

// inAppend makes the field of an InvalidError say which append it is of.
func inAppend(err error, i int) error {
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		invalid.Field = fmt.Sprintf("appends[%d].%s", i, invalid.Field)
	}
	return err
}

// appendAllOrRetry is appendOrRetry for several appends.
func (s *Store) appendAllOrRetry(ctx context.Context, list []AppendRequest) ([]AppendResult, error) {
	for range mostRetries {
		results, err := s.writeAll(ctx, list)
		if err != nil {
			return nil, err
		}
		there := true
		for i := 0; there && i < len(list); i++ {
			if !results[i].Retried || list[i].FreshIDs {
				continue
			}
			if there, err = s.compareRetry(ctx, list[i], results[i]); err != nil {
				return nil, err
			}
		}
		if there {
			return results, nil
		}
	}
	return nil, fmt.Errorf("store: append to %q and %d other streams: %w: the streams kept changing", list[0].Stream, len(list)-1, ErrRetryTx)
}

// writeAll has the backend write, in the way that it can.
func (s *Store) writeAll(ctx context.Context, list []AppendRequest) ([]AppendResult, error) {
	if len(list) == 1 {
		res, err := s.storage.Append(ctx, list[0])
		if err != nil {
			return nil, err
		}
		return []AppendResult{res}, nil
	}
	if m, ok := s.storage.(MultiAppender); ok {
		return m.AppendAll(ctx, list)
	}
	t, ok := s.storage.(Transactional)
	if !ok || s.inTx {
		return nil, fmt.Errorf("store: this backend appends to one stream at a time: %w", errors.ErrUnsupported)
	}
	for attempt := 1; ; attempt++ {
		results, err := writeAllIn(ctx, t, list)
		if err == nil || attempt == mostRetries || !errors.Is(err, ErrRetryTx) || ctx.Err() != nil {
			return results, err
		}
	}
}

// writeAllIn writes in a transaction of its own.
func writeAllIn(ctx context.Context, t Transactional, list []AppendRequest) ([]AppendResult, error) {
	tx, err := t.BeginTx(ctx, &sql.TxOptions{})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	in := t.WithTx(tx)
	results, retried := make([]AppendResult, len(list)), 0
	for i, r := range list {
		if results[i], err = in.Append(ctx, r); err != nil {
			for k := i + 1; k < len(list) && errors.Is(err, ErrDuplicateEvent); k++ { // the versions are judged first
				if e := judgeIn(ctx, in, list[k]); e != nil {
					err = e
				}
			}
			return nil, err
		}
		if results[i].Retried {
			retried++
		}
	}
	switch retried {
	case 0:
		if err := t.CommitTx(ctx, tx); err != nil {
			return nil, err
		}
		return results, nil
	case len(list):
		return results, nil
	}
	return nil, someRetried(ctx, in, list, results)
}

// someRetried returns why appends can't be made of which only some are retries.
func someRetried(ctx context.Context, in Storage, list []AppendRequest, results []AppendResult) error {
	var known error
	for i, r := range list {
		if !results[i].Retried {
			continue
		}
		if err := judgeIn(ctx, in, r); err != nil {
			return err
		}
		if known == nil {
			known = &DuplicateEventError{Stream: r.Stream, ID: r.Events[0].ID}
		}
	}
	return known
}

// judgeIn returns why the version that an append expects does not hold, or nil.
func judgeIn(ctx context.Context, in Storage, r AppendRequest) error {
	info, err := in.StreamInfo(ctx, r.Stream)
	if err != nil && !errors.Is(err, ErrStreamNotFound) {
		return err
	}
	return r.Expected.Judge(r.Stream, State{Exists: err == nil, Version: info.Version, Deleted: info.Status() == Deleted})
}
