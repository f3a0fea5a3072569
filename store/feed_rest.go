package store

import (
	"context"
	"time"
)

// Where many events come, each look finds many: a feed that found some rests for perEvent each, but no longer than mostRest, counted
// from the beginning of the look. A look costs the database a commit, besides what it reads, and beside busy writers that is much. A
// single event is not delayed.
const (
	perEvent = 100 * time.Microsecond
	mostRest = 5 * time.Millisecond
)

// rest returns how long what began then is to last after it has found n events.
func rest(n int, began time.Time) time.Duration {
	return min(time.Duration(n)*perEvent, mostRest) - time.Since(began)
}

// sleep returns after a while, or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
