package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

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
// that few events have, 10,000 at most, finds these at once; other reads are as before. Every append pays for it from then on. While it is
// made, on a large store for a while, nobody can append.
func (b *Backend) IndexTypes(ctx context.Context) error {
	return b.write(ctx, func(tx *Backend) error { return tx.exec(ctx, "index_types") })
}

// ReadTyped implements [store.TypeIndex]. The first page looks up where all of the events are. The pages behind it go on with that: 8
// bytes for each event.
func (b *Backend) ReadTyped(ctx context.Context, r store.TypedRequest) (part store.TypedPart, err error) {
	if err := b.usable(ctx); err != nil {
		return part, err
	}
	found, ok := r.Rest.(*typed)
	if !ok {
		if found, err = b.findTyped(ctx, r); err != nil || found == nil {
			part.Unsuited = err == nil
			return part, err
		}
	}
	wanted := found.list
	if r.StreamPrefix == "" { // else few of them may be of such a stream
		wanted = wanted[:min(len(wanted), r.Limit)]
	}
	positions, err := json.Marshal(wanted)
	if err != nil {
		return part, err
	}
	_, prefix, err := filterArgs(store.EventFilter{StreamPrefix: r.StreamPrefix})
	if err != nil {
		return part, err
	}
	s := newScanner("", store.ReadRequest{Limit: r.Limit, Bytes: r.Bytes})
	page, err := b.page(ctx, s, "read_places", string(positions), prefix, r.Limit)
	if err != nil {
		return part, err
	}
	part.Events = page.Events
	rest := found.list[len(wanted):]
	if n := len(page.Events); n == r.Limit || page.More {
		rest = found.list[slices.Index(found.list, page.Events[n-1].Number)+1:]
	}
	switch {
	case len(rest) > 0:
		part.Next, part.Rest = rest[0], &typed{rest, found.end}
	case !r.Backward:
		part.Next = max(r.From, found.end+1)
	}
	return part, nil
}

// typed are the positions of the events of some types up to a position, in the order of the read.
type typed struct {
	list []int64
	end  int64
}

// findTyped returns where the events are that r is about, or nil if there is no index, or too many events have the types.
func (b *Backend) findTyped(ctx context.Context, r store.TypedRequest) (*typed, error) {
	if indexed, err := b.one(ctx, "types_indexed", nil, new(int)); err != nil || !indexed {
		return nil, err
	}
	end, err := b.Head(ctx) // up to there, all is to be seen by the next statement
	if err != nil {
		return nil, err
	}
	types, _, err := filterArgs(store.EventFilter{Types: r.Types})
	if err != nil {
		return nil, err
	}
	first, last := r.From, end
	if r.Backward {
		first, last = 1, min(r.From, end)
	}
	found := &typed{end: end}
	err = b.each(ctx, "find_typed", func(rows *sql.Rows) error {
		var position int64
		err := rows.Scan(&position)
		found.list = append(found.list, position)
		return err
	}, types, first, last, mostTyped+1)
	if err != nil || len(found.list) > mostTyped {
		return nil, err
	}
	slices.Sort(found.list)
	if r.Backward {
		slices.Reverse(found.list)
	}
	return found, nil
}

// ListTypes implements [store.TypeStorage].
func (b *Backend) ListTypes(ctx context.Context) (list []store.TypeInfo, err error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	err = b.each(ctx, "list_types", func(rows *sql.Rows) error {
		var t store.TypeInfo
		var first, last int64
		err := rows.Scan(&t.Type, &t.Events, &t.First, &t.Last, &first, &last)
		t.FirstAt, t.LastAt = fromMicros(first), fromMicros(last)
		list = append(list, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
