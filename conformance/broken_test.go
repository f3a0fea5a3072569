package conformance

import (
	"context"
	"database/sql"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// broken is a storage with some of its calls replaced. A nil field leaves the call as it is.
type broken struct {
	store.Storage
	brokenKeeper
	append     func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error)
	appendAll  func(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error)
	link       func(ctx context.Context, r store.LinkRequest) (store.AppendResult, error)
	delete     func(ctx context.Context, r store.DeleteRequest) error
	undelete   func(ctx context.Context, r store.UndeleteRequest) error
	readStream func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error)
	readAll    func(ctx context.Context, r store.ReadRequest) (store.Part, error)
	recycle    func(page []store.Recorded)
	readEvent  func(ctx context.Context, id uuid.UUID) (store.Recorded, error)
	head       func(ctx context.Context) (int64, error)
	positionAt func(ctx context.Context, t time.Time) (int64, error)
	versionAt  func(ctx context.Context, stream string, position int64) (int64, error)
	info       func(ctx context.Context, stream string) (store.StreamInfo, error)
	list       func(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error)
	count      func(ctx context.Context, f store.StreamFilter) (int64, error)

	readCorrelation func(ctx context.Context, r store.CorrelationRequest) (store.CorrelationPart, error)
	readTyped       func(ctx context.Context, r store.TypedRequest) (store.TypedPart, error)

	readSnapshot   func(ctx context.Context, sourceID string) (store.RecordedSnapshot, error)
	recordSnapshot func(ctx context.Context, r store.SnapshotRequest) error
	deleteSnapshot func(ctx context.Context, sourceID string) error
}

// or calls the replacement if there is one.
func or[A, R any](replaced, real func(context.Context, A) (R, error), ctx context.Context, arg A) (R, error) {
	if replaced != nil {
		return replaced(ctx, arg)
	}
	return real(ctx, arg)
}

func (b *broken) Append(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
	return or(b.append, b.Storage.Append, ctx, r)
}

func (b *broken) AppendAll(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
	return or(b.appendAll, b.Storage.(store.MultiAppender).AppendAll, ctx, list)
}

func (b *broken) PositionAt(ctx context.Context, t time.Time) (int64, error) {
	return or(b.positionAt, b.Storage.(store.PastStorage).PositionAt, ctx, t)
}

func (b *broken) VersionAt(ctx context.Context, stream string, position int64) (int64, error) {
	if b.versionAt != nil {
		return b.versionAt(ctx, stream, position)
	}
	return b.Storage.(store.PastStorage).VersionAt(ctx, stream, position)
}

func (b *broken) Link(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
	return or(b.link, b.Storage.Link, ctx, r)
}

func (b *broken) Delete(ctx context.Context, r store.DeleteRequest) error {
	if b.delete != nil {
		return b.delete(ctx, r)
	}
	return b.Storage.Delete(ctx, r)
}

func (b *broken) Undelete(ctx context.Context, r store.UndeleteRequest) error {
	if b.undelete != nil {
		return b.undelete(ctx, r)
	}
	return b.Storage.Undelete(ctx, r)
}

func (b *broken) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	return or(b.readStream, b.Storage.ReadStream, ctx, r)
}

func (b *broken) ReadAll(ctx context.Context, r store.ReadRequest) (store.Part, error) {
	return or(b.readAll, b.Storage.ReadAll, ctx, r)
}

func (b *broken) Recycle(page []store.Recorded) {
	if b.recycle != nil {
		b.recycle(page)
	} else if r, ok := b.Storage.(store.Recycler); ok {
		r.Recycle(page)
	}
}

func (b *broken) ReadEvent(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
	return or(b.readEvent, b.Storage.ReadEvent, ctx, id)
}

func (b *broken) Head(ctx context.Context) (int64, error) {
	if b.head != nil {
		return b.head(ctx)
	}
	return b.Storage.Head(ctx)
}

func (b *broken) StreamInfo(ctx context.Context, stream string) (store.StreamInfo, error) {
	return or(b.info, b.Storage.StreamInfo, ctx, stream)
}

func (b *broken) ListStreams(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
	return or(b.list, b.Storage.ListStreams, ctx, r)
}

func (b *broken) CountStreams(ctx context.Context, f store.StreamFilter) (int64, error) {
	return or(b.count, b.Storage.CountStreams, ctx, f)
}

func (b *broken) ReadSnapshot(ctx context.Context, sourceID string) (store.RecordedSnapshot, error) {
	return or(b.readSnapshot, b.Storage.ReadSnapshot, ctx, sourceID)
}

