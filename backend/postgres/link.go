package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

// Link implements [store.Storage].
func (b *Backend) Link(ctx context.Context, r store.LinkRequest) (res store.AppendResult, err error) {
	if err := b.Check(ctx); err != nil {
		return res, err
	}
	err = b.pass(ctx, b.streams, r.Stream, func() error {
		return b.once(ctx, func(b *Backend) error {
			res, err = b.link(ctx, r)
			return err
		})
	})
	if err != nil {
		return store.AppendResult{}, err
	}
	return res, nil
}

// link runs in b.tx.
func (b *Backend) link(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
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
		last, err := b.writeLinks(ctx, r, s)
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
func (b *Backend) writeLinks(ctx context.Context, r store.LinkRequest, target found) (last int64, err error) {
	seqs, idxs, err := b.linkable(ctx, r, target)
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
func (b *Backend) linkable(ctx context.Context, r store.LinkRequest, target found) (seqs, idxs []int64, err error) {
	seqs, idxs = make([]int64, len(r.Events)), make([]int64, len(r.Events))
	own, missing := -1, 0
	// Twice if need be: whoever waits for a stream that is deleted, and written anew by the same transaction, does not see the new one.
	for attempt := 0; attempt == 0 || attempt == 1 && missing >= 0; attempt++ {
		err = b.each(ctx, "find_linkable", func(rows *sql.Rows) error {
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
	}
	if missing >= 0 {
		return nil, nil, &store.EventNotFoundError{ID: r.Events[missing]}
	}
	if own >= 0 {
		return nil, nil, &store.DuplicateEventError{Stream: r.Stream, ID: r.Events[own]}
	}
	return seqs, idxs, nil
}
