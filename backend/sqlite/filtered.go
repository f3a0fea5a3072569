package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"

	"github.com/eventstore-go/eventstore/store"
)

// StreamVersions implements [store.SubscriptionStorage].
func (b *Backend) StreamVersions(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	names, err := json.Marshal(streams)
	if err != nil {
		return nil, err
	}
	found := make(map[string]store.StreamInfo, len(streams))
	err = b.each(ctx, "stream_versions", func(rows *sql.Rows) error {
		var s store.StreamInfo
		var created int64
		var deleted sql.NullInt64
		err := rows.Scan(&s.Stream, &s.ID, &s.Version, &created, &deleted)
		s.CreatedAt = fromMicros(created)
		if deleted.Valid {
			s.DeletedAt = fromMicros(deleted.Int64)
		}
		found[s.Stream] = s
		return err
	}, string(names))
	if err != nil {
		return nil, err
	}
	return found, nil
}

// ReadFiltered implements [store.SubscriptionStorage]. Where the numbers end is read first: up to there, all is to be
// seen by the next statement.
func (b *Backend) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64, err error) {
	types, prefix, err := filterArgs(f)
	if err != nil {
		return nil, r.From, err
	}
	query, end, args := "read_all_filtered", int64(0), []any(nil)
	if r.Stream == store.All {
		end, err = b.Head(ctx)
	} else {
		var id int64
		id, end, err = b.endOf(ctx, r)
		query, args = "read_stream_filtered", []any{id}
	}
	if err != nil || !r.Backward && end < r.From {
		return nil, r.From, err
	}
	w := windowOf(r, end)
	args = append(args, w.lowest, w.highest, types, prefix)
	if r.Backward {
		query += "_backward"
	} else {
		args = append(args, w.ends[0], w.ends[1])
	}
	part, err := b.page(ctx, newScanner("", r), query, append(args, r.Limit)...)
	if err != nil {
		return nil, r.From, err
	}
	return part.Events, w.next(r, part), nil
}

// endOf returns the id of the stream that r is to read, and its version.
func (b *Backend) endOf(ctx context.Context, r store.ReadRequest) (id, version int64, err error) {
	if err := b.usable(ctx); err != nil {
		return 0, 0, err
	}
	s, err := b.stream(ctx, r.Stream)
	if err == nil {
		err = r.Judge(s.info)
	}
	return s.info.ID, s.info.Version, err
}

// window is the numbers that a page looks at, and those of the events that it has whatever the filter says; 0 for none.
type window struct {
	lowest, highest int64
	ends            [2]int64
}

// windowOf returns the numbers that a page looks at, where the numbers end at end.
func windowOf(r store.ReadRequest, end int64) (w window) {
	size := max(10*int64(r.Limit), 10_000)
	if r.Backward {
		w.highest = min(r.From, end)
		w.lowest = max(w.highest-size+1, 1)
		return w
	}
	w.lowest, w.highest = r.From, min(end, r.From-1+min(size, math.MaxInt64-r.From))
	if !r.ChosenOnly {
		w.ends = [2]int64{w.lowest, w.highest}
	}
	return w
}

// filterArgs are the types, as JSON, and the prefix, as bytes; null for all.
func filterArgs(f store.EventFilter) (types, prefix any, err error) {
	if len(f.Types) > 0 {
		list, err := json.Marshal(f.Types)
		if err != nil {
			return nil, nil, err
		}
		types = string(list)
	}
	if f.StreamPrefix != "" {
		prefix = []byte(f.StreamPrefix)
	}
	return types, prefix, nil
}

// next is the first number that a page has not looked at, in its direction.
func (w window) next(r store.ReadRequest, part store.Part) int64 {
	n := len(part.Events)
	cut := n == r.Limit || part.More
	switch {
	case r.Backward && cut:
		return part.Events[n-1].Number - 1
	case r.Backward:
		return w.lowest - 1
	case cut:
		return part.Events[n-1].Number + 1
	}
	return w.highest + 1
}
