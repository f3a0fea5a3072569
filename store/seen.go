package store

import (
	"fmt"

	"github.com/google/uuid"
)

// Seen is the stream that a read covered, and how far. Use it for the expected version of an append that is decided on the
// events read. The number of the last event is not enough: a stream may end with a link whose event was hard deleted, and
// then its version is above the last number that can be read.
type Seen struct {
	// StreamID is the stream's [StreamInfo].ID; 0 for [All].
	StreamID int64
	// Version is the version up to which the read left nothing out; of All, the position. If the read reached the end of
	// the stream, it is the stream's version; if it ended at Limit, the number of the last event; if it read backward,
	// where it began.
	//
	// With a [ReadOptions].Filter, up to Version nothing is left out that the filter chooses, and the events that it left
	// out are passed: a reader that goes on with After: Version does not look at them again. Version is never above a
	// number that the store had given when the read ended.
	Version int64
}

// Expected returns the expected version of an append that must directly follow what was read: NoStream if nothing was.
func (s Seen) Expected() Expected {
	if s.Version == 0 {
		return NoStream
	}
	return Version(s.Version)
}

// SeenEvent is an event that a reader has seen: its number in the stream that is read, and its id. It identifies the
// history that a checkpoint belongs to, which a number alone does not: after a failover to a standby that lagged, other
// events may take the numbers of those that were lost. The zero value stands for none.
type SeenEvent struct {
	Number int64
	ID     uuid.UUID
}

// IsZero reports whether s stands for no event.
func (s SeenEvent) IsZero() bool { return s.ID == uuid.Nil }

// CheckpointLostError says that a checkpoint which the database had confirmed is not there any more: the database has gone
// back, as in a failover to a standby that lagged. It is [ErrLeaseLost]: the subscription goes on behind the checkpoint
// that was found, and what follows that one is delivered again.
type CheckpointLostError struct {
	SubscriptionID
	Known, Found int64
}

func (e *CheckpointLostError) Error() string {
	return fmt.Sprintf("store: subscription %q on %q: checkpoint %d was saved, but the database has %d: it has gone back, as in a failover to a standby that lagged; events behind %d are delivered again",
		e.Name, e.Stream, e.Known, e.Found, e.Found)
}

// Is matches [ErrLeaseLost].
func (e *CheckpointLostError) Is(target error) bool { return target == ErrLeaseLost }
