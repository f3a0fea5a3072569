package sqlite

import (
	"context"
	"database/sql"
	"math"

	"github.com/eventstore-go/eventstore/store"
)

// stream is a row of the table streams, or the lack of one.
type stream struct {
	info   store.StreamInfo
	exists bool
}

func (s stream) state() store.State {
	return store.State{Exists: s.exists, Version: s.info.Version, Deleted: s.info.Status() == store.Deleted}
}

// stream looks a stream up by its name.
func (b *Backend) stream(ctx context.Context, name string) (stream, error) {
	s := stream{info: store.StreamInfo{Stream: name}}
	var created int64
	var deleted sql.NullInt64
	found, err := b.one(ctx, "stream", []any{name}, &s.info.ID, &s.info.Version, &created, &deleted)
	if err != nil || !found {
		return s, err
	}
	s.exists = true
	s.info.CreatedAt = fromMicros(created)
	if deleted.Valid {
		s.info.DeletedAt = fromMicros(deleted.Int64)
	}
	return s, nil
}

// StreamInfo implements [store.Storage].
func (b *Backend) StreamInfo(ctx context.Context, name string) (store.StreamInfo, error) {
	if err := b.usable(ctx); err != nil {
		return store.StreamInfo{}, err
	}
	s, err := b.stream(ctx, name)
	if err == nil && !s.exists {
		err = &store.StreamError{Stream: name, Err: store.ErrStreamNotFound}
	}
	if err != nil {
		return store.StreamInfo{}, err
	}
	return s.info, nil
}

// ListStreams implements [store.Storage].
func (b *Backend) ListStreams(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	query, args := list(r)
	var page []store.StreamInfo
	err := b.each(ctx, query, func(rows *sql.Rows) error {
		var s store.StreamInfo
		var created int64
		var deleted sql.NullInt64
		if err := rows.Scan(&s.Stream, &s.ID, &s.Version, &created, &deleted); err != nil {
			return err
		}
		s.CreatedAt = fromMicros(created)
		if deleted.Valid {
			s.DeletedAt = fromMicros(deleted.Int64)
		}
		page = append(page, s)
		return nil
	}, args...)
	if err != nil {
		return nil, err
	}
	return page, nil
}

// list chooses the statement for r. The page starts behind the key and the id of r.After; the first page, behind what
// is before all keys.
func list(r store.ListRequest) (query string, args []any) {
	switch r.SortBy {
	case store.SortID:
		query = "list_by_id"
	case store.SortName:
		query = "list_by_name"
	default:
		query = "list_by_key"
	}
	key, id := before(r)
	if r.After != nil {
		key, id = keyOf(r.SortBy, r.After), r.After.ID
	}
	args = []any{r.Search, string(r.Status), key, id, r.Limit, r.Offset}
	if query == "list_by_key" {
		args = append(args, string(r.SortBy))
	}
	if r.Descending {
		query += "_descending"
	}
	return query, args
}

// before returns a key and an id that come before all others in the order of r.
func before(r store.ListRequest) (key any, id int64) {
	id = math.MinInt64
	if r.Descending {
		id = math.MaxInt64
	}
	switch {
	case r.SortBy == store.SortID:
		return nil, id
	case r.SortBy == store.SortName && r.Descending:
		return []byte{0}, id // to SQLite any bytes are more than any text
	case r.SortBy == store.SortName:
		return "", id
	}
	return id, id
}

// keyOf returns what a stream is sorted by.
func keyOf(by store.SortBy, s *store.StreamInfo) any {
	switch by {
	case store.SortName:
		return s.Stream
	case store.SortVersion:
		return s.Version
	case store.SortCreated:
		return s.CreatedAt.UnixMicro()
	case store.SortDeleted:
		if s.DeletedAt.IsZero() {
			return int64(math.MaxInt64)
		}
		return s.DeletedAt.UnixMicro()
	}
	return nil // the id is all
}

// CountStreams implements [store.Storage].
func (b *Backend) CountStreams(ctx context.Context, f store.StreamFilter) (n int64, err error) {
	if err := b.usable(ctx); err != nil {
		return 0, err
	}
	_, err = b.one(ctx, "count_streams", []any{f.Search, string(f.Status)}, &n)
	return n, err
}
