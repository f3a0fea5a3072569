package postgres

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

var (
	_ store.TypeStorage = (*Backend)(nil)
	_ store.TypeIndex   = (*Backend)(nil)
)

// mostTyped is how many events the index of types looks up at most. Where more events have the types, they stand so close that
// looking at all events is better.
const mostTyped = 10_000

// IndexTypes makes an index of event types, unless it is there. With it, a read of all events whose [store.ReadOptions].Filter names types
// that few events have, 10,000 at most, finds these at once; other reads are as before. It takes a while on a large store, and keeps nobody
// from appending meanwhile. Every append pays for it from then on. Call it outside a transaction; if it is interrupted, call it again. The
// session's timeouts count, as for [Backend.IndexCorrelations].
func (b *Backend) IndexTypes(ctx context.Context) error {
	return b.index(ctx, "IndexTypes", "types_indexed", "drop_types_index", "index_types")
}

// ReadTyped implements [store.TypeIndex]. The index does not have the positions of events, so that the first page looks up where all
// of them are. The pages behind it go on with that: 24 bytes for each event.
func (b *Backend) ReadTyped(ctx context.Context, r store.TypedRequest) (part store.TypedPart, err error) {
	if err := b.Check(ctx); err != nil {
		return part, err
	}
	found, ok := r.Rest.(*typed)
	if !ok {
		if found, err = b.findTyped(ctx, r); err != nil || found == nil {
			part.Unsuited = err == nil
			return part, err
		}
	}
	page, rest, err := b.readPlaces(ctx, found.list, r.Limit, r.Bytes, r.StreamPrefix)
	if err != nil {
		return part, err
	}
	part.Events = page.Events
	switch {
	case len(rest) > 0:
		part.Next, part.Rest = rest[0].position, &typed{rest, found.end}
	case !r.Backward:
		part.Next = max(r.From, found.end+1)
	}
	return part, nil
}

// typed says where the events of some types are up to a position, in the order of the read.
type typed struct {
	list []located
	end  int64
}

// findTyped returns where the events are that r is about, or nil if there is no index, or too many events have the types.
func (b *Backend) findTyped(ctx context.Context, r store.TypedRequest) (*typed, error) {
	var valid bool
	if indexed, err := b.one(ctx, "types_indexed", nil, &valid); err != nil || !indexed || !valid {
		return nil, err
	}
	first, last := r.From, int64(math.MaxInt64)
	if r.Backward {
		first, last = 1, r.From
	}
	var count int64
	var found typed
	err := b.each(ctx, "find_typed", func(rows *sql.Rows) (err error) {
		var packed sql.RawBytes
		if err := rows.Scan(&count, &found.end, &packed); err != nil {
			return err
		}
		found.list, err = b.unpackPlaces(packed)
		return err
	}, textArray(r.Types), first, last, int64(mostTyped+1))
	if err != nil || count > mostTyped {
		return nil, err
	}
	if r.Backward {
		slices.Reverse(found.list)
	}
	return &found, nil
}

// ListTypes implements [store.TypeStorage].
func (b *Backend) ListTypes(ctx context.Context) (list []store.TypeInfo, err error) {
	if _, err := b.Head(ctx); err != nil { // which gives positions to what was committed
		return nil, err
	}
	err = b.each(ctx, "list_types", func(rows *sql.Rows) error {
		var t store.TypeInfo
		var first, last int64
		err := rows.Scan(&t.Type, &t.Events, &t.First, &t.Last, &first, &last)
		t.FirstAt, t.LastAt = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
		list = append(list, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
