package store

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Bounds of how often the same message is logged.
const (
	logBurst = 10               // lines at once
	logEvery = 10 * time.Second // and then one in this time
)

// lines logs messages, each at a bounded rate. What it leaves out is counted in the next line of the message.
type lines struct {
	log *slog.Logger

	mu       sync.Mutex
	messages map[string]*allowance
}

// allowance is how many lines of a message may be logged now.
type allowance struct {
	left    int
	since   time.Time // when the last of them was added
	dropped int
}

func newLines(log *slog.Logger) *lines {
	return &lines{log: log, messages: map[string]*allowance{}}
}

// warn logs a warning, unless there were too many of the kind.
func (l *lines) warn(ctx context.Context, message string, args ...any) {
	dropped, ok := l.allow(message, time.Now())
	if !ok {
		return
	}
	if dropped > 0 {
		args = append(args, "not_logged", dropped)
	}
	l.log.WarnContext(ctx, message, args...)
}

// allow reports whether a message may be logged, and how many of the kind were not since one was.
func (l *lines) allow(message string, now time.Time) (dropped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.messages[message]
	if a == nil {
		a = &allowance{left: logBurst, since: now}
		l.messages[message] = a
	}
	if n := int(now.Sub(a.since) / logEvery); n > 0 {
		a.left, a.since = min(a.left+n, logBurst), a.since.Add(time.Duration(n)*logEvery)
	}
	if a.left == 0 {
		a.dropped++
		return 0, false
	}
	a.left--
	dropped, a.dropped = a.dropped, 0
	return dropped, true
}

// end logs how many lines of each message were left out and not counted yet.
func (l *lines) end(ctx context.Context, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, message := range slices.Sorted(maps.Keys(l.messages)) {
		if a := l.messages[message]; a.dropped > 0 {
			l.log.WarnContext(ctx, "eventstore: some lines were not logged", append(slices.Clone(args), "message", message, "not_logged", a.dropped)...)
			a.dropped = 0
		}
	}
}

// Messages about an event that a handler, or a callback, failed on.
const (
	logRetry  = "eventstore: a handler failed; retrying"
	logSkip   = "eventstore: a handler failed; skipping the event"
	logPark   = "eventstore: a handler failed; parking the event"
	logPanic  = "eventstore: a handler panicked"
	logParked = "eventstore: what a subscription has parked can't be read or written; retrying"
	logAgain  = "eventstore: the database refused a batch; retrying" // for a reason that is not in its events
)
