package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/internal/page"
	"github.com/eventstore-go/eventstore/store"
)

// ReadStream implements [store.Storage]. A page of a stream without links is one statement, unless it has large events.
func (b *Backend) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	if err := b.Check(ctx); err != nil {
		return store.StreamPart{}, err
	}
	var before found
	for range mostTries {
		part, id, err := b.readOwn(ctx, r)
		if err != nil || len(part.Events) > 0 {
			// A stream without links has no gaps, so its version is the number of its last event.
			return r.Page(id, 0, part), err
		}
		f, err := b.find(ctx, "find_stream", r.Stream)
		if err == nil {
			err = r.Judge(f.info(r.Stream))
		}
		switch {
		case err != nil:
			return store.StreamPart{}, err
		case f.Version == 0, !r.Backward && f.Version < r.From:
			return r.Page(f.id, f.Version, store.Part{}), nil
		case f.id == before.id && f.linked == before.linked: // the empty page between the two looks belongs to this stream
			return r.Page(f.id, before.Version, store.Part{}), nil
		case f.linked:
			part, err = b.readLinked(ctx, &room{request: r}, "read_linked_"+direction(r), f.id, r.From, int64(r.Limit), inline(r, r.Limit))
			if err != nil || len(part.Events) > 0 {
				return r.Page(f.id, f.Version, part), err
			}
			if part.More {
				continue // and look at its version again: its first event was hard deleted
			}
		}
		before = f // it may have been created, or deleted and created again, between two looks: then there is something
	}
	return store.StreamPart{}, fmt.Errorf("postgres: read %q: %w: the stream kept changing", r.Stream, store.ErrRetryTx)
}

func direction(r store.ReadRequest) string {
	if r.Backward {
		return "backward"
	}
	return "forward"
}

// readOwn reads a page of a stream that has no links, and returns the stream's id unless the page is empty.
func (b *Backend) readOwn(ctx context.Context, r store.ReadRequest) (part store.Part, id int64, err error) {
	s := b.newScanner(false, r.Bytes)
	s.owned = true
	var list []store.Recorded
	err = b.each(ctx, "read_stream_"+direction(r), func(rows *sql.Rows) error {
		if err := s.scan(rows); err != nil {
			return err
		}
		var e *store.Recorded
		list, e = page.Add(list, r.Limit)
		s.event(e)
		e.Number, e.Stream = e.Version, r.Stream
		return nil
	}, r.Stream, r.From, int64(r.Limit), r.StreamID, inline(r, r.Limit))
	if err == nil {
		part.Events, part.More, err = b.fill(ctx, &room{request: r}, list)
	}
	return part, s.streamID, err
}

// readLinked reads a part of a page by a statement that returns events with their numbers and streams, and fills it.
func (b *Backend) readLinked(ctx context.Context, left *room, statement string, args ...any) (part store.Part, err error) {
	s := b.newScanner(true, left.request.Bytes)
	var page []store.Recorded
	err = b.each(ctx, statement, func(rows *sql.Rows) error {
		if err := s.scan(rows); err != nil {
			return err
		}
		page = append(page, store.Recorded{Number: s.number, Stream: s.stream})
		s.event(&page[len(page)-1])
		return nil
	}, args...)
	if err == nil {
		part.Events, part.More, err = b.fill(ctx, left, page)
	}
	return part, err
}

// ReadAll implements [store.Storage]. A page is two plain range scans, of log and of events, put together here: plans of
// a join change as tables grow. A reader that has come to the end of the log ticks, so that it sees what was committed
// before it came.
func (b *Backend) ReadAll(ctx context.Context, r store.ReadRequest) (part store.Part, err error) {
	if err := b.Check(ctx); err != nil {
		return part, err
	}
	if r.Backward {
		return b.readAllBackward(ctx, r)
	}
	left, from := room{request: r}, r.From
	for caughtUp := false; len(part.Events) < r.Limit; {
		wants, next, err := b.readLog(ctx, from, r.Limit-len(part.Events))
		if err != nil {
			return store.Part{}, err
		}
		if len(wants.list) == 0 && next == from { // the log ended here when it was read
			if caughtUp {
				break
			}
			head, moved, more, err := b.catchUpSome(ctx)
			if err != nil {
				return store.Part{}, err
			}
			if !moved && head < from {
				break
			}
			caughtUp = !more // and read again: this reader or another has placed events since
			continue
		}
		events, cut, err := b.readPart(ctx, &left, wants)
		if err != nil {
			return store.Part{}, err
		}
		switch part.Events, from = appendPage(part.Events, events), next; {
		case cut && left.n > 0:
			part.More = true
			return part, nil
		case cut:
			part, from = store.Part{}, r.From
		}
	}
	return part, nil
}

