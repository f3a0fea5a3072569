package storetest

import (
	"context"
	"testing"
	"time"
)

// Limit is how long functions of this package wait at most.
const Limit = 30 * time.Second

// margin is left to a test at its deadline to report what it waits for, before the test binary panics.
const margin = time.Second

// limit returns a context of the test that ends after [Limit], or shortly before the deadline of the test binary, and how long that is.
func limit(tb testing.TB) (context.Context, context.CancelFunc, time.Duration) {
	most := Limit
	if deadline, ok := deadlineOf(tb); ok {
		most = max(0, min(most, time.Until(deadline)-margin))
	}
	ctx, cancel := context.WithTimeout(tb.Context(), most)
	return ctx, cancel, most
}

// deadlineOf returns the deadline of the test binary. In a bubble of testing/synctest, whose clock is another, there is none: Deadline panics.
func deadlineOf(tb testing.TB) (deadline time.Time, ok bool) {
	t, has := tb.(interface{ Deadline() (time.Time, bool) })
	if !has {
		return time.Time{}, false
	}
	defer func() {
		if recover() != nil {
			deadline, ok = time.Time{}, false
		}
	}()
	return t.Deadline()
}
