package store

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// Sentinels, for errors.Is. Where there is more to know, the error is also one of the types below, for errors.As.
var (
	// ErrInvalid is returned when an argument breaks a stated limit, before anything is sent. See [InvalidError].
	ErrInvalid = errors.New("invalid argument")
	// ErrReservedStream is returned for a write to a stream whose name starts with "$". It is an [ErrInvalid] too.
	ErrReservedStream = errors.New("stream names starting with $ are reserved")
	// ErrWrongExpectedVersion is returned when the expected version did not hold. See [WrongExpectedVersionError].
	ErrWrongExpectedVersion = errors.New("wrong expected version")
	// ErrStreamExists is returned, with ErrWrongExpectedVersion, when [NoStream] was expected of a stream that has events.
	ErrStreamExists = errors.New("stream exists")
	// ErrStreamNotFound is returned when the stream does not exist; with ErrWrongExpectedVersion when [StreamExists] was expected.
	ErrStreamNotFound = errors.New("stream not found")
	// ErrStreamReplaced is returned by a read whose stream was hard deleted before the read ended, whether or not a new
	// stream has the name, and by a read with [ReadOptions].StreamID if the name belongs to another stream or to none. Read
	// again from the start.
	ErrStreamReplaced = errors.New("stream was hard deleted")
	// ErrStreamDeleted is returned for a read of, or a write to, a soft-deleted stream.
	ErrStreamDeleted = errors.New("stream is deleted")
	// ErrStreamNotDeleted is returned by Undelete for a stream that is not soft deleted.
	ErrStreamNotDeleted = errors.New("stream is not soft deleted")
	// ErrDuplicateEvent is returned when an event id is already in the store, unless the append is a retry (or when an event is
	// already in the stream it is linked to). See [DuplicateEventError].
	ErrDuplicateEvent = errors.New("duplicate event")
	// ErrEventNotFound is returned when no event has the given id. See [EventNotFoundError].
	ErrEventNotFound = errors.New("event not found")
	// ErrHardDeleteDisabled is returned for a hard delete that would have gone ahead, had [Options].HardDelete been set.
	ErrHardDeleteDisabled = errors.New("hard delete is not enabled in the store's options")
	// ErrNoTransactions is returned from every call on a Store that WithTx made over a backend without transactions, or with a kind of
	// transaction that the backend does not have. If the handler of a projection returns it, Project does, too.
	ErrNoTransactions = errors.New("this backend has no transactions")
	// ErrRetryTx is returned when the database gave up this transaction for the sake of another (a serialization
	// failure at REPEATABLE READ and above, or a deadlock): roll back and run the transaction again.
	ErrRetryTx = errors.New("transaction must be rolled back and run again")
	// ErrSelfDeadlock is returned from Project, and from a write in its handler, when the handler writes outside its transaction
	// to a database that has one writer at a time, as SQLite: the write waits for the transaction, and the transaction for the
	// handler. Write through the handler's tx, and append with [Store.WithTx].
	ErrSelfDeadlock = errors.New("the handler of a projection waits for the lock that its own transaction holds; use tx and es.WithTx(tx) in it, not db and es")
	// ErrTimeout is returned when the database ended a statement that took too long, by its statement_timeout, or that was cancelled
	// there. Where a page of events takes too long, the Store reads half of it, down to one event, before it returns the error.
	ErrTimeout = errors.New("statement took too long")
	// ErrIsolation is returned from a hard delete in a caller's transaction at REPEATABLE READ or above on PostgreSQL: it needs
	// READ COMMITTED. The transaction can only be rolled back, and running it again at the same level fails again.
	ErrIsolation = errors.New("transaction must be at READ COMMITTED")
	// ErrSchema is returned when the database lacks the tables this version needs. See [SchemaError].
	ErrSchema = errors.New("database schema does not fit")
	// ErrImporting is returned for a write while an import into the store is unfinished: nothing was written. Finish the import,
	// or clear it away with `eventstore import --abandon`. A subscription waits until then.
	ErrImporting = errors.New("an import into the store is unfinished: finish it, or run eventstore import --abandon")
	// ErrUnsupportedDatabase is returned when the database can't hold a store at all, such as PostgreSQL before version 14, SQLite before 3.38,
	// a server that is not PostgreSQL, or foreign tables.
	ErrUnsupportedDatabase = errors.New("unsupported database")
	// ErrNoNotifications is returned by [Notifier].Listen when the notifier has notified itself and heard nothing: as behind a pooler in
	// transaction mode, where LISTEN goes nowhere. The Store logs it, and finds new events by polling.
	ErrNoNotifications = errors.New("notifications do not arrive")
	// ErrPositionLost is returned when a reader says that it has already read something the store does not have: events
	// were lost behind its back, as in a failover to a standby that lagged. See [PositionLostError].
	ErrPositionLost = errors.New("position lost")
	// ErrLeaseHeld is returned when another Store runs the subscription.
	ErrLeaseHeld = errors.New("lease is held by another owner")
	// ErrLeaseLost is returned from a subscription that another Store has taken over, or that was reset or deleted: what
	// this one was dealing with is delivered again there.
	ErrLeaseLost = errors.New("lease lost")
	// ErrTooManySubscribers is returned when the subscription has as many subscribers in this process as its
	// ConcurrencyLimit allows.
	ErrTooManySubscribers = errors.New("too many subscribers")
	// ErrSubscriberClosed is returned from a subscriber that was closed.
	ErrSubscriberClosed = errors.New("subscriber is closed")
	// ErrUnexpectedAck is returned when an event is acknowledged, or given back, that the subscriber does not have in
	// flight: nothing has changed. See [UnexpectedAckError].
	ErrUnexpectedAck = errors.New("unexpected acknowledgement")
	// ErrTooSlow is returned from a watcher that did not keep up: events behind the last one it got are missing.
	ErrTooSlow = errors.New("watcher is too slow")
	// ErrSubscriptionNotFound is returned when there is no subscription of that name on the stream.
	ErrSubscriptionNotFound = errors.New("subscription not found")
	// ErrProjectionNotFound is returned when there is no projection of that name. See [ProjectionError].
	ErrProjectionNotFound = errors.New("projection not found")
	// ErrProjectionReplaced is returned when another projection has taken this one's place.
	ErrProjectionReplaced = errors.New("projection was replaced by another")
	// ErrProjectionRuns is returned when this Store runs the projection already.
	ErrProjectionRuns = errors.New("projection runs in this Store already")
	// ErrParked is returned by WaitFor when the projection has parked what is waited for, and by ReplaceProjection when the
	// projection that is to take over has parked events. See [ParkedError].
	ErrParked = errors.New("event is parked")
	// ErrNoParking is returned when an event is to be parked for Consume, or parked events of a subscription are asked for, and the
	// backend keeps none, or the subscription is transient.
	ErrNoParking = errors.New("events of this subscription can't be parked: its backend has no ParkedStorage, or it is transient")
	// ErrSnapshotNotFound is returned for a source without a snapshot.
	ErrSnapshotNotFound = errors.New("snapshot not found")
	// ErrSnapshotConflict is returned when a newer snapshot is there than the one to be recorded. See [SnapshotConflictError].
	ErrSnapshotConflict = errors.New("newer snapshot exists")
	// ErrNotIndexed is returned by Correlation as long as the backend has no index of correlations.
	ErrNotIndexed = errors.New("correlations are not indexed: call the backend's IndexCorrelations once")
	// ErrReadOnly is returned for a write to a database that takes none: it is a standby, or the file, the session or the transaction is
	// read-only. [Store.Check] returns it, too, after everything else was found to be right: a program that only reads may go on.
	// Subscribe, Consume and Project return it if they meet with it first; later it may be a failover, and they wait until it is over.
	ErrReadOnly = errors.New("the database takes no writes")
	// ErrReplica is returned when the replica that reads go to can't be read, lags too much for a subscription, or does not follow the
	// primary. The primary is not read instead: ask [Store.Primary]. A subscription waits until it is over. See [ReplicaLagError].
	ErrReplica = errors.New("the replica can't be read")
	// ErrClosed is returned from every call on a closed Store, or on a Store whose backend or *sql.DB was closed.
	ErrClosed = errors.New("store is closed")
	// ErrUnregisteredType is returned by [As], and by a [Router] with a handler added by [On], for a Go type that no event decodes
	// to. See [UnregisteredTypeError].
	ErrUnregisteredType = errors.New("unregistered Go type")
	// ErrUnknownType is returned by Decode when the serializer does not know the event's type.
	ErrUnknownType = errors.New("unknown event type")
	// ErrUnknownVersion is returned by Decode, [As] and a [Router] when the serializer knows the event's type but not how to make
	// a value of this version of it: a newer program wrote the event, or a registration or an upcaster is missing. It is not
	// ErrUnknownType, so that code that passes over other types does not pass over such an event. A subscription or projection
	// waits at it, see [RetryThen].
	ErrUnknownVersion = errors.New("unknown version of an event type")
	// ErrContentType is returned by Decode when the serializer does not know how the event is encoded. See [ContentTypeError].
	ErrContentType = errors.New("unknown content type")
	// ErrSplit is returned by Decode when the event stands for another number of values than one: see [Recorded.Values].
	ErrSplit = errors.New("event is not one value")
	// ErrForgotten is returned by Decode when the key that the data was encrypted with was deleted.
	ErrForgotten = errors.New("event is forgotten")
	// ErrDecode is returned when stored bytes do not decode. See [DecodeError].
	ErrDecode = errors.New("event does not decode")
)

