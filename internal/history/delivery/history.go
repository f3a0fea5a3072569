package delivery

import (
	"fmt"

	"github.com/eventstore-go/eventstore/internal/history"
)

// History is what happened to the subscriptions of a store from its beginning.
type History struct {
	// Subscriptions are those that processes ran.
	Subscriptions []Subscription
	// Writes are appends, in any order.
	Writes []history.Write
	// Stored is all that the store holds in the end, in the order of positions.
	Stored []history.Seen
	// Consumers are the processes that ran subscriptions.
	Consumers []Consumer
	// Rows are the versions of the subscriptions' rows; those of one subscription in the order they were written.
	Rows []Row
}

// Subscription is a subscription to all events.
type Subscription struct {
	Name string
	// Lanes says that several subscribers share it, partitioned by stream. Else it has one at a time in each process.
	Lanes bool
}

// Consumer is a process with its journal, in the order it was written.
type Consumer struct {
	Process string // that of no other process
	Lines   []Line
}

// Kind is what a line tells.
type Kind string

// Kinds of lines.
const (
	Took Kind = "took" // the process was told that it has taken Epoch
	Sent Kind = "sent" // the subscriber was sent Events
	Lost Kind = "lost" // the subscriber was told that the lease is lost
	Ack  Kind = "ack"  // the subscriber is about to acknowledge Number
	// Refused says that the acknowledgement before was refused: what the subscriber had in flight is void.
	Refused Kind = "refused"
	Save    Kind = "save"  // the process is about to write the checkpoint Number for Epoch
	Saved   Kind = "saved" // it was told that it is written, or of an error
)

// Line is one line of a consumer's journal.
type Line struct {
	Kind         Kind           `json:"k"`
	Subscription string         `json:"n"`
	Subscriber   int            `json:"r,omitempty"` // its number in the process; for Sent, Lost, Ack
	Events       []history.Seen `json:"e,omitempty"`
	// From and To are the epochs of the process's latest lease before and after it asked for Events, 0 for none: the
	// epoch that Events belong to is one of From … To.
	From   int64  `json:"f,omitempty"`
	To     int64  `json:"t,omitempty"`
	Number int64  `json:"c,omitempty"`
	Epoch  int64  `json:"o,omitempty"`
	Err    string `json:"x,omitempty"`
}

// Row is a version of a subscription's row.
type Row struct {
	Subscription string
	Epoch        int64
	Checkpoint   int64
	Owner        string
	Until        int64  // when the lease ends, in microseconds of the database's clock; 0 if it was given up
	At           int64  // when the row was written
	Process      string // who wrote it
}

// Rule is a part of what the store promises.
type Rule string

// Rules.
const (
	Delivered Rule = "delivered" // every event is delivered at least once
	Authentic Rule = "authentic" // what is delivered is what the store holds
	Ordered   Rule = "ordered"   // in an epoch positions come in order, or, where subscribers share it, the versions of each stream
	Gapless   Rule = "gapless"   // an epoch begins behind the checkpoint, and leaves nothing out
	Once      Rule = "once"      // and no event comes twice in it
	Apart     Rule = "apart"     // a stream never has unacknowledged events at two subscribers
	Earned    Rule = "earned"    // a checkpoint passes only what was acknowledged in its epoch
	Fenced    Rule = "fenced"    // only who took an epoch writes in it, and nobody writes in an earlier one
	Forward   Rule = "forward"   // a checkpoint never goes back
	Leased    Rule = "leased"    // nobody takes a lease while somebody else's lasts, or delivers without one
	Durable   Rule = "durable"   // what a process was told is written is written
)

// Violation is a rule that was broken.
type Violation struct {
	Rule Rule
	What string
}

func (v Violation) String() string { return string(v.Rule) + ": " + v.What }

func (r Row) String() string {
	return fmt.Sprintf("checkpoint %d of %q in epoch %d by %s", r.Checkpoint, r.Subscription, r.Epoch, r.Process)
}
