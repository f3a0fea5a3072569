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
	var s scanner
	page := make([]store.Recorded, 0, min(r.Limit, 1024))
	read := func(rows *sql.Rows, numbered bool) error {
		var e scanned
		if err := s.scan(rows, &e, numbered); err != nil {
			return err
		}
		e.Stream = r.Stream
		page = append(page, e.Recorded)
		return nil
	}
	err := b.each(ctx, "read_stream_"+direction, func(rows *sql.Rows) error { return read(rows, false) }, r.Stream, r.From, int64(r.Limit))
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
	var s scanner
	var events []scanned
	err := b.each(ctx, statement, func(rows *sql.Rows) error {
		events = append(events, scanned{})
		return s.scan(rows, &events[len(events)-1], true)
	}, streamID, r.From, int64(r.Limit))
	if err != nil {
		return nil, err
	}
	return b.named(ctx, events)
}

// named returns the events with the names of their streams. An event whose stream is gone was hard deleted since it was
// read, and is left out.
func (b *Backend) named(ctx context.Context, events []scanned) ([]store.Recorded, error) {
	if err := b.nameEvents(ctx, events); err != nil {
		return nil, err
	}
	page := make([]store.Recorded, 0, len(events))
	for i := range events {
		if events[i].Stream != "" {
			page = append(page, events[i].Recorded)
		}
	}
	return page, nil
}

// ReadEvent implements [store.Storage].
func (b *Backend) ReadEvent(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
	if err := b.Check(ctx); err != nil {
		return store.Recorded{}, err
	}
	var s scanner
	var events []scanned
	err := b.each(ctx, "read_event", func(rows *sql.Rows) error {
		events = append(events, scanned{})
		return s.scan(rows, &events[0], false)
	}, id.String())
	if err != nil {
		return store.Recorded{}, err
	}
	page, err := b.named(ctx, events)
	if err == nil && len(page) == 0 {
		err = &store.EventNotFoundError{ID: id}
	}
	if err != nil {
		return store.Recorded{}, err
	}
	return page[0], nil
}

// Head implements [store.Storage].
func (b *Backend) Head(ctx context.Context) (head int64, err error) {
	if err := b.Check(ctx); err != nil {
		return 0, err
	}
	if _, err := b.catchUp(ctx); err != nil {
		return 0, err
	}
	_, err = b.one(ctx, "read_head", nil, &head)
	return head, err
}