// isOfStream reports whether an error says that the stream is not there, or not to be read.
func isOfStream(err error) bool {
	return errors.Is(err, ErrStreamNotFound) || errors.Is(err, ErrStreamDeleted) || errors.Is(err, ErrStreamReplaced)
}

// WrongExpectedVersionError says what was believed and what was true. It is [ErrWrongExpectedVersion], and also
// [ErrStreamExists] if NoStream was expected, or [ErrStreamNotFound] if StreamExists was.
type WrongExpectedVersionError struct {
	Stream   string
	Expected Expected
	Actual   int64 // the stream's version; 0 if it is absent or empty
}

func (e *WrongExpectedVersionError) Error() string {
	return fmt.Sprintf("store: %q: want %s, stream is at version %d", e.Stream, e.Expected, e.Actual)
}

// Is matches the sentinels named in the type's comment.
func (e *WrongExpectedVersionError) Is(target error) bool {
	return target == ErrWrongExpectedVersion ||
		target == ErrStreamExists && e.Expected == NoStream ||
		target == ErrStreamNotFound && e.Expected == StreamExists
}

// StreamError is [ErrStreamNotFound], [ErrStreamReplaced], [ErrStreamDeleted], [ErrStreamNotDeleted] or [ErrHardDeleteDisabled] with the
// stream's name.
type StreamError struct {
	Stream string
	Err    error
}

