package hatest_test

import (
	"time"

	"github.com/google/uuid"
)

// What a process notes.
const (
	acked     = "acked"     // an append that was acknowledged
	failed    = "failed"    // one that was not, and is made again
	conflict  = "conflict"  // a stream that is not where its writer left it
	quiet     = "quiet"     // a writer that has ended
	delivered = "delivered" // an event that the subscription has sent
	applied   = "applied"   // one that the projection's handler has got, in a transaction that may not be committed
	ended     = "ended"     // a reader whose call has returned
)

// line is one thing that a process notes.
type line struct {
	At      int64 // nanoseconds since 1970
	Process string
	Kind    string
	Stream  string      `json:",omitempty"`
	IDs     []uuid.UUID `json:",omitempty"`
	Number  int64       `json:",omitempty"` // of an event that was delivered or applied; version of the last that was acknowledged
	Retried bool        `json:",omitempty"`
	Error   string      `json:",omitempty"`
	Lost    bool        `json:",omitempty"` // the error is [store.ErrPositionLost]
}

func now() int64 { return time.Now().UnixNano() }
