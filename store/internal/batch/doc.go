// Package batch decides how a partition of a projection applies events: how many in a transaction and what follows when one fails
// ([Plan], [Size]), what is parked and when it is replayed ([Aside]), and how fast it is ([Meter]).
//
// The package does no I/O, starts no goroutine, and has no lock and no clock: the time is a parameter. None of its types is safe for
// concurrent use.
package batch
