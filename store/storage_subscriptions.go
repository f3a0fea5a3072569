package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// SubscriptionStorage is implemented by a [Storage] that keeps persistent subscriptions: for each a row with its
// checkpoint, and a lease that says which Store runs it.
//
// A lease is held by an owner until a time on the database's clock; nobody's own clock counts. Whoever takes a lease
// gets the next epoch of the subscription. Every write names the epoch that it was made in, and one of an earlier epoch
// writes nothing and returns [ErrLeaseLost], so that an owner who was paused, or cut off, cannot do harm.
//
// Each method is atomic. Methods may be called concurrently, also for the same subscription. On a Storage that WithTx
// returned they run in that transaction.
type SubscriptionStorage interface {
	// AcquireLease takes the lease of a subscription for r.Owner and r.TTL from now, and creates the subscription if
	// there is none and r.Create is set. It returns ErrLeaseHeld while somebody else holds the lease, and
	// ErrSubscriptionNotFound. The epochs of a subscription go up, and one that is deleted and created again uses none a
	// second time.
	AcquireLease(ctx context.Context, r LeaseRequest) (Lease, error)
	// RenewLeases makes all leases of owner last for ttl from now, also those that have expired but that nobody took.
	// It returns them as they are now: a checkpoint that is behind one that was saved says that the database has gone back.
	RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]Lease, error)
	// FreeLeases returns the subscriptions whose lease nobody holds now.
	FreeLeases(ctx context.Context) ([]SubscriptionID, error)
	// SaveCheckpoint saves how far a subscription has come, and what it has seen. A checkpoint never goes back, unless
	// StreamID says that the stream is another one than before. If the checkpoint can't be saved, nothing changes, and the
	// error is the one that [CheckpointRequest.Judge] returns, judged in the same statement or transaction as the write.
	SaveCheckpoint(ctx context.Context, r CheckpointRequest) error
	// SaveError notes the last error of a subscription, with the time on the database's clock and the number of the event that
	// it is about, 0 if it is about none; "" notes that there is no error. It returns ErrLeaseLost like SaveCheckpoint.
	//
	// The error is over when the checkpoint moves on, by whichever owner, and the event's number is not above it; or when the
	// subscription is reset. Then ListSubscriptions shows none.
	SaveError(ctx context.Context, id SubscriptionID, epoch int64, text string, number int64) error
	// ReleaseLease is SaveCheckpoint, and gives the lease up at once, even if the checkpoint is refused for another reason
	// than ErrLeaseLost.
	ReleaseLease(ctx context.Context, r CheckpointRequest) error
	// ResetSubscription sets the checkpoint, back or forward, begins a new epoch that nobody holds the lease of, and
	// forgets the last error. It returns ErrSubscriptionNotFound.
	ResetSubscription(ctx context.Context, id SubscriptionID, checkpoint, streamID int64) error
	// DeleteSubscription removes a subscription, whoever runs it. It returns ErrSubscriptionNotFound.
	DeleteSubscription(ctx context.Context, id SubscriptionID) error
	// ListSubscriptions returns all subscriptions, by stream and name. Head is not set.
	ListSubscriptions(ctx context.Context) ([]SubscriptionInfo, error)

	// Arrivals returns, for each of list, when the first event behind its number came into the stream, or into All, on the
	// database's clock: zero if there is none, or if that is not known (yet). CreatedAt does not count, since the caller may
	// have given it.
	Arrivals(ctx context.Context, list []Behind) (Arrivals, error)
	// StreamVersions returns what StreamInfo would return of each of the streams that exist, in one look.
	StreamVersions(ctx context.Context, streams []string) (map[string]StreamInfo, error)
	// ReadFiltered is ReadAll, or ReadStream if r.Stream is not All, of those events that f chooses. next is the first
	// number, in the direction of the read, that it has not looked at: forward, r.From if there is nothing at or behind it
	// yet; backward, 0 if nothing is left. r.StreamID works as in ReadStream. It looks at a bounded range of numbers, so a
	// page may have fewer events than r.Limit, or none, anywhere.
	//
	// Unless r.ChosenOnly is set, the page also has the events at r.From and at next-1, if they exist, whether f chooses
	// them or not: their ids show that two pages follow each other. The caller leaves them out, see [EventFilter.Matches].
	// A backward request always sets it.
	ReadFiltered(ctx context.Context, r ReadRequest, f EventFilter) (page []Recorded, next int64, err error)
}

// SubscriptionID identifies a persistent subscription: its name, and the stream, or [All], that it is on.
type SubscriptionID struct{ Stream, Name string }

// Behind identifies the events of a stream, or of [All], whose numbers are above Number. For backends.
type Behind struct {
	Stream string
	Number int64
}

