package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/internal/page"
	"github.com/eventstore-go/eventstore/store"
)

// ReadStream implements [store.Storage].
func (b *Backend) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	query := "read_stream"
	if r.Backward {
		query = "read_stream_backward"
	}
	for {
		s := newScanner(r.Stream, r)
		s.headed = true
		page, err := b.page(ctx, s, query, r.Stream, r.From, r.Limit, r.StreamID)
		if err != nil {
			return store.StreamPart{}, err
		}
		if s.found.ID != 0 {
			return r.Page(s.found.ID, s.found.Version, page), nil
		}
		if err := b.unreadable(ctx, r); err != nil {
			return store.StreamPart{}, err
		}
		// It was created between the two looks.
	}
}

// unreadable returns why a stream can't be read, or nil if it can.
func (b *Backend) unreadable(ctx context.Context, r store.ReadRequest) error {
	s, err := b.stream(ctx, r.Stream)
	if err != nil {
		return err
	}
	return r.Judge(s.info)
}

// ReadAll implements [store.Storage].
func (b *Backend) ReadAll(ctx context.Context, r store.ReadRequest) (store.Part, error) {
	query := "read_all"
	if r.Backward {
		query = "read_all_backward"
	}
	return b.page(ctx, newScanner("", r), query, r.From, r.Limit)
}

// ReadEvent implements [store.Storage].
func (b *Backend) ReadEvent(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
	page, err := b.page(ctx, newScanner("", store.ReadRequest{Limit: 1}), "read_event", id[:])
	if err != nil {
		return store.Recorded{}, err
	}
	if len(page.Events) == 0 {
		return store.Recorded{}, &store.EventNotFoundError{ID: id}
	}
	return page.Events[0], nil
}

// Head implements [store.Storage].
func (b *Backend) Head(ctx context.Context) (position int64, err error) {
	if err := b.usable(ctx); err != nil {
		return 0, err
	}
	_, err = b.one(ctx, "head", nil, &position)
	return position, err
}

// PositionAt implements [store.PastStorage].
func (b *Backend) PositionAt(ctx context.Context, t time.Time) (position int64, err error) {
	if err := b.usable(ctx); err != nil {
		return 0, err
	}
	_, err = b.one(ctx, "position_at", []any{t.UnixMicro()}, &position)
	return position, err
}

// VersionAt implements [store.PastStorage].
func (b *Backend) VersionAt(ctx context.Context, name string, position int64) (version int64, err error) {
	if err := b.usable(ctx); err != nil {
		return 0, err
	}
	s, err := b.stream(ctx, name)
	if err == nil {
		err = store.ReadRequest{Stream: name}.Judge(s.info)
	}
	if err == nil {
		_, err = b.one(ctx, "version_at", []any{name, position}, &version)
	}
	return version, err
}

// page runs a statement that returns events. A page that is full ends the statement, which has read no further.
func (b *Backend) page(ctx context.Context, s *scanner, query string, args ...any) (store.Part, error) {
	if err := b.usable(ctx); err != nil {
		return store.Part{}, err
	}
	if err := b.each(ctx, query, s.scan, args...); err != nil && (!errors.Is(err, errFull) || ctx.Err() != nil) {
		return store.Part{}, err
	}
	return store.Part{Events: s.page, More: s.more}, nil
}

// fewConnections are too few for a reader to have several of them.
const fewConnections = 4

// ParallelReads implements [store.ParallelReader].
func (b *Backend) ParallelReads() int {
	if most := b.db.Stats().MaxOpenConnections; b.tx != nil || !b.wal.Load() || most > 0 && most < fewConnections {
		return 0
	}
	return 2
}

// Recycle implements [store.Recycler].
func (b *Backend) Recycle(list []store.Recorded) { page.Recycle(list) }
