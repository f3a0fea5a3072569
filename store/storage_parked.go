package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// ParkedStorage is implemented by a [SubscriptionStorage] that keeps what [Store.Consume] parks. Without it, a decision to park
// ends Consume with [ErrNoParking]. Projections need a [ProjectionStorage] instead.
//
// Each method is atomic, and methods may be called concurrently. ResetSubscription and DeleteSubscription remove what the
// subscription has parked. A hard delete removes what is parked of its stream, and what subscriptions on that stream have parked,
// and counts as a change of the subscriptions that had parked it, see LookParked.
type ParkedStorage interface {
	SubscriptionStorage

	// SaveParked parks and removes events while the subscription is in r.Epoch: no process can take it over until both are done. In
	// another epoch it changes nothing, and returns ErrLeaseLost. It returns how many of r.Park are parked now.
	//
	// An event that is parked already is replaced, unless the new one has not Failed and is the same event: then what is there stays,
	// since the event came again after a crash. An event is not parked if it was hard deleted, or if its subscription's stream is not
	// r.StreamID any more. If r.Again is set, only events are parked that still are, under the same number. A transaction that is
	// about to hard delete the stream, or to discard what is parked, is waited for.
	SaveParked(ctx context.Context, r ParkedChange) (parked int64, err error)
	// ReadParked returns a page of parked events, by number and id.
	ReadParked(ctx context.Context, r ParkedRequest) ([]ParkedEvent, error)
	// LookParked returns how often ReplayParked, DiscardParked or a hard delete has changed what a subscription has parked. Unless
	// that is known, it also returns the keys that have parked events, which it reads after that.
	LookParked(ctx context.Context, id SubscriptionID, known int64) (changes int64, keys []string, err error)
	// ReplayParked makes parked events by id count as not failed, and returns how many were there.
	ReplayParked(ctx context.Context, id SubscriptionID, ids []uuid.UUID) (int64, error)
	// DiscardParked removes parked events by id, also while a process runs the subscription, and returns how many were there.
	DiscardParked(ctx context.Context, id SubscriptionID, ids []uuid.UUID) (int64, error)
	// ParkedCounts returns how many events each subscription has parked that has any.
	ParkedCounts(ctx context.Context) (map[SubscriptionID]int64, error)
}

// ParkedChange asks to change what a subscription has parked. For backends.
type ParkedChange struct {
	ID       SubscriptionID
	Epoch    int64
	StreamID int64 // of the subscription's stream, which the events came from; 0 for All
	Park     []ParkedEvent
	Again    bool        // the events of Park were parked before
	Remove   []uuid.UUID // ids of events that are not parked any more; that one is not there is no error
}

// ParkedEvent is an event that a projection or a subscription has put aside, or one of the same partition key behind it.
type ParkedEvent struct {
	Projection   string         // "" if a subscription has parked it
	Subscription SubscriptionID // zero if a projection has
	Key          string         // partition key
	Hash         int64          // of Key, see [PartitionKey]
	Number       int64          // in the stream that is read
	ID           uuid.UUID
	Stream       string // where it was appended
	Version      int64
	Type         string
	// Failed says that the event has failed. One that has not waits for those of its key before it, or to be replayed.
	Failed   bool
	Error    string // the last one; "" if it was never tried
	Attempts int
	ParkedAt time.Time // UTC; zero: the database's clock
}

// ParkedRequest asks for parked events of a projection, or if Projection is "" of a subscription. For backends.
type ParkedRequest struct {
	Projection   string
	Subscription SubscriptionID
	Keys         []string // empty: all
	Numbers      []int64  // empty: all
	// Ready leaves out events that have failed, and those of the same key behind them; and events of other partitions.
	Ready bool
	// ExceptKeys are left out, too, if Ready is set: those of events whose replay waits for a retry, or is under way.
	ExceptKeys            []string
	Partition, Partitions int   // of a subscription: 0, 1
	AfterNumber           int64 // behind this one
	AfterID               uuid.UUID
	ToNumber              int64 // up to this one; not looked at if Ready is set
	Limit                 int   // at least 1
}
