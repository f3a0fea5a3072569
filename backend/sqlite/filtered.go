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
	if r.Stream == store.All {
		head, err := b.Head(ctx)
		if err != nil || head < r.From {
			return nil, r.From, err
		}
		last := lastOf(r, head)
		part, err := b.page(ctx, newScanner("", r), "read_all_filtered", r.From, last, types, prefix, r.Limit)
		return part.Events, nextOf(r, part, last, err), err
	}
	if err := b.usable(ctx); err != nil {
		return nil, r.From, err
	}
	s, err := b.stream(ctx, r.Stream)
	if err == nil {
		err = r.Judge(s.info)
	}
	if err != nil || s.info.Version < r.From {
		return nil, r.From, err
	}
	last := lastOf(r, s.info.Version)
	part, err := b.page(ctx, newScanner("", r), "read_stream_filtered", s.info.ID, r.From, last, types, prefix, r.Limit)
	return part.Events, nextOf(r, part, last, err), err
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

// lastOf is the last number that a page looks at, where the numbers end at end.
func lastOf(r store.ReadRequest, end int64) int64 {
	window := max(10*int64(r.Limit), 10_000)
	return min(end, r.From-1+min(window, math.MaxInt64-r.From))
}

// nextOf is the first number that a page has not looked at.
func nextOf(r store.ReadRequest, part store.Part, last int64, err error) int64 {
	switch n := len(part.Events); {
	case err != nil:
		return r.From
	case n == r.Limit || part.More:
		return part.Events[n-1].Number + 1
	}
	return last + 1
}