// Arrivals is the answer of [SubscriptionStorage].Arrivals. For backends.
type Arrivals struct {
	At  []time.Time // UTC
	Now time.Time   // what the database's clock says
}

// EventFilter chooses events in the database. The zero value chooses all. An event is chosen if it has one of the types and
// its stream has the prefix: {StreamPrefix: "account-"} chooses a category, all streams whose names begin so.
type EventFilter struct {
	// Types are the types wanted. Default: all.
	Types []string
	// StreamPrefix is what the names of the streams begin with that events were appended to, byte by byte. Default: "".
	StreamPrefix string
}

// IsZero reports whether f chooses all events.
func (f EventFilter) IsZero() bool { return len(f.Types) == 0 && f.StreamPrefix == "" }

// Matches reports whether f chooses e.
func (f EventFilter) Matches(e *Recorded) bool {
	return (len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) && strings.HasPrefix(e.Stream, f.StreamPrefix)
}

// clone returns an EventFilter that its caller can't change any more.
func (f EventFilter) clone() EventFilter {
	f.Types = slices.Clone(f.Types)
	return f
}

// equals reports whether f and g choose the same events, whatever the order of their types.
func (f EventFilter) equals(g EventFilter) bool {
	return f.StreamPrefix == g.StreamPrefix && slices.Equal(f.sorted(), g.sorted())
}

// sorted returns the types in order, each once.
func (f EventFilter) sorted() []string {
	list := slices.Clone(f.Types)
	slices.Sort(list)
	return slices.Compact(list)
}

// LeaseRequest asks for the lease of a subscription. For backends.
type LeaseRequest struct {
	ID    SubscriptionID
	Owner string // who asks; no two Stores have the same, see SubscriptionInfo
	TTL   time.Duration
	// Create says that the subscription may be created. Checkpoint and StreamID are what it begins with then.
	Create               bool
	Checkpoint, StreamID int64
}

// Lease is a lease that was taken. For backends.
type Lease struct {
	ID         SubscriptionID
	Epoch      int64
	Checkpoint int64 // number of the last event dealt with
	StreamID   int64 // StreamInfo.ID of the stream that Checkpoint counts in; 0 for All, or if it did not exist
	Seen       SeenEvent
	// Era identifies the run of the database server that granted the lease. It is another one when the server was started again,
	// or another server or database has taken its place; "" for a backend whose database can't be replaced while it is open.
	Era string
}

// hasRead reports whether the subscription has read anything.
func (l Lease) hasRead() bool { return l.Checkpoint > 0 || !l.Seen.IsZero() }

// request asks for the checkpoint that the lease was taken with.
func (l Lease) request() CheckpointRequest {
	return CheckpointRequest{ID: l.ID, Epoch: l.Epoch, Checkpoint: l.Checkpoint, StreamID: l.StreamID, Seen: l.Seen, Era: l.Era}
}

// CheckpointRequest asks to save a checkpoint. For backends.
type CheckpointRequest struct {
	ID                   SubscriptionID
	Epoch                int64
	Checkpoint, StreamID int64
	// Seen is the last event that the subscription has read, usually at or behind Checkpoint. The checkpoint is saved only
	// if that event is in its place.
	Seen SeenEvent
	// Known is a checkpoint in the same stream that the database has confirmed. If the one that is there is lower, the
	// database has gone back. Default: 0, which is not compared.
	Known int64
	// Era is that of the lease. A checkpoint of another era is not saved: what was read then may have been lost, or placed in
	// another order, so the subscription begins again behind the checkpoint that is there. Default: "", which is not compared.
	Era string
}

// CheckpointState is what a [CheckpointRequest] is judged by. For backends.
type CheckpointState struct {
	Epoch, Checkpoint, StreamID int64 // as they are in the database; Epoch is 0 if there is no such subscription
	// End is the last number of the stream that the request counts in, or of All; -1 if that stream does not exist any more.
	End int64
	Era string // the current one
	// At is the id of the event at the request's Seen.Number in that stream, zero if there is none.
	At uuid.UUID
}

// Judge returns nil if the checkpoint may be saved. Otherwise it returns
//   - ErrLeaseLost, if r.Epoch or r.Era is not the current one, or there is no such subscription;
//   - a [PositionLostError], if the stream ends before what was read, or has another event in its place;
//   - a [CheckpointLostError], which is ErrLeaseLost too, if the database has gone back behind r.Known.
//
// For backends.
func (r CheckpointRequest) Judge(s CheckpointState) error {
	if s.Epoch == 0 || s.Epoch != r.Epoch {
		return &SubscriptionError{r.ID, ErrLeaseLost}
	}
	if err := r.judgePlace(s); err != nil {
		return err
	}
	if s.StreamID == r.StreamID && s.Checkpoint < r.Known {
		return &CheckpointLostError{SubscriptionID: r.ID, Known: r.Known, Found: s.Checkpoint}
	}
	if r.Era != "" && r.Era != s.Era {
		return &SubscriptionError{r.ID, fmt.Errorf("%w: the database was restarted or replaced", ErrLeaseLost)}
	}
	return nil
}

