package store

import (
	"fmt"

	"github.com/google/uuid"
)

// SeenEvent is an event that a reader has seen: its number in the stream that is read, and its id. It identifies the
// history that a checkpoint belongs to, which a number alone does not: after a failover to a standby that lagged, other
// events may take the numbers of those that were lost. The zero value stands for none.
type SeenEvent struct {
	Number int64
	ID     uuid.UUID
}

// IsZero reports whether s stands for no event.
func (s SeenEvent) IsZero() bool { return s.ID == uuid.Nil }

// CheckpointRequest asks to save a checkpoint.
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

// CheckpointState is what a [CheckpointRequest] is judged by.
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
