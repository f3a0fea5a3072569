package postgres

import (
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// found is a stream's row.
type found struct {
	store.State
	id      int64
	linked  bool
	created time.Time
	deleted sql.NullTime
}

// find reads the row of a stream by find_stream or lock_for_delete. An absent stream is the zero row.
func (b *Backend) find(ctx context.Context, statement, name string) (found, error) {
	var f found
	ok, err := b.one(ctx, statement, []any{name}, &f.id, &f.Version, &f.created, &f.deleted, &f.linked)
	f.Exists, f.Deleted = ok, f.deleted.Valid
	return f, err
}

// StreamInfo implements [store.Storage].
func (b *Backend) StreamInfo(ctx context.Context, name string) (store.StreamInfo, error) {
	if err := b.Check(ctx); err != nil {
		return store.StreamInfo{}, err
	}
	f, err := b.find(ctx, "find_stream", name)
	if err != nil {
		return store.StreamInfo{}, err
	}
	if !f.Exists {
		return store.StreamInfo{}, &store.StreamError{Stream: name, Err: store.ErrStreamNotFound}
	}
	return f.info(name), nil
}

func (f found) info(name string) store.StreamInfo {
	i := store.StreamInfo{Stream: name, ID: f.id, Version: f.Version, CreatedAt: f.created.UTC()}
	if f.deleted.Valid {
		i.DeletedAt = f.deleted.Time.UTC()
	}
	return i
}

// ListStreams implements [store.Storage].
func (b *Backend) ListStreams(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	after := r.After
	if after == nil {
		after = &store.StreamInfo{}
	}
	args := []any{r.Search, string(r.Status), int64(r.Limit), int64(r.Offset), r.After != nil}
	statement := "list_streams_by_key"
	switch r.SortBy {
	case store.SortName:
		statement, args = "list_streams_by_name", append(args, after.Stream)
	case store.SortID:
		statement, args = "list_streams_by_id", append(args, after.ID)
	default:
		args = append(args, sortKey(r.SortBy, *after), after.ID, string(r.SortBy))
	}
	if r.Descending {
		statement += "_desc"
	}
	var list []store.StreamInfo
	err := b.each(ctx, statement, func(rows *sql.Rows) error {
		var f found
		var name string
		if err := rows.Scan(&f.id, &name, &f.Version, &f.created, &f.deleted); err != nil {
			return err
		}
		list = append(list, f.info(name))
		return nil
	}, args...)
	return list, err
}

// sortKey is the key of list_streams_by_key.
func sortKey(by store.SortBy, s store.StreamInfo) int64 {
	switch {
	case by == store.SortVersion:
		return s.Version
	case by == store.SortCreated:
		return s.CreatedAt.UnixMicro()
	case s.DeletedAt.IsZero():
		return math.MaxInt64
	}
	return s.DeletedAt.UnixMicro()
}

// CountStreams implements [store.Storage].
func (b *Backend) CountStreams(ctx context.Context, f store.StreamFilter) (n int64, err error) {
	if err := b.Check(ctx); err != nil {
		return 0, err
	}
	_, err = b.one(ctx, "count_streams", []any{f.Search, string(f.Status)}, &n)
	return n, err
}
