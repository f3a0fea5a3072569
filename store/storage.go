package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// Storage is what a backend implements. [Store] validates arguments, fills in defaults, encodes and pages, so that a
// backend does none of it; each field below says what it may rely on.
//
// All methods may be called concurrently, must return an error that satisfies errors.Is(err, ctx.Err()) when ctx is
// done, and must not keep a slice they were given. Each write is atomic and judges the expected version under the
// stream's lock, in the same statement or transaction as the write (see [Expected.Judge]). Package conformance has a
// case for every duty.
type Storage interface {
	// Append adds the events at the end of the stream, creating it if need be.
	Append(ctx context.Context, r AppendRequest) (AppendResult, error)
	// Link adds the events with the given ids, in that order, at the end of the stream.
	Link(ctx context.Context, r LinkRequest) (AppendResult, error)
	// Delete removes a stream; a hard delete also the snapshot of its name, and what is parked of it or on it.
	Delete(ctx context.Context, r DeleteRequest) error
	// Undelete undoes the soft delete of a stream: its StreamInfo is then what it was before the delete.
	Undelete(ctx context.Context, r UndeleteRequest) error

	// ReadStream returns one page of a stream, made by [ReadRequest.Page]. Fewer than r.Limit events means that the stream
	// ends there, unless More is set. All events of a page belong to the same stream, even if another stream takes the name
	// during the call.
	// It returns ErrStreamNotFound or ErrStreamDeleted; if r.StreamID is set and the name belongs to another stream or to
	// none, it returns ErrStreamReplaced (see [ReadRequest.Judge]). An empty stream is an empty page.
	ReadStream(ctx context.Context, r ReadRequest) (StreamPart, error)
	// ReadAll returns one page of all events in their global order; r.Stream is not set. Fewer than r.Limit events
	// means the end, unless More is set. Outside a transaction it covers every event that was committed before the call.
	ReadAll(ctx context.Context, r ReadRequest) (Part, error)
	// ReadEvent returns the event with the given id, its Number set to its Version, or ErrEventNotFound.
	ReadEvent(ctx context.Context, id uuid.UUID) (Recorded, error)

	// Head returns the position of the last event of the global order, 0 if there never was one. Outside a transaction
	// it covers every event that was committed before the call.
	Head(ctx context.Context) (int64, error)
	// StreamInfo returns what is known of a stream, soft-deleted ones included, or ErrStreamNotFound.
	StreamInfo(ctx context.Context, stream string) (StreamInfo, error)
	// ListStreams returns one page of streams, soft-deleted ones included.
	ListStreams(ctx context.Context, r ListRequest) ([]StreamInfo, error)
	// CountStreams counts the streams that ListStreams would list with the same filter.
	CountStreams(ctx context.Context, f StreamFilter) (int64, error)

	// ReadSnapshot returns the snapshot of a source, or ErrSnapshotNotFound.
	ReadSnapshot(ctx context.Context, sourceID string) (RecordedSnapshot, error)
	// RecordSnapshot records a snapshot in place of the one before, if its version is not below that one's or r.Force is
	// set; otherwise it returns a SnapshotConflictError.
	RecordSnapshot(ctx context.Context, r SnapshotRequest) error
	// DeleteSnapshot deletes the snapshot of a source, if there is one.
	DeleteSnapshot(ctx context.Context, sourceID string) error
}

// NewEvent is an event on its way into a [Storage]. For backends.
type NewEvent struct {
	ID            uuid.UUID // never zero
	Type          string
	CausationID   uuid.UUID // zero if none
	CorrelationID uuid.UUID // zero if none
	ContentType   string    // see Recorded; empty if none
	Data          []byte
	Metadata      []byte    // nil if none
	CreatedAt     time.Time // UTC, whole microseconds; zero: the database's clock
}

// AppendRequest asks for an append. For backends.
//
// When an id is already in the store: if the events are those of one earlier append, all of them, in the same order,
// to the same stream, and at the versions this request could have given them, the request is a retry and the first
// result is returned again. Otherwise the version is judged first, and what is left is a DuplicateEventError. The Store
// compares what the events of a retry hold, so that a backend looks at ids only.
type AppendRequest struct {
	Stream   string
	Expected Expected   // set
	Events   []NewEvent // at least one, ids distinct
	// FreshIDs says that all ids were drawn just now, so that no earlier append has used them. A driver that sends a statement
	// again after its answer was lost can still make them known: a backend over such a driver looks before it refuses.
	FreshIDs bool
}