// judgePlace returns a PositionLostError if the stream does not carry what was read.
func (r CheckpointRequest) judgePlace(s CheckpointState) error {
	switch last := max(r.Checkpoint, r.Seen.Number); {
	case s.End < 0:
		return nil // what was read is gone with its stream
	case s.End < last:
		return &PositionLostError{Stream: r.ID.Stream, After: last, Head: s.End}
	case r.Seen.IsZero() || s.At == r.Seen.ID || s.At == uuid.Nil: // or it was hard deleted
		return nil
	}
	return &PositionLostError{Stream: r.ID.Stream, After: r.Seen.Number, Head: s.End, Replaced: true}
}

// SubscriptionInfo is what is known of a persistent subscription.
type SubscriptionInfo struct {
	SubscriptionID
	Checkpoint int64
	StreamID   int64 // see Lease
	Seen       SeenEvent
	Owner      string // who holds the lease, or held it last: its [Options].Name, a slash, and what tells it from others of the name
	Epoch      int64
	Held       bool      // whether the lease is held now
	LeaseUntil time.Time // UTC; zero if it was given up
	// LastError is why a handler, or reading, failed last; "" if that is over: the event that it is about, or one behind it,
	// was dealt with, by whichever process. The error of a parked event that is replayed is over when that event was dealt with or
	// discarded. LastErrorNumber is the number of that event, or of the first one that could not be
	// read; 0 if the error is about no event. LastErrorAt is when it was noted, on the database's clock.
	LastError       string
	LastErrorNumber int64
	LastErrorAt     time.Time
	CreatedAt       time.Time
	UpdatedAt       time.Time // of Checkpoint
	// Handled is how many events a projection has applied in this partition; Rate how many per second when it did so
	// last, at HandledAt, which is zero if it never did.
	Handled   int64
	Rate      float64
	HandledAt time.Time
	// Parked is how many events Consume has parked; of a partition of a projection, see PartitionInfo. Storage does not set it.
	Parked int64
	// Head is the last number of the stream: the subscription's lag is what it is above Passed, in numbers. Numbers
	// that were filtered out or hard deleted are among them.
	Head int64
	// HeadID is the StreamInfo.ID of the stream that Head is of; 0 for All, or if there is none.
	HeadID int64
	// NextAt is when the first event behind the checkpoint came into the stream, which may be later than its CreatedAt; zero
	// if there is none. ListedAt is when that was looked at. Both are on the database's clock; the Store sets them.
	NextAt, ListedAt time.Time
}

// Replaced reports whether the stream that Checkpoint counts in was hard deleted and a new stream has its name. The
// subscription has not handled any event of the new stream.
func (i SubscriptionInfo) Replaced() bool {
	return i.StreamID != 0 && i.HeadID != 0 && i.StreamID != i.HeadID
}

// Passed returns the checkpoint in the current stream: Checkpoint, or 0 if the stream was replaced.
func (i SubscriptionInfo) Passed() int64 {
	if i.Replaced() {
		return 0
	}
	return i.Checkpoint
}

// Lag returns how many numbers of the stream the subscription has not dealt with.
func (i SubscriptionInfo) Lag() int64 { return max(0, i.Head-i.Passed()) }

// Delay returns how long ago the first event behind the checkpoint came into the stream; 0 if there is none.
func (i SubscriptionInfo) Delay() time.Duration {
	if i.Lag() == 0 || i.NextAt.IsZero() {
		return 0
	}
	return max(0, i.ListedAt.Sub(i.NextAt))
}

// StalledSince returns since when the subscription has not moved, although there are events behind its checkpoint: since the
// checkpoint was written last, or since the first of these events came, whichever is later. It is zero if there are none.
// What is acknowledged counts when the checkpoint is written, see [SubscribeOptions].
func (i SubscriptionInfo) StalledSince() time.Time {
	switch {
	case i.Lag() == 0 || i.NextAt.IsZero():
		return time.Time{}
	case i.UpdatedAt.After(i.NextAt) && !i.Replaced():
		return i.UpdatedAt
	}
	return i.NextAt
}

// Stalled returns how long the subscription has not moved, although there are events behind its checkpoint; 0 if there are
// none. A handler that hangs, or fails again and again, shows here.
func (i SubscriptionInfo) Stalled() time.Duration {
	since := i.StalledSince()
	if since.IsZero() {
		return 0
	}
	return max(0, i.ListedAt.Sub(since))
}