func (e *StreamError) Error() string { return fmt.Sprintf("store: %q: %v", e.Stream, e.Err) }
func (e *StreamError) Unwrap() error { return e.Err }

// DuplicateEventError is [ErrDuplicateEvent] with the id that was there already.
type DuplicateEventError struct {
	Stream string // the stream being written
	ID     uuid.UUID
	// Differs is "type" or "data" if the append would be a retry, but gives this event another type or other data than recorded;
	// else it is empty.
	Differs string
}

func (e *DuplicateEventError) Error() string {
	if e.Differs != "" {
		return fmt.Sprintf("store: %q: event %s is already there with another value of %s: draw a new id", e.Stream, e.ID, e.Differs)
	}
	return fmt.Sprintf("store: %q: event %s is already there", e.Stream, e.ID)
}

// Is matches [ErrDuplicateEvent].
func (e *DuplicateEventError) Is(target error) bool { return target == ErrDuplicateEvent }

// EventNotFoundError is [ErrEventNotFound] with the first id that was not found.
type EventNotFoundError struct{ ID uuid.UUID }

func (e *EventNotFoundError) Error() string { return fmt.Sprintf("store: event %s not found", e.ID) }

// Is matches [ErrEventNotFound].
func (e *EventNotFoundError) Is(target error) bool { return target == ErrEventNotFound }

// InvalidError is [ErrInvalid] with the field that broke a limit and the limit.
type InvalidError struct {
	Field  string // as in "stream", "events[3].type", "limit"
	Reason string
	Err    error // a more particular sentinel, or nil
}

func (e *InvalidError) Error() string { return fmt.Sprintf("store: %s: %s", e.Field, e.Reason) }
func (e *InvalidError) Unwrap() error { return e.Err }

// Is matches [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// SchemaError is [ErrSchema] with what is there, what is needed, and what to run.
type SchemaError struct {
	Have, Want int    // migration versions; Have is 0 if there is none
	Oldest     int    // if Have is above Want: the version that a program must want at least to work with the tables
	Renamed    bool   // the tables stand under another name than when they were made
	Advice     string // what to run
}

func (e *SchemaError) Error() string {
	if e.Renamed {
		return "store: the store has been renamed: " + e.Advice
	}
	if e.Have == 0 {
		return "store: the store's tables are missing: " + e.Advice
	}
	if e.Have > e.Want {
		return fmt.Sprintf("store: the store's tables are at version %d and need a program for version %d, this one is for %d: %s", e.Have, e.Oldest, e.Want, e.Advice)
	}
	return fmt.Sprintf("store: the store's tables are at version %d, this program needs %d: %s", e.Have, e.Want, e.Advice)
}

// Is matches [ErrSchema].
func (e *SchemaError) Is(target error) bool { return target == ErrSchema }

// PositionLostError is [ErrPositionLost]: the reader had read up to After, but the store ends at Head.
type PositionLostError struct {
	Stream      string // a stream's name, or All
	After, Head int64
	// Replaced says that the store reaches as far, but has another event at a position that was read: those that the reader
	// has seen were lost, and others were appended in their places.
	Replaced bool
}