// MayBeRetry reports whether a first append under r.Expected could have given its first event the version first.
func (r AppendRequest) MayBeRetry(first int64) bool {
	v, ok := r.Expected.AsVersion()
	return !ok || v+1 == first
}

// ids returns the ids of the events.
func (r AppendRequest) ids() []uuid.UUID {
	ids := make([]uuid.UUID, len(r.Events))
	for i := range r.Events {
		ids[i] = r.Events[i].ID
	}
	return ids
}

// AppendResult says where an append or link put its events.
type AppendResult struct {
	Stream string
	// First and Last are the versions of the first and the last event written; Last is the stream's new version.
	First, Last int64
	// Retried says that the events were already there: this was a retry of an append that had succeeded, by the caller, or by
	// database/sql after the answer was lost.
	Retried bool
	// IDs are the ids of the events, in order: those that the caller gave, and those that the Store drew. A backend leaves them nil.
	IDs []uuid.UUID
}

// count is how many events were written, or had been.
func (r AppendResult) count() int {
	if r.Last == 0 {
		return 0
	}
	return int(r.Last - r.First + 1)
}

// LinkRequest asks for a link. For backends.
type LinkRequest struct {
	Stream   string
	Expected Expected    // set
	Events   []uuid.UUID // at least one, distinct
}

// DeleteKind is [SoftDelete] or [HardDelete].
type DeleteKind int

const (
	// SoftDelete hides the stream: it can't be read or written until [Store.Undelete]; [All] and links still show its events.
	SoftDelete DeleteKind = iota
	// HardDelete removes the stream, its events everywhere, and its own links; what it linked to stays. In the same
	// transaction it removes the snapshot whose source is called like the stream, and the events that projections and subscriptions have
	// parked of the stream, or on it. Other snapshots, subscriptions to the stream, read models and backups stay.
	HardDelete
)

// DeleteRequest asks for a delete. For backends. See [Expected.JudgeDelete].
type DeleteRequest struct {
	Stream   string
	Expected Expected // set
	Kind     DeleteKind
	// Disabled says that hard deletes are not enabled: a hard delete that would go ahead, or that would find no stream
	// (unless StreamExists was expected), returns ErrHardDeleteDisabled instead.
	Disabled bool
}

// Judge returns nil if the delete may go ahead, else the error it owes. For backends.
func (r DeleteRequest) Judge(s State) error {
	err := r.Expected.JudgeDelete(r.Stream, s, r.Kind)
	notFound := errors.Is(err, ErrStreamNotFound) && r.Expected != StreamExists
	if r.Disabled && r.Kind == HardDelete && (err == nil || notFound) {
		return &StreamError{Stream: r.Stream, Err: ErrHardDeleteDisabled}
	}
	return err
}

// UndeleteRequest asks for a soft-deleted stream to be shown again. For backends. See [Expected.JudgeUndelete].
type UndeleteRequest struct {
	Stream   string
	Expected Expected // set
}

// Judge returns nil if the undelete may go ahead, else the error to return. For backends.
func (r UndeleteRequest) Judge(s State) error { return r.Expected.JudgeUndelete(r.Stream, s) }

// ReadRequest asks for one page. For backends.
type ReadRequest struct {
	Stream   string
	StreamID int64 // id of the stream to read; 0: the stream that has the name
	From     int64 // first number wanted, inclusive; at least 1
	Limit    int   // at least 1
	Backward bool  // From downwards
	// Bytes is how many bytes the events of the page have at most, as [Recorded.Size] counts them; 0: any number. The page ends
	// before the first event that does not fit, but has at least one event: one that is larger than Bytes is a page by
	// itself. More says that the page ended so. The backend must not fetch the data of the events that it leaves out, so that
	// neither the database, nor the network, nor this process spends much more than Bytes on a page.
	Bytes int
	// Overlap says that the caller has the event at From and needs only its ID. That event does not count for Bytes: the page has at
	// least one event beside it, if there is one. The backend may leave out its data and metadata.
	Overlap bool
	// ChosenOnly says that [SubscriptionStorage].ReadFiltered returns no event that the filter leaves out. Other calls ignore it.
	ChosenOnly bool
}

// Fits reports whether an event of size bytes fits into a page that has n events with so many bytes. With Overlap, the event at
// From is not among the n. For backends.
func (r ReadRequest) Fits(n, bytes, size int) bool {
	return n == 0 || r.Bytes == 0 || bytes+size <= r.Bytes
}

// Overlaps reports whether the event with that number is the one that the caller has. For backends.
func (r ReadRequest) Overlaps(number int64) bool { return r.Overlap && number == r.From }