func (b *broken) ReadTyped(ctx context.Context, r store.TypedRequest) (store.TypedPart, error) {
	return or(b.readTyped, b.Storage.(store.TypeIndex).ReadTyped, ctx, r)
}

func (b *broken) ReadCorrelation(ctx context.Context, r store.CorrelationRequest) (store.CorrelationPart, error) {
	return or(b.readCorrelation, b.Storage.(store.CorrelationStorage).ReadCorrelation, ctx, r)
}

func (b *broken) RecordSnapshot(ctx context.Context, r store.SnapshotRequest) error {
	if b.recordSnapshot != nil {
		return b.recordSnapshot(ctx, r)
	}
	return b.Storage.RecordSnapshot(ctx, r)
}

func (b *broken) DeleteSnapshot(ctx context.Context, sourceID string) error {
	if b.deleteSnapshot != nil {
		return b.deleteSnapshot(ctx, sourceID)
	}
	return b.Storage.DeleteSnapshot(ctx, sourceID)
}

// inStream makes of a change of pages one of those of streams.
func inStream(change func(pageRead) pageRead, b *broken) func(context.Context, store.ReadRequest) (store.StreamPart, error) {
	return func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
		var page store.StreamPart
		events, err := change(func(ctx context.Context, r store.ReadRequest) (list []store.Recorded, err error) {
			page, err = b.Storage.ReadStream(ctx, r)
			return page.Events, err
		})(ctx, r)
		page.Events = events
		return page, err
	}
}

// inAll makes of a change of pages one of those of all events.
func inAll(change func(pageRead) pageRead, b *broken) func(context.Context, store.ReadRequest) (store.Part, error) {
	return func(ctx context.Context, r store.ReadRequest) (store.Part, error) {
		var page store.Part
		events, err := change(func(ctx context.Context, r store.ReadRequest) (list []store.Recorded, err error) {
			page, err = b.Storage.ReadAll(ctx, r)
			return page.Events, err
		})(ctx, r)
		page.Events = events
		return page, err
	}
}

// changed makes every read of events change what it found.
func (b *broken) changed(change func(e *store.Recorded)) {
	page := func(read pageRead) pageRead {
		return func(ctx context.Context, r store.ReadRequest) ([]store.Recorded, error) {
			events, err := read(ctx, r)
			for i := range events {
				change(&events[i])
			}
			return events, err
		}
	}
	b.readStream, b.readAll = inStream(page, b), inAll(page, b)
	b.readEvent = func(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
		e, err := b.Storage.ReadEvent(ctx, id)
		if err == nil {
			change(&e)
		}
		return e, err
	}
}

// requested makes every append change its request.
func (b *broken) requested(change func(r *store.AppendRequest)) {
	b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
		events := make([]store.NewEvent, len(r.Events))
		copy(events, r.Events)
		r.Events = events
		change(&r)
		return b.Storage.Append(ctx, r)
	}
}

// version is a stream's version, 0 if it is absent.
func (b *broken) version(ctx context.Context, stream string) int64 {
	info, err := b.Storage.StreamInfo(ctx, stream)
	if err != nil {
		return 0
	}
	return info.Version
}

func (b *broken) exists(ctx context.Context, stream string) bool {
	_, err := b.Storage.StreamInfo(ctx, stream)
	return err == nil
}

// brokenTx is a broken storage that has transactions. bind breaks the storage that is bound to one.
type brokenTx struct {
	*broken
	real   store.Transactional
	bind   func(tx *sql.Tx, bound *broken)
	commit func(ctx context.Context, tx *sql.Tx) error
}

func (b *brokenTx) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	return b.real.BeginTx(ctx, opts)
}

func (b *brokenTx) CommitTx(ctx context.Context, tx *sql.Tx) error {
	if b.commit != nil {
		return b.commit(ctx, tx)
	}
	return b.real.CommitTx(ctx, tx)
}

func (b *brokenTx) WithTx(tx *sql.Tx) store.Storage {
	bound := newBroken(b.real.WithTx(tx))
	if b.bind != nil {
		b.bind(tx, bound)
	}
	return bound
}

