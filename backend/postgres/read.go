package postgres

import (
	"context"
	"database/sql"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// ReadStream implements [store.Storage]. A page of a stream without links is one statement.
func (b *Backend) ReadStream(ctx context.Context, r store.ReadRequest) ([]store.Recorded, error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	direction := "forward"
	if r.Backward {
		direction = "backward"
	}
	s := newScanner(false)
	page := make([]store.Recorded, 0, min(r.Limit, store.DefaultPageSize))
	err := b.each(ctx, "read_stream_"+direction, func(rows *sql.Rows) error {
		if err := s.scan(rows); err != nil {
			return err
		}
		page = append(page, store.Recorded{Number: s.version, Stream: r.Stream})
		return s.event(&page[len(page)-1])
	}, r.Stream, r.From, int64(r.Limit))
	if err != nil || len(page) > 0 {
		return page, err
	}
	f, err := b.find(ctx, "find_stream", r.Stream)
	switch {
	case err != nil:
		return nil, err
	case !f.Exists:
		return nil, &store.StreamError{Stream: r.Stream, Err: store.ErrStreamNotFound}
	case f.Deleted:
		return nil, &store.StreamError{Stream: r.Stream, Err: store.ErrStreamDeleted}
	case !f.linked:
		return nil, nil
	}
	return b.readLinked(ctx, "read_linked_"+direction, f.id, r)
}

// readLinked reads a page of a stream that has links.
func (b *Backend) readLinked(ctx context.Context, statement string, streamID int64, r store.ReadRequest) ([]store.Recorded, error) {
	s := newScanner(true)
	var page []store.Recorded
	err := b.each(ctx, statement, func(rows *sql.Rows) error {
		if err := s.scan(rows); err != nil {
			return err
		}
		page = append(page, store.Recorded{Number: s.number, Stream: s.stream})
		return s.event(&page[len(page)-1])
	}, streamID, r.From, int64(r.Limit))
	return page, err
}

// ReadEvent implements [store.Storage].
func (b *Backend) ReadEvent(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
	if err := b.Check(ctx); err != nil {
		return store.Recorded{}, err
	}
	s := newScanner(true)
	var e store.Recorded
	err := b.each(ctx, "read_event", func(rows *sql.Rows) error {
		if err := s.scan(rows); err != nil {
			return err
		}
		e.Number, e.Stream = s.number, s.stream
		return s.event(&e)
	}, id.String())
	if err == nil && e.Stream == "" {
		err = &store.EventNotFoundError{ID: id}
	}
	if err != nil {
		return store.Recorded{}, err
	}
	return e, nil
}

// Head implements [store.Storage].
func (b *Backend) Head(ctx context.Context) (head int64, err error) {
	if err := b.Check(ctx); err != nil {
		return 0, err
	}
	head, moved, err := b.catchUp(ctx)
	if err != nil || !moved {
		return head, err
	}
	_, err = b.one(ctx, "read_head", nil, &head)
	return head, err
}