// Judge returns nil if the stream that has the name may be read, else the error to return. The zero StreamInfo means that
// no stream has the name. For backends.
func (r ReadRequest) Judge(s StreamInfo) error {
	switch {
	case r.StreamID != 0 && r.StreamID != s.ID:
		return &StreamError{Stream: r.Stream, Err: ErrStreamReplaced}
	case s.ID == 0:
		return &StreamError{Stream: r.Stream, Err: ErrStreamNotFound}
	case s.Status() == Deleted:
		return &StreamError{Stream: r.Stream, Err: ErrStreamDeleted}
	}
	return nil
}

// Part is a page of all events, or of those of a correlation. For backends.
type Part struct {
	Events []Recorded
	// More says that the page has fewer events than it could because of the request's Bytes: it does not end at the end. A page
	// with More is not empty.
	More bool
}

// StreamPart is a page of a stream. For backends.
type StreamPart struct {
	Part
	Seen
}

// Page returns the page with the given events. Version must be the stream's version at the time of the read or before it,
// never after it: a later version would cover events that the page does not have. For backends.
func (r ReadRequest) Page(streamID, version int64, part Part) StreamPart {
	events, n := part.Events, len(part.Events)
	switch {
	case r.Backward:
		version = min(version, r.From)
		if n > 0 {
			version = max(version, events[0].Number)
		}
	case n == r.Limit || part.More:
		version = events[n-1].Number
	case n > 0:
		version = max(version, events[n-1].Number)
	}
	return StreamPart{part, Seen{streamID, version}}
}

// StreamStatus is the status of a stream.
type StreamStatus string

const (
	// Active streams can be read and written.
	Active StreamStatus = "active"
	// Deleted streams are soft deleted.
	Deleted StreamStatus = "deleted"
)

// StreamInfo is what is known of a stream.
type StreamInfo struct {
	Stream    string
	ID        int64 // the backend's own number, from 1, another one when a stream is created again; 0 for All
	Version   int64 // number of its last event, own or linked, deleted or not; for All, the head
	CreatedAt time.Time
	DeletedAt time.Time // zero unless soft deleted
}

// Status returns whether the stream is soft deleted.
func (i StreamInfo) Status() StreamStatus {
	if i.DeletedAt.IsZero() {
		return Active
	}
	return Deleted
}

// StreamFilter chooses streams.
type StreamFilter struct {
	Search string       // part of the name, case-sensitive, taken literally; "" for all
	Status StreamStatus // "" for all
}

// SortBy is a key that streams are listed by. Ties are broken by id.
type SortBy string

// Keys to list streams by. Names compare byte by byte; streams never deleted sort after all others by SortDeleted.
const (
	SortID      SortBy = "id"
	SortName    SortBy = "name"
	SortVersion SortBy = "version"
	SortCreated SortBy = "created"
	SortDeleted SortBy = "deleted"
)

// ListRequest asks for one page of streams. For backends.
type ListRequest struct {
	StreamFilter
	SortBy     SortBy // set
	Descending bool   // both the key and, for ties, the id
	Limit      int    // at least 1
	Offset     int    // at least 0; 0 if After is set
	// After is the last stream of the page before; nil to start at the first. Only its key and ID are looked at.
	After *StreamInfo
}

// SnapshotRequest asks a [Storage] to record a snapshot. For backends.
type SnapshotRequest struct {
	SourceID       string
	Version        int64
	Type           string
	ContentType    string // see Recorded; empty if none
	Data, Metadata []byte // Metadata is nil if there is none
	Force          bool
}

// RecordedSnapshot is a snapshot as stored.
type RecordedSnapshot struct {
	SourceID    string
	Version     int64
	Type        string
	ContentType string    // as in [Recorded]
	Data        []byte    // as encoded; Decode makes a value of it
	Metadata    []byte    // as encoded; nil if none
	CreatedAt   time.Time // UTC, when it was recorded, on the database's clock

	codec *codec
}

// Decode is [Recorded.Decode], upcasters included.
func (s RecordedSnapshot) Decode(into any) error { return s.recorded().Decode(into) }

// DecodeMetadata is [Recorded.DecodeMetadata].
func (s RecordedSnapshot) DecodeMetadata(into any) error { return s.recorded().DecodeMetadata(into) }

// recorded returns s as the event that it is for a serializer.
func (s RecordedSnapshot) recorded() Recorded {
	return Recorded{
		Stream: s.SourceID, Version: s.Version, Type: s.Type, ContentType: s.ContentType, Data: s.Data, Metadata: s.Metadata, codec: s.codec,
	}
}