// careless is a Store that does not do some of what it should before a call gets to the storage, or after.
type careless struct {
	face
	append   func(ctx context.Context, stream string, e store.Expected, events []store.Event) (store.AppendResult, error)
	all      func(ctx context.Context, appends []store.StreamAppend) ([]store.AppendResult, error)
	link     func(ctx context.Context, stream string, e store.Expected, ids []uuid.UUID) (store.AppendResult, error)
	delete   func(ctx context.Context, stream string, e store.Expected, kind store.DeleteKind) error
	undelete func(ctx context.Context, stream string, e store.Expected) error
	stream   func(ctx context.Context, stream string, o *store.ReadOptions) iter.Seq2[store.Recorded, error]
	page     func(ctx context.Context, stream string, o *store.ReadOptions) ([]store.Recorded, error)
	event    func(ctx context.Context, id uuid.UUID) (store.Recorded, error)
	head     func(ctx context.Context) (int64, error)
	info     func(ctx context.Context, stream string) (store.StreamInfo, error)
	streams  func(ctx context.Context, o *store.ListOptions) (store.StreamPage, error)
	types    func(list []store.TypeInfo) []store.TypeInfo
	inTx     func(ctx context.Context, f func(tx *sql.Tx) error) error
	hint     func()
	close    func() error

	recordSnapshot func(ctx context.Context, snapshot store.Snapshot) error
}

func (c *careless) RecordSnapshot(ctx context.Context, snapshot store.Snapshot) error {
	if c.recordSnapshot != nil {
		return c.recordSnapshot(ctx, snapshot)
	}
	return c.face.RecordSnapshot(ctx, snapshot)
}

func (c *careless) Append(ctx context.Context, stream string, e store.Expected, events ...store.Event) (store.AppendResult, error) {
	if c.append != nil {
		return c.append(ctx, stream, e, events)
	}
	return c.face.Append(ctx, stream, e, events...)
}

func (c *careless) AppendAll(ctx context.Context, appends ...store.StreamAppend) ([]store.AppendResult, error) {
	if c.all != nil {
		return c.all(ctx, appends)
	}
	return c.face.AppendAll(ctx, appends...)
}

func (c *careless) Link(ctx context.Context, stream string, e store.Expected, ids ...uuid.UUID) (store.AppendResult, error) {
	if c.link != nil {
		return c.link(ctx, stream, e, ids)
	}
	return c.face.Link(ctx, stream, e, ids...)
}

func (c *careless) Delete(ctx context.Context, stream string, e store.Expected, kind store.DeleteKind) error {
	if c.delete != nil {
		return c.delete(ctx, stream, e, kind)
	}
	return c.face.Delete(ctx, stream, e, kind)
}

func (c *careless) Undelete(ctx context.Context, stream string, e store.Expected) error {
	if c.undelete != nil {
		return c.undelete(ctx, stream, e)
	}
	return c.face.Undelete(ctx, stream, e)
}

func (c *careless) Stream(ctx context.Context, stream string, o *store.ReadOptions) iter.Seq2[store.Recorded, error] {
	if c.stream != nil {
		return c.stream(ctx, stream, o)
	}
	return c.face.Stream(ctx, stream, o)
}

func (c *careless) All(ctx context.Context, o *store.ReadOptions) iter.Seq2[store.Recorded, error] {
	return c.Stream(ctx, store.All, o)
}

func (c *careless) Page(ctx context.Context, stream string, o *store.ReadOptions) ([]store.Recorded, error) {
	if c.page != nil {
		return c.page(ctx, stream, o)
	}
	return c.face.Page(ctx, stream, o)
}

func (c *careless) Event(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
	return or(c.event, c.face.Event, ctx, id)
}

func (c *careless) Head(ctx context.Context) (int64, error) {
	if c.head != nil {
		return c.head(ctx)
	}
	return c.face.Head(ctx)
}

func (c *careless) StreamInfo(ctx context.Context, stream string) (store.StreamInfo, error) {
	return or(c.info, c.face.StreamInfo, ctx, stream)
}

func (c *careless) Streams(ctx context.Context, o *store.ListOptions) (store.StreamPage, error) {
	return or(c.streams, c.face.Streams, ctx, o)
}

func (c *careless) Types(ctx context.Context) ([]store.TypeInfo, error) {
	list, err := c.face.Types(ctx)
	if c.types != nil {
		list = c.types(list)
	}
	return list, err
}

func (c *careless) InTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	if c.inTx != nil {
		return c.inTx(ctx, f)
	}
	return c.face.InTx(ctx, f)
}

func (c *careless) Committed() {
	if c.hint != nil {
		c.hint()
		return
	}
	c.face.Committed()
}

func (c *careless) Close() error {
	if c.close != nil {
		return c.close()
	}
	return c.face.Close()
}
