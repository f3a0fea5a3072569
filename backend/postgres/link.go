package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

// Link implements [store.Storage]. Where another session is deleting a stream that an event is from, the link waits for that in a turn
// of its own, without its transaction: see gate.
func (b *Backend) Link(ctx context.Context, r store.LinkRequest) (res store.AppendResult, err error) {
	if err := b.Check(ctx); err != nil {
		return res, err
	}
	var held *heldError
	for attempt := 1; attempt == 1 || errors.As(err, &held); attempt++ {
		if attempt > 1 {
			err = b.pass(ctx, b.streams, held.stream, func() error { return b.exec(ctx, "wait_for_stream", held.stream) })
			if err != nil {
				return store.AppendResult{}, err
			}
		}
		err = b.pass(ctx, b.streams, r.Stream, func() error {
			return b.once(ctx, func(in *Backend) error {
				res, err = in.link(ctx, r, b.tx != nil || attempt == mostTries)
				return err
			})
		})
	}
	if err != nil {
		return store.AppendResult{}, err
	}
	return res, nil
}

// heldError says that another session is deleting a stream that the events of a link are from.
type heldError struct{ stream string }

func (e *heldError) Error() string {
	return fmt.Sprintf("postgres: link: another session is deleting the stream %q", e.stream)
}

// link runs in b.tx. With wait it waits for sessions that are deleting a stream of the events; without, it returns a heldError.
func (b *Backend) link(ctx context.Context, r store.LinkRequest, wait bool) (store.AppendResult, error) {
	for range mostTries {
		// Another session linking to this stream is waited for, so that what is in it already is seen, not raised.
		if _, err := b.one(ctx, "lock_stream", []any{r.Stream}, new(int64)); err != nil {
			return store.AppendResult{}, err
		}
		s, err := b.find(ctx, "find_stream", r.Stream)
		if err != nil {
			return store.AppendResult{}, err
		}
		if err := r.Expected.Judge(r.Stream, s.State); err != nil {
			return store.AppendResult{}, err
		}
		last, err := b.writeLinks(ctx, r, s, wait)
		if err != nil {
			return store.AppendResult{}, err
		}
		if last > 0 {
			return store.AppendResult{Stream: r.Stream, First: last - int64(len(r.Events)) + 1, Last: last}, nil
		}
	}
	return store.AppendResult{}, fmt.Errorf("postgres: link to %q: %w: the stream kept changing", r.Stream, store.ErrRetryTx)
}

// writeLinks returns the target's new version, or 0 if the target has changed since it was judged.
func (b *Backend) writeLinks(ctx context.Context, r store.LinkRequest, target found, wait bool) (last int64, err error) {
	seqs, idxs, err := b.linkable(ctx, r, target, wait)
	if err != nil {
		return 0, err
	}
	var version sql.NullInt64
	_, err = b.one(ctx, "link_events", []any{r.Stream, expectedArg(r.Expected), r.Expected.MayCreate(), intArray(seqs), intArray(idxs)}, &version)
	if sqlerr.State(err) == sequenceBehind {
		return 0, refusedInTx(err)
	}
	if err != nil || version.Valid || !target.Exists {
		return version.Int64, err
	}
	var known int
	if ok, err := b.one(ctx, "find_linked", []any{target.id, intArray(seqs), intArray(idxs)}, &known); err != nil || !ok {
		return 0, err
	}
	return 0, &store.DuplicateEventError{Stream: r.Stream, ID: r.Events[known]}
}

// linkable resolves the ids to where their events are.
func (b *Backend) linkable(ctx context.Context, r store.LinkRequest, target found, wait bool) (seqs, idxs []int64, err error) {
	seqs, idxs = make([]int64, len(r.Events)), make([]int64, len(r.Events))
	own, missing := -1, 0
	// Twice if need be: whoever waits for a stream that is deleted, and written anew by the same transaction, does not see the new one.
	for attempt := 0; attempt == 0 || attempt == 1 && missing >= 0; attempt++ {
		statement := "find_linkable"
		if attempt == 0 && !wait {
			statement = "find_linkable_now"
		}
		err = b.each(ctx, statement, func(rows *sql.Rows) error {
			var n int
			var seq, idx, streamID int64
			if err := rows.Scan(&n, &seq, &idx, &streamID); err != nil {
				return err
			}
			seqs[n], idxs[n] = seq, idx
			if streamID == target.id {
				own = n
			}
			return nil
		}, idBytes(r.Events), int64(len(r.Events)))
		if err != nil {
			return nil, nil, err
		}
		missing = slices.Index(seqs, 0)
		if missing >= 0 && statement == "find_linkable_now" {
			var held heldError
			if there, err := b.one(ctx, "stream_of", []any{r.Events[missing].String()}, &held.stream); err != nil || there {
				return nil, nil, cmp.Or[error](err, &held)
			}
		}
	}
	if missing >= 0 {
		return nil, nil, &store.EventNotFoundError{ID: r.Events[missing]}
	}
	if own >= 0 {
		return nil, nil, &store.DuplicateEventError{Stream: r.Stream, ID: r.Events[own]}
	}
	return seqs, idxs, nil
}
