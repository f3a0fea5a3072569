// Package lease decides about leases of subscriptions: a [Keeper] when a process renews its leases and when it looks for free ones,
// [Judge] whether a renewal has kept a lease, and a [Tenure] whether a lease is valid.
//
// The package does no I/O, starts no goroutine, and has no lock and no clock: the time is a parameter. None of its types is safe for
// concurrent use.
package lease
