package store

import (
	"context"
	"time"
)

// awaitHint blocks until there is a hint, d has passed or ctx is done. It reports whether there was a hint. A negative d is no limit.
func awaitHint(ctx context.Context, hints <-chan struct{}, d time.Duration) (hinted bool) {
	var over <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-hints:
		return true
	case <-over:
	case <-ctx.Done():
	}
	return false
}

// sleep blocks until d has passed or ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
