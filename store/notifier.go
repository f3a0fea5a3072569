package store

import "context"

// Notifier carries the hint that there may be new events, from process to process. Hints may be late, repeated or lost:
// readers go by position.
type Notifier interface {
	// Notify is called after a commit that this process knows of. It must not block and may be called concurrently.
	Notify()
	// Listen calls wake whenever there may be new events, or a lease may be free, until ctx ends, and returns ctx's error.
	// It connects again by itself, and calls wake after it has, since hints were lost meanwhile. wake does not block
	// and may be called concurrently. If no hint can ever arrive, it returns at once: [ErrNoNotifications].
	Listen(ctx context.Context, wake func()) error
}
