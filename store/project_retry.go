package store

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
)

// replayRetry is a parked event whose replay has failed and is to be tried again. Until then nothing of its key is replayed.
type replayRetry struct {
	id      uuid.UUID
	attempt int // the last
	wait    *backoff.ExponentialBackOff
	at      time.Time
}

// tried returns how often a parked event has failed since it was released.
func (w *worker) tried(t task) int {
	if r := w.later[t.parked.Key]; r != nil && r.id == t.parked.ID {
		return r.attempt
	}
	return 0
}

// postpone has the first event of the list, which is parked, replayed later, and returns those of other keys.
func (w *worker) postpone(list []task, attempt int) []task {
	p := list[0].parked
	r := w.later[p.Key]
	if r == nil || r.id != p.ID {
		r = &replayRetry{id: p.ID, wait: w.backoff()}
	}
	r.attempt, r.at = attempt, time.Now().Add(r.wait.NextBackOff())
	if w.later == nil {
		w.later = map[string]*replayRetry{}
	}
	w.later[p.Key] = r
	return slices.DeleteFunc(list, func(t task) bool { return t.parked.Key == p.Key })
}

// untilRetry returns how long it is until the replay of a key is to be tried again.
func (w *worker) untilRetry() time.Duration {
	least := time.Duration(math.MaxInt64)
	for _, r := range w.later {
		least = min(least, time.Until(r.at))
	}
	return least
}

// pauseReplaying is pause after an event has failed. What is parked of other keys is replayed meanwhile.
func (w *worker) pauseReplaying(ctx context.Context, d time.Duration) error {
	until := time.Now().Add(d)
	for {
		if err := w.replay(ctx); err != nil {
			return err
		}
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		if len(w.parked) > 0 {
			left = min(left, w.p.hub.pollEvery, max(w.untilRetry(), 0))
		}
		if err := w.pause(ctx, left); err != nil {
			return err
		}
	}
}