func (b *Backend) readAllBackward(ctx context.Context, r store.ReadRequest) (part store.Part, err error) {
	head, err := b.Head(ctx)
	if err != nil {
		return part, err
	}
	left := room{request: r}
	for from := min(r.From, head); from > 0 && len(part.Events) < r.Limit; {
		wants, next, err := b.readLogBackward(ctx, from, r.Limit-len(part.Events))
		if err != nil {
			return store.Part{}, err
		}
		events, cut, err := b.readPart(ctx, &left, wants)
		if err != nil {
			return store.Part{}, err
		}
		switch part.Events, from = appendPage(part.Events, events), next; {
		case cut && left.n > 0:
			part.More = true
			return part, nil
		case cut:
			part, from = store.Part{}, min(r.From, head)
		}
	}
	return part, nil
}

// readPart reads the events of wants, in the order of the page, and fills them.
func (b *Backend) readPart(ctx context.Context, left *room, wants wanted) (events []store.Recorded, cut bool, err error) {
	events, err = b.readPlaced(ctx, left.request, wants)
	if err != nil {
		return nil, false, err
	}
	if left.request.Backward {
		slices.Reverse(events)
	}
	return b.fill(ctx, left, events)
}

func appendPage(page, more []store.Recorded) []store.Recorded {
	if len(page) == 0 {
		return more
	}
	return append(page, more...)
}

// ReadEvent implements [store.Storage].
func (b *Backend) ReadEvent(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
	if err := b.Check(ctx); err != nil {
		return store.Recorded{}, err
	}
	s := b.newScanner(true, 0)
	var e store.Recorded
	err := b.each(ctx, "read_event", func(rows *sql.Rows) error {
		if err := s.scan(rows); err != nil {
			return err
		}
		e.Number, e.Stream = s.number, s.stream
		s.event(&e)
		return nil
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

// PositionAt implements [store.PastStorage].
func (b *Backend) PositionAt(ctx context.Context, t time.Time) (position int64, err error) {
	if err := b.Check(ctx); err != nil {
		return 0, err
	}
	// Also waits for a tick that is giving positions, which has read the clock already.
	if _, _, err := b.catchUp(ctx); err != nil {
		return 0, err
	}
	_, err = b.one(ctx, "position_at", []any{t.UnixMicro()}, &position)
	return position, err
}

// VersionAt implements [store.PastStorage].
func (b *Backend) VersionAt(ctx context.Context, name string, position int64) (version int64, err error) {
	if err := b.Check(ctx); err != nil {
		return 0, err
	}
	if _, _, err := b.catchUp(ctx); err != nil {
		return 0, err
	}
	f, err := b.find(ctx, "find_stream", name)
	if err == nil {
		err = store.ReadRequest{Stream: name}.Judge(f.info(name))
	}
	if err == nil {
		_, err = b.one(ctx, "version_at", []any{name, position}, &version)
	}
	return version, err
}

// fewConnections are too few for a reader to have several of them.
const fewConnections = 4

// ParallelReads implements [store.ParallelReader].
func (b *Backend) ParallelReads() int {
	if most := b.db.Stats().MaxOpenConnections; b.tx != nil || most > 0 && most < fewConnections {
		return 0
	}
	return 2
}

// Recycle implements [store.Recycler].
func (b *Backend) Recycle(list []store.Recorded) { page.Recycle(list) }
