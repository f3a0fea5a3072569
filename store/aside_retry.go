package store

import (
	"errors"
	"maps"
	"time"
)

// join has a consumer woken when it should look at what is here, until leave.
func (a *aside) join(c *consumer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.consumers[c] = true
}

func (a *aside) leave(c *consumer) {
	a.dropRetries(c)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.consumers, c)
}

// wake wakes the consumers that sleep, for they may have to wake earlier than when they fell asleep. a.mu is held.
func (a *aside) wake() {
	for c, busy := range a.consumers {
		if !busy {
			c.subscriber.interrupt()
		}
	}
}

// rest notes that a consumer has nothing to handle.
func (a *aside) rest(c *consumer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.consumers[c] = false
}

// begin notes that a consumer handles something. Idle ones are to wake when one of its retries is due.
func (a *aside) begin(c *consumer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.consumers[c] = true
	for r := range a.awaited {
		if r.consumer == c {
			a.wake()
			return
		}
	}
}

// await has an event in flight tried again later, by its consumer, or if that is busy, by one that is idle.
func (a *aside) await(r *retry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.awaited[r] = true
}

// dropRetries forgets the retries of a consumer whose events are not in flight any more.
func (a *aside) dropRetries(c *consumer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.awaited, func(r *retry, _ bool) bool { return r.consumer == c })
	clear(a.handed)
}

// first returns the retry that is due first of those that are chosen, or nil. a.mu is held.
func (a *aside) first(chosen func(r *retry) bool) (first *retry) {
	for r := range a.awaited {
		if chosen(r) && (first == nil || r.at.Before(first.at)) {
			first = r
		}
	}
	return first
}

// isFor reports whether a consumer handles a retry, if it has nothing else to do: its own, or that of a consumer that is busy. An event of an
// unknown version is not known to others either. a.mu is held.
func (a *aside) isFor(r *retry, c *consumer) bool {
	return r.consumer == c || a.consumers[r.consumer] && !errors.Is(r.err, ErrUnknownVersion)
}

// firstRetry returns when an idle consumer has a retry to handle.
func (a *aside) firstRetry(c *consumer) (at time.Time, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.first(func(r *retry) bool { return a.isFor(r, c) })
	if r == nil {
		return at, false
	}
	return r.at, true
}

// dueRetry returns the retry of a consumer that has been due longest, which it begins, or nil.
func (a *aside) dueRetry(c *consumer) *retry {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.first(func(r *retry) bool { return r.consumer == c })
	if r == nil || r.at.After(time.Now()) {
		return nil
	}
	delete(a.awaited, r)
	return r
}

// handOver returns the retry of a busy consumer that has been due longest, or nil. The consumer that is sent its event next begins it.
func (a *aside) handOver(idle *consumer) *retry {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.first(func(r *retry) bool { return r.consumer != idle && a.isFor(r, idle) })
	if r == nil || r.at.After(time.Now()) {
		return nil
	}
	delete(a.awaited, r)
	if r.failed == nil { // the queue counts how often a callback is tried
		a.handed[r.event.Number] = r
	}
	return r
}

// handedOver returns the retry that begins now that its event was sent again, or nil.
func (a *aside) handedOver(e *Recorded) *retry {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.handed[e.Number]
	delete(a.handed, e.Number)
	if r == nil || r.event.ID != e.ID {
		return nil
	}
	return r
}

// firstUnknown returns the retry of a consumer's first event of an unknown version, or nil.
func (a *aside) firstUnknown(c *consumer) (first *retry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for r := range a.awaited {
		if r.consumer == c && errors.Is(r.err, ErrUnknownVersion) && (first == nil || r.event.Number < first.event.Number) {
			first = r
		}
	}
	return first
}
