// Package tail decides for a feed of new events: a [Clock] when it polls and when it looks around, a [Cursor] whether a page follows
// the page before, [Members] which subscriptions are offered an event, a [Lag] whether a replica is late, a [Poll] and [Streams] whether
// the feeds of a process can share an answer of the database.
//
// The package does no I/O, starts no goroutine, and has no lock and no clock: the time is a parameter. None of its types is safe for
// concurrent use.
package tail

// ID is the id of an event. The zero ID stands for an unknown id, or for an event that was hard-deleted.
type ID = [16]byte