func (e *PositionLostError) Error() string {
	if e.Replaced {
		return fmt.Sprintf("store: %q: the reader has seen position %d, but another event is there now: %s", e.Stream, e.After, positionLost)
	}
	return fmt.Sprintf("store: %q: the reader has seen %d, but the store ends at %d: %s", e.Stream, e.After, e.Head, positionLost)
}

const positionLost = "events were lost, as in a failover to a standby that lagged; read again from the last checkpoint that the store has"

// Is matches [ErrPositionLost].
func (e *PositionLostError) Is(target error) bool { return target == ErrPositionLost }

// ProjectionError says which projection an error is of: it wraps the reason.
type ProjectionError struct {
	Projection string
	Err        error
}

func (e *ProjectionError) Error() string {
	return fmt.Sprintf("store: projection %q: %v", e.Projection, e.Err)
}
func (e *ProjectionError) Unwrap() error { return e.Err }

// ParkedError is [ErrParked] with how many events the projection has parked.
type ParkedError struct {
	Projection string
	Count      int64
}

func (e *ParkedError) Error() string {
	return fmt.Sprintf("store: projection %q has parked %d events: replay or discard them first, or allow them", e.Projection, e.Count)
}

// Is matches [ErrParked].
func (e *ParkedError) Is(target error) bool { return target == ErrParked }

// SnapshotNotFoundError says which source has no snapshot. It is [ErrSnapshotNotFound].
type SnapshotNotFoundError struct{ SourceID string }

func (e *SnapshotNotFoundError) Error() string { return fmt.Sprintf("%q has no snapshot", e.SourceID) }

// Is matches [ErrSnapshotNotFound].
func (e *SnapshotNotFoundError) Is(target error) bool { return target == ErrSnapshotNotFound }

// SnapshotConflictError says which snapshot was not recorded, and what is there. It is [ErrSnapshotConflict].
type SnapshotConflictError struct {
	SourceID string
	Version  int64 // of the snapshot that was to be recorded
	Recorded int64 // of the one that is there
}

func (e *SnapshotConflictError) Error() string {
	return fmt.Sprintf("snapshot of %q: version %d is recorded already, and %d is older: nothing was written", e.SourceID, e.Recorded, e.Version)
}

// Is matches [ErrSnapshotConflict].
func (e *SnapshotConflictError) Is(target error) bool { return target == ErrSnapshotConflict }

// ContentTypeError says that a serializer can't decode what another one has encoded. It is [ErrContentType].
type ContentTypeError struct{ ContentType string }

func (e *ContentTypeError) Error() string {
	return fmt.Sprintf("content type %q is not known: give the Store a serializer that decodes it", e.ContentType)
}

// Is matches [ErrContentType].
func (e *ContentTypeError) Is(target error) bool { return target == ErrContentType }

// UnregisteredTypeError is [ErrUnregisteredType] with the Go type, and why the Store's serializer makes no value of it. It is a mistake
// in the program, which no event and no retry mends: Consume and Project end with it, without asking OnError.
type UnregisteredTypeError struct {
	GoType string // as in "main.OrderPlaced"
	Reason string // with what to do
}

func (e *UnregisteredTypeError) Error() string {
	return fmt.Sprintf("store: no event decodes to a %s: %s", e.GoType, e.Reason)
}

// Is matches [ErrUnregisteredType].
func (e *UnregisteredTypeError) Is(target error) bool { return target == ErrUnregisteredType }

// DecodeError says which event did not decode. It is [ErrDecode] and wraps the serializer's error, which is
// [ErrUnknownType] where the type is not registered, and [ErrUnknownVersion] where it is, but not in the event's version.
type DecodeError struct {
	ID      uuid.UUID
	Stream  string
	Version int64
	Type    string
	Field   string // "data" or "metadata"
	Err     error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("store: decode %s of event %s (%q in %q, version %d): %v", e.Field, e.ID, e.Type, e.Stream, e.Version, e.Err)
}
func (e *DecodeError) Unwrap() error { return e.Err }

// Is matches [ErrDecode].
func (e *DecodeError) Is(target error) bool { return target == ErrDecode }

// ReplicaLagError is [ErrReplica]: a subscription has read the replica up to Position and finds nothing behind it for a PollInterval,
// although the primary ends at Head.
type ReplicaLagError struct{ Position, Head int64 }

func (e *ReplicaLagError) Error() string {
	return fmt.Sprintf("store: %v: it shows nothing behind position %d, but the primary ends at %d: it lags or has stopped to follow; "+
		"see whether it is connected, and whether its replay is paused", ErrReplica, e.Position, e.Head)
}

// Is matches [ErrReplica].
func (e *ReplicaLagError) Is(target error) bool { return target == ErrReplica }
