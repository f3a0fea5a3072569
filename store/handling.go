package store

import (
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Decision is what is to be done about an event that its handler failed on.
type Decision int

const (
	// Retry handles the event again, after a while.
	Retry Decision = iota
	// Skip acknowledges the event and goes on.
	Skip
	// Stop ends Consume, or Project, with the handler's error. The event is not acknowledged.
	Stop
	// Park puts the event aside, and all of its partition key behind it, until it is replayed: see [Store.ReplayParked].
	Park
)

// RetryThen returns an OnError that decides to retry until an event has failed n times in a row, and then d. It always
// retries [ErrUnknownVersion]: while a new release is rolled out, the old one waits at the new one's events, and the new
// one handles them when it takes over.
func RetryThen(n int, d Decision) func(Recorded, error, int) Decision {
	return func(_ Recorded, err error, attempt int) Decision {
		if attempt < n || errors.Is(err, ErrUnknownVersion) {
			return Retry
		}
		return d
	}
}

// backoffs returns the bounds of a wait with their defaults.
func backoffs(least, most time.Duration) (time.Duration, time.Duration) {
	if least == 0 {
		least = 100 * time.Millisecond
	}
	if most == 0 {
		most = max(30*time.Second, least)
	}
	return least, most
}

// backoffAfter returns the wait after an attempt, from 1. It grows from least to most, with some chance in it.
func backoffAfter(attempt int, least, most time.Duration) (wait time.Duration) {
	grows := backoff.ExponentialBackOff{
		InitialInterval: least, MaxInterval: most,
		Multiplier: backoff.DefaultMultiplier, RandomizationFactor: backoff.DefaultRandomizationFactor,
	}
	for range min(attempt, 120) { // it does not grow any more, whatever the bounds
		wait = grows.NextBackOff()
	}
	return wait
}

// task is an event that is to be applied: as it came, or one that was parked.
type task struct {
	event  Recorded
	parked *ParkedEvent
	gone   bool // parked, but it was hard deleted meanwhile
}

func tasks(events []Recorded) []task {
	list := make([]task, len(events))
	for i := range events {
		list[i].event = events[i]
	}
	return list
}

// result is how a goroutine that calls handlers ended.
type result struct {
	err      error
	panicked any
	exited   bool // without an error: by a panic or runtime.Goexit
}

// errVoid says that the lease was lost while an event was handled.
var errVoid = errors.New("void")

// void makes errVoid of [ErrLeaseLost].
func void(err error) error {
	if errors.Is(err, ErrLeaseLost) {
		return errVoid
	}
	return err
}
