package store

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"
)

// tried returns how often a parked event has failed since it was released.
func (w *worker) tried(t task) int {
	if r := w.later[t.parked.Key]; r != nil && r.parked.ID == t.parked.ID {
		return r.attempt
	}
	return 0
}

// postpone has the first event of the list, which is parked, replayed later, and returns those of other keys.
func (w *worker) postpone(list []task, attempt int) []task {
	p := list[0].parked
	r := w.later[p.Key]
	if r == nil || r.parked.ID != p.ID {
		r = &retry{wait: w.backoff(1)}
	}
	r.parked, r.attempt, r.at = p, attempt, time.Now().Add(r.wait.NextBackOff())
	if w.later == nil {
		w.later = map[string]*retry{}
	}
	w.later[p.Key] = r
	return slices.DeleteFunc(list, func(t task) bool { return t.parked.Key == p.Key })
}

// waiting returns the keys of parked events whose replay is to be tried again later than now.
func (w *worker) waiting(now time.Time) (keys []string) {
	for key, r := range w.later {
		if r.at.After(now) {
			keys = append(keys, key)
		}
	}
	return keys
}

// retries reports whether the replay of the event with a number is to be tried again.
func (w *worker) retries(number int64) bool {
	for _, r := range w.later {
		if r.parked.Number == number {
			return true
		}
	}
	return false
}

// forget forgets retries of events that are not parked any more. Their errors are over.
func (w *worker) forget(gone func(key string, r *retry) bool) {
	maps.DeleteFunc(w.later, func(key string, r *retry) bool {
		if !gone(key, r) {
			return false
		}
		w.subscriber.subscription.solved(r.parked.Number, r.parked.Number)
		return true
	})
}

// untilRetry returns how long it is until the replay of a key is to be tried again.
func (w *worker) untilRetry() time.Duration {
	least := time.Duration(math.MaxInt64)
	for _, r := range w.later {
		least = min(least, time.Until(r.at))
	}
	return least
}

// untilReplay returns how long it is until replay is to be called, which does nothing without a valid lease.
func (w *worker) untilReplay() time.Duration {
	wait := w.p.hub.pollEvery
	epoch, _, ok := w.subscriber.subscription.grant()
	if !ok || epoch != w.epoch || len(w.parked) == 0 {
		return wait
	}
	if unread := time.Until(w.unread); unread > 0 {
		return min(wait, unread)
	}
	if w.pending {
		return 0
	}
	return min(wait, max(w.untilRetry(), 0))
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
		if err := w.pause(ctx, min(left, w.untilReplay())); err != nil {
			return err
		}
	}
}
