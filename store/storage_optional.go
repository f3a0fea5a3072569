package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Transactional is implemented by a [Storage] that keeps its events in a database/sql database.
type Transactional interface {
	// BeginTx begins a transaction on the backend's own database.
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
	// CommitTx commits a transaction begun by BeginTx. The error is ErrRetryTx where that is what to do.
	CommitTx(ctx context.Context, tx *sql.Tx) error
	// WithTx returns a Storage whose statements all run in tx. It never ends tx, changes no session state, and opens
	// no other connection.
	WithTx(tx *sql.Tx) Storage
}

// MultiAppender is implemented by a [Storage] that appends to several streams at once.
type MultiAppender interface {
	// AppendAll makes all appends of list, or none, as one atomic write. There are at least two, each to another stream, and all ids are
	// distinct. The results are in the order of list.
	//
	// If each append by itself is a retry, see [AppendRequest], it returns the first results with Retried set. Otherwise it judges the
	// versions of all streams, retries or not, and returns the error of the first in list that is not as expected; then it returns a
	// [DuplicateEventError] for the first id that is in the store.
	//
	// Positions of the events of one append are adjacent, and above those of the events of an append before it in list. Concurrent calls
	// with the same streams in another order must not fail with a deadlock. Outside of a transaction, a call that waits for one stream must
	// not hold the others for longer than a moment. In a transaction, a refused call must leave nothing behind.
	AppendAll(ctx context.Context, list []AppendRequest) ([]AppendResult, error)
}

// PastStorage is implemented by a [Storage] that finds where All, or a stream, ended in the past.
type PastStorage interface {
	// PositionAt returns the last position that was given before t, or 0 if none was; see [Store.PositionAt]. t is in UTC and in whole
	// microseconds, from 1970 to 9999. Times of positions are the
	// storage's own: they never go back as positions go up, and CreatedAt does not count. Outside a transaction it covers every event
	// that was committed before the call.
	PositionAt(ctx context.Context, t time.Time) (int64, error)
	// VersionAt returns the version of the last own event of the stream at or below the position, or 0 if there is none. Links have no
	// position. Events that have none yet are behind every position. It returns ErrStreamNotFound or ErrStreamDeleted. It must not read
	// in proportion to the events of the stream. Outside a transaction it covers every event that was committed before the call.
	VersionAt(ctx context.Context, stream string, position int64) (int64, error)
}

// CorrelationStorage is implemented by a [Storage] that finds the events of a correlation.
type CorrelationStorage interface {
	// ReadCorrelation returns a page of the events that have the CorrelationID, in their global order. Fewer than r.Limit
	// events means the end, unless More is set. It returns ErrNotIndexed rather than look at every event there is. Reading all
	// pages of a correlation must cost no more than in proportion to its events.
	ReadCorrelation(ctx context.Context, r CorrelationRequest) (CorrelationPart, error)
}

// CorrelationRequest asks for a page of the events of a correlation. For backends.
type CorrelationRequest struct {
	CorrelationID uuid.UUID // not zero
	From          int64     // first position wanted; at least 1
	Limit         int       // at least 1
	Bytes         int       // see [ReadRequest]
	// Rest is that of the page before, which ended right before From; nil for the first page.
	Rest any
}

// CorrelationPart is a page of the events of a correlation. For backends.
type CorrelationPart struct {
	Part
	// Rest is what the backend wants to be given with the request for the next page, such as what it knows of the events behind
	// this one; or nil.
	Rest any
}

// TypeStorage is implemented by a [Storage] that lists event types in the database.
type TypeStorage interface {
	// ListTypes does what [Store.Types] says. Outside a transaction it covers every event that was committed before the call.
	ListTypes(ctx context.Context) ([]TypeInfo, error)
}

// TypeInfo is an event type, how many events have it, and the first and the last of them in the order of [All].
type TypeInfo struct {
	Type   string
	Events int64
	// First and Last are positions, FirstAt and LastAt the CreatedAt of the events there.
	First, Last     int64
	FirstAt, LastAt time.Time
}

// TypeIndex is implemented by a [Storage] that can have an index of event types. The Store asks it where a read of all events with a filter
// of types has far to go.
type TypeIndex interface {
	// ReadTyped returns a page of those events of All that have the types and the prefix, found by their types: it looks at no others. Reading all
	// pages must cost no more than in proportion to the events that have the types.
	ReadTyped(ctx context.Context, r TypedRequest) (TypedPart, error)
}

// TypedRequest asks for a page of the events of some types. For backends.
type TypedRequest struct {
	// Types are the types wanted, at least one, each once; StreamPrefix is what the names of the streams begin with. See [EventFilter].
	Types        []string
	StreamPrefix string
	From         int64 // first position wanted, inclusive; at least 1
	Backward     bool  // From downwards
	Limit        int   // at least 1
	Bytes        int   // see [ReadRequest]
	// Rest is that of the page before, which ended right before From; nil for the first page.
	Rest any
}

