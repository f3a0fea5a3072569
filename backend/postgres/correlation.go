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
	return b.index(ctx, "IndexCorrelations", "correlations_indexed", "drop_correlations_index", "index_correlations")
}

// index makes an index for the method called name, unless it is there, by the statements that look for it, drop what is left of an
// attempt, and make it.
func (b *Backend) index(ctx context.Context, name, indexed, drop, create string) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	if b.tx != nil {
		return &store.InvalidError{Field: "tx", Reason: "can't make an index while others append: call it outside a transaction"}
	}
	err := b.makeIndex(ctx, indexed, drop, create)
	if ctx.Err() == nil && (errors.Is(err, store.ErrTimeout) || waitedTooLong(err)) {
		return fmt.Errorf("postgres: %w: the index is not complete; call %s again with a connection that has "+
			"statement_timeout=0 and lock_timeout=0, for example in its URL: %w", store.ErrTimeout, name, err)
	}
	return err
}

func (b *Backend) makeIndex(ctx context.Context, indexed, drop, create string) error {
	var valid bool
	found, err := b.one(ctx, indexed, nil, &valid)
	switch {
	case err != nil || found && valid:
		return err
	case found:
		if err := b.exec(ctx, drop); err != nil {
			return err
		}
	}
	return b.exec(ctx, create)
}

// fewPlaces is how many places are looked at in any case where not all of their events are wanted.
const fewPlaces = 200

// located says where an event is.
type located struct{ position, seq, idx int64 }

// ReadCorrelation implements [store.CorrelationStorage]. The index of correlations does not have the positions of events, so that the
// first page looks up where all of them are. The pages behind it go on with that: 24 bytes for each event.
func (b *Backend) ReadCorrelation(ctx context.Context, r store.CorrelationRequest) (part store.CorrelationPart, err error) {
	if err := b.Check(ctx); err != nil {
		return part, err
	}
	if err := b.correlationsIndexed(ctx); err != nil {
		return part, err
	}
	rest, ok := r.Rest.([]located)
	if !ok {
		if rest, err = b.findCorrelation(ctx, r); err != nil {
			return part, err
		}
	}
	part.Part, rest, err = b.readPlaces(ctx, rest, r.Limit, r.Bytes, "")
	part.Rest = rest
	return part, err
}

// readPlaces returns a page of the events at the places of list, in that order, and the places behind it. Only those of streams with the
// prefix are in the page.
func (b *Backend) readPlaces(ctx context.Context, list []located, limit, bytes int, prefix string) (part store.Part, rest []located, err error) {
	left := room{request: store.ReadRequest{Bytes: bytes}}
	for rest = list; len(rest) > 0 && len(part.Events) < limit && !part.More; {
		size := limit - len(part.Events)
		if prefix != "" {
			size = max(size, fewPlaces) // few of them may be of such a stream
		}
		wanted := rest[:min(len(rest), size)]
		next, err := b.readWanted(ctx, &left, wanted, prefix)
		if err != nil {
			return store.Part{}, list, err
		}
		part.Events = append(part.Events, next.Events...)
		if len(part.Events) > limit {
			part.Events, next.More = part.Events[:limit], true
		}
		n := len(part.Events)
		switch {
		case !next.More:
			rest = rest[len(wanted):]
		case n > 0:
			part.More = true
			last := part.Events[n-1].Number
			rest = rest[slices.IndexFunc(rest, func(p located) bool { return p.position == last })+1:]
		} // else the first event was hard deleted between two statements
	}
	return part, rest, nil
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
func (b *Backend) findCorrelation(ctx context.Context, r store.CorrelationRequest) (list []located, err error) {
	err = b.each(ctx, "find_correlation", func(rows *sql.Rows) error {
		var packed sql.RawBytes
		if err := rows.Scan(&packed); err != nil {
			return err
		}
		list, err = b.unpackPlaces(packed)
		return err
	}, r.CorrelationID.String(), r.From)
	return list, err
}

// unpackPlaces unpacks places, and returns them in the order of positions.
func (b *Backend) unpackPlaces(packed sql.RawBytes) ([]located, error) {
	if err := b.unhex((*[]byte)(&packed)); err != nil {
		return nil, err
	}
	const size = 8 + 8 + 4
	list := make([]located, 0, len(packed)/size)
	for ; len(packed) >= size; packed = packed[size:] {
		list = append(list, located{
			position: int64(binary.BigEndian.Uint64(packed)),
			seq:      int64(binary.BigEndian.Uint64(packed[8:])),
			idx:      int64(binary.BigEndian.Uint32(packed[16:])),
		})
	}
	slices.SortFunc(list, func(x, y located) int { return cmp.Compare(x.position, y.position) })
	return list, nil
}

// readWanted reads the events at these places.
func (b *Backend) readWanted(ctx context.Context, left *room, list []located, prefix string) (store.Part, error) {
	var begins any // null for all
	if prefix != "" {
		begins = prefix
	}
	positions, seqs, idxs := make([]int64, len(list)), make([]int64, len(list)), make([]int64, len(list))
	for i, p := range list {
		positions[i], seqs[i], idxs[i] = p.position, p.seq, p.idx
	}
	return b.readLinked(ctx, left, "read_places", intArray(positions), intArray(seqs), intArray(idxs), inline(left.request, len(list)), begins)
}
