package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.CorrelationStorage = (*Backend)(nil)

// IndexCorrelations makes the index that [store.Store.Correlation] needs, unless it is there. It takes a while on a large
// store, and keeps nobody from appending meanwhile. Every append with a CorrelationID pays for it from then on. Call it
// outside a transaction; if it is interrupted, call it again.
//
// The session's statement_timeout and lock_timeout count: the statement can't be part of a transaction that sets them, and to set them
// for the session could leave them behind at a pooler. Where they are too short, the error wraps [store.ErrTimeout] and says how to
// connect without them.
func (b *Backend) IndexCorrelations(ctx context.Context) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	if b.tx != nil {
		return &store.InvalidError{Field: "tx", Reason: "can't make an index while others append: call it outside a transaction"}
	}
	err := b.indexCorrelations(ctx)
	if ctx.Err() == nil && (errors.Is(err, store.ErrTimeout) || waitedTooLong(err)) {
		return fmt.Errorf("postgres: %w: the index is not complete; call IndexCorrelations again with a connection that has "+
			"statement_timeout=0 and lock_timeout=0, for example in its URL: %w", store.ErrTimeout, err)
	}
	return err
}

func (b *Backend) indexCorrelations(ctx context.Context) error {
	var valid bool
	found, err := b.one(ctx, "correlations_indexed", nil, &valid)
	switch {
	case err != nil || found && valid:
		return err
	case found:
		if err := b.exec(ctx, "drop_correlations_index"); err != nil {
			return err
		}
	}
	return b.exec(ctx, "index_correlations")
}

// correlated says where an event of a correlation is.
type correlated struct{ position, seq, idx int64 }

// ReadCorrelation implements [store.CorrelationStorage]. The index of correlations does not have the positions of events, so that the
// first page looks up where all of them are. The pages behind it go on with that: 24 bytes for each event.
func (b *Backend) ReadCorrelation(ctx context.Context, r store.CorrelationRequest) (part store.CorrelationPart, err error) {
	if err := b.Check(ctx); err != nil {
		return part, err
	}
	if err := b.correlationsIndexed(ctx); err != nil {
		return part, err
	}
	rest, ok := r.Rest.([]correlated)
	if !ok {
		if rest, err = b.findCorrelation(ctx, r); err != nil {
			return part, err
		}
	}
	left := room{request: store.ReadRequest{Bytes: r.Bytes}}
	for len(rest) > 0 && len(part.Events) < r.Limit && !part.More {
		list := rest[:min(len(rest), r.Limit-len(part.Events))]
		next, err := b.readCorrelated(ctx, &left, list)
		if err != nil {
			return part, err
		}
		part.Events = append(part.Events, next.Events...)
		n := len(part.Events)
		switch {
		case !next.More:
			rest = rest[len(list):]
		case n > 0:
			part.More = true
			last := part.Events[n-1].Number
			rest = rest[slices.IndexFunc(list, func(m correlated) bool { return m.position > last }):]
		} // else the first event was hard deleted between two statements
	}
	part.Rest = rest
	return part, nil
}

func (b *Backend) correlationsIndexed(ctx context.Context) error {
	if b.correlations.Load() {
		return nil
	}
	var valid bool
	if found, err := b.one(ctx, "correlations_indexed", nil, &valid); err != nil {
		return err
	} else if !found || !valid {
		return store.ErrNotIndexed
	}
	b.correlations.Store(true)
	return nil
}

// findCorrelation returns where the events are that r is about, in their global order.
func (b *Backend) findCorrelation(ctx context.Context, r store.CorrelationRequest) (list []correlated, err error) {
	err = b.each(ctx, "find_correlation", func(rows *sql.Rows) error {
		var packed sql.RawBytes
		if err := rows.Scan(&packed); err != nil {
			return err
		}
		if err := b.unhex((*[]byte)(&packed)); err != nil {
			return err
		}
		const size = 8 + 8 + 4
		list = make([]correlated, 0, len(packed)/size)
		for ; len(packed) >= size; packed = packed[size:] {
			list = append(list, correlated{
				position: int64(binary.BigEndian.Uint64(packed)),
				seq:      int64(binary.BigEndian.Uint64(packed[8:])),
				idx:      int64(binary.BigEndian.Uint32(packed[16:])),
			})
		}
		return nil
	}, r.CorrelationID.String(), r.From)
	slices.SortFunc(list, func(x, y correlated) int { return cmp.Compare(x.position, y.position) })
	return list, err
}

// readCorrelated reads these events.
func (b *Backend) readCorrelated(ctx context.Context, left *room, list []correlated) (store.Part, error) {
	positions, seqs, idxs := make([]int64, len(list)), make([]int64, len(list)), make([]int64, len(list))
	for i, p := range list {
		positions[i], seqs[i], idxs[i] = p.position, p.seq, p.idx
	}
	return b.readLinked(ctx, left, "read_correlation", intArray(positions), intArray(seqs), intArray(idxs), inline(left.request, len(list)))
}