// TypedPart is a page of the events of some types. For backends.
type TypedPart struct {
	Events []Recorded
	// Next is the first position, in the direction of the read, that was not looked at, as of
	// [SubscriptionStorage].ReadFiltered.
	Next int64
	// Rest is what the backend wants to be given with the request for the next page; nil if it has nothing behind this one.
	Rest any
	// Unsuited says that there is no index, or that so many events have the types that it is better to look at all. Then nothing was read.
	Unsuited bool
}

// CheckpointBatcher is implemented by a [SubscriptionStorage] that saves the checkpoints of several subscriptions at the
// price of one.
type CheckpointBatcher interface {
	// SaveCheckpoints is SaveCheckpoint for each of list, which has no subscription twice. refused has an error for each
	// that was not saved, at its place in list, and nil for the others; it is nil if all were saved.
	SaveCheckpoints(ctx context.Context, list []CheckpointRequest) (refused []error, err error)
}

// DeadlockDetector is implemented by a [ProjectionStorage] whose transactions lock the database for every other writer.
// It also returns [ErrSelfDeadlock] for a write with the context of a handler (see [TxFrom]) outside the handler's transaction.
type DeadlockDetector interface {
	// SelfDeadlock reports whether err, which the handler returned, is of a statement outside tx that waited for a lock that
	// tx holds.
	SelfDeadlock(ctx context.Context, tx *sql.Tx, err error) bool
}

// Ticker is implemented by a [Storage] that gives events their positions after the commit. A Store with a [Notifier] then calls Tick
// after its own commits, in the background, so that readers in other processes are told. A Storage that implements it does what
// [Storage.ReadAll] and [Storage.Head] owe all the same: it gives positions before it reads.
type Ticker interface {
	// Tick gives the events committed before the call their positions, and returns how many appends or links got theirs. It has
	// readers in other processes told if there were any. In a transaction it does nothing. It may be called concurrently.
	Tick(ctx context.Context) (placed int64, err error)
}

// Poller is implemented by a [Storage] that tells a reader in one round trip whether there is anything new. Without it, the Store reads
// a page.
type Poller interface {
	// Poll returns where the stream [All] ends, as [Storage.Head] does, and the id of the event at a position: zero if there is none.
	Poll(ctx context.Context, position int64) (head int64, at uuid.UUID, err error)
	// PollKey is equal, by ==, for storages that have the same events. Stores of a process with equal keys poll together: also what one
	// has read by StreamVersions serves the others. A Storage that wraps another, and answers otherwise, needs a key of its own.
	PollKey() any
}

// ParallelReader is implemented by a [Storage] that gains from reading several pages of a stream at the same time.
type ParallelReader interface {
	// ParallelReads is how many pages one reader may have on their way beside the one that its caller works on. It is 0
	// in a transaction, which has one connection, and where readers would wait for each other.
	ParallelReads() int
}

// Recycler is implemented by a [Storage] that makes new pages of the memory of old ones.
type Recycler interface {
	// Recycle is given a page that ReadStream, ReadAll or ReadFiltered returned, when nobody uses it any more. Copies of its events are still
	// in use, so that what they point to must stay as it is: their data, metadata and strings. It must not block, nor call the
	// Store: locks may be held.
	Recycle(page []Recorded)
}

// Checker is implemented by a [Storage] that has something to look at before it can be used, such as tables. See
// [Store.Check].
type Checker interface {
	// Check returns why the storage can't be used: an error that is ErrSchema if the tables are missing or old. JSONOnly
	// then goes by what is there.
	Check(ctx context.Context) error
}

// WriteChecker is implemented by a [Storage] whose database may take no writes, such as a standby. See [Store.Check].
type WriteChecker interface {
	// CheckWrites returns an error that is ErrReadOnly if that is so. It writes nothing.
	CheckWrites(ctx context.Context) error
}

// Replicated is implemented by a [Storage] whose database may have a replica: a copy that follows it, and may lag, such as a streaming
// standby. See [Store.Primary] for which calls of a Store read the replica.
type Replicated interface {
	// Replica returns a Storage that reads the replica, or nil if there is none. [New] asks once. The Store uses its reads only: those
	// of Storage, ReadFiltered, ReadCorrelation, ReadTyped, ListTypes, PositionAt, VersionAt and ParallelReads.
	//
	// A page must be of one moment. The next call may be answered by an earlier one, as where several standbys share an address. The
	// replica gives no positions, and writes nothing. Every error of its database must be [ErrReplica]; what it finds out about events and
	// streams must not be.
	Replica() Storage
}

// JSONOnly is implemented by a [Storage] that may take JSON only. It refuses other events with an [InvalidError].
type JSONOnly interface {
	JSONOnly() bool
}

// NotJSON is the reason why a [Storage] that takes JSON only refuses a content type. For backends.
func NotJSON(contentType string) string {
	return fmt.Sprintf("encodes as %q, but the columns of this schema take JSON only: use a JSON serializer without compression and encryption, or a schema with columns of bytes", contentType)
}
