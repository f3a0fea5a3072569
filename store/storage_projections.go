package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
)

// ProjectionStorage is implemented by a [Transactional] storage that keeps projections. A partition of a projection is
// a persistent subscription, with a checkpoint and a lease; what is here is what a projection has beside.
//
// Each method is atomic. Methods may be called concurrently. On a Storage that WithTx returned they run in that
// transaction, and what they lock stays locked until it ends.
type ProjectionStorage interface {
	SubscriptionStorage
	Transactional

	// Advance is SaveCheckpoint in the transaction that has applied the events up to the checkpoint. It is judged by
	// [AdvanceRequest.Judge]. If r.From is 0, an error about a number that is not above the checkpoint is over.
	Advance(ctx context.Context, r AdvanceRequest) error
	// AddSubscriptions creates subscriptions that nobody runs, which must not be there yet.
	AddSubscriptions(ctx context.Context, ids []SubscriptionID, checkpoint, streamID int64) error
	// RemoveSubscriptions removes those of the subscriptions that are there, and returns what they were at. Whoever runs
	// one is fenced off.
	RemoveSubscriptions(ctx context.Context, ids []SubscriptionID) ([]Lease, error)

	// AddProjection adds a projection unless there is one of that name, and reports whether it did.
	AddProjection(ctx context.Context, p ProjectionRecord) (added bool, err error)
	// LockProjection returns a projection, which nobody else changes until the transaction ends, or ErrProjectionNotFound.
	LockProjection(ctx context.Context, name string) (ProjectionRecord, error)
	// SaveProjection changes a projection that was locked.
	SaveProjection(ctx context.Context, p ProjectionRecord) error
	// ReadProjections returns the projection called name, if there is one; with "" all, by name.
	ReadProjections(ctx context.Context, name string) ([]ProjectionRecord, error)
	// RemoveProjection removes a projection, what is parked, and its members. That there is none is no error.
	RemoveProjection(ctx context.Context, name string) error

	// JoinProjection notes that owner is there for ttl from now to run a projection, and returns all who are.
	JoinProjection(ctx context.Context, name, owner string, ttl time.Duration) (members []string, err error)
	// LeaveProjection notes that owner is not there any more.
	LeaveProjection(ctx context.Context, name, owner string) error

	// Park parks events. It replaces one of the same id that is parked: its stream was hard deleted, and the id used again.
	Park(ctx context.Context, events []ParkedEvent) error
	// Unpark removes parked events by id, and returns how many were there.
	Unpark(ctx context.Context, projection string, ids []uuid.UUID) (int64, error)
	// ReleaseParked makes parked events by id count as not failed, and returns how many were there.
	ReleaseParked(ctx context.Context, projection string, ids []uuid.UUID) (int64, error)
	// ReadParked returns a page of parked events, by number and id.
	ReadParked(ctx context.Context, r ParkedRequest) ([]ParkedEvent, error)
	// ParkedKeys returns the keys that have parked events in a partition.
	ParkedKeys(ctx context.Context, projection string, partition, partitions int) ([]string, error)
	// CountParked returns how many events are parked in each of the partitions that have any.
	CountParked(ctx context.Context, projection string, partitions int) (map[int]int64, error)

	// Places returns the positions in All, and the original streams, of the events with versions first to last in a stream,
	// own or linked, in the order of versions. Missing events are left out. Outside a transaction it finds every event that
	// was committed before the call.
	Places(ctx context.Context, stream string, first, last int64) ([]Place, error)
	// Temporary reports whether err, which step returned, says nothing of the events: the database was busy, or gave the
	// transaction up for another's sake, or went away. Whatever a database calls an error of [StepHandler], it is the
	// handler's if the connection of tx still answers, unless others have caused it: ask tx. tx is nil for [StepCommit].
	Temporary(ctx context.Context, step FailedStep, tx *sql.Tx, err error) bool
}

// FailedStep says which step of a projection's transaction returned an error. For backends.
type FailedStep int

const (
	// StepHandler is the handler.
	StepHandler FailedStep = iota
	// StepStorage is a method of the storage in the handler's transaction, after the handler returned nil.
	StepStorage
	// StepCommit is the commit. If it is not known whether the transaction was committed, the error is temporary.
	StepCommit
)

// AdvanceRequest asks to move the checkpoint of a projection's partition. For backends.
type AdvanceRequest struct {
	CheckpointRequest
	From    int64   // number of the first event that was applied; 0 if it was parked, and the checkpoint stays
	Handled int64   // how many events were applied
	Rate    float64 // events per second of late
}

// Judge is [CheckpointRequest.Judge]. It also returns ErrLeaseLost if the checkpoint in the same stream is r.From or more
// already: then these events were applied before. If r.From is 0, it does not ask where the stream ends. For backends.
func (r AdvanceRequest) Judge(s CheckpointState) error {
	if r.From == 0 {
		s.End = -1
	}
	err := r.CheckpointRequest.Judge(s)
	if err == nil && r.From > 0 && s.StreamID == r.StreamID && s.Checkpoint >= r.From {
		return &SubscriptionError{r.ID, ErrLeaseLost}
	}
	return err
}

// ProjectionRecord is a projection as a [ProjectionStorage] keeps it. For backends.
type ProjectionRecord struct {
	Name       string
	Stream     string // or All
	Partitions int
	// Generation goes up whenever the partitions are replaced by others: after a change of their number, or a reset.
	Generation int64
	ByStream   bool   // the partition key of an event is the name of its stream
	Applied    string // what partitions of earlier generations had applied, see layout; "" if that does not matter any more
	// ReplayUntil is where the stream ended when the projection was reset last; 0 if it never was.
	ReplayUntil int64
	// Changes goes up when parked events are released, discarded, or removed by a hard delete. The processes that run the projection
	// then read them again.
	Changes              int64
	ReplacedBy           string // "" unless another projection has taken its place
	CreatedAt, UpdatedAt time.Time
}

// Place is the position of an event in All and the stream to which it was appended. For backends.
type Place struct {
	Position int64
	Stream   string
}
