package store

import (
	"context"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/batch"
)

// sleeper is the subscriber of a consumer, as retries see it.
type sleeper interface {
	// interrupt wakes it while it waits for events.
	interrupt()
	// Nack gives events back.
	Nack(ctx context.Context, events ...Recorded) error
}

// retries are the events in flight that the consumers of a subscription handle again, and which of the consumers are busy.
type retries struct {
	mu    sync.Mutex
	known *batch.Retries[sleeper, attempted]
}

// retry is an event in flight that is to be handled again. No other event of its key is handled before.
type retry = batch.Again[sleeper, attempted]

// attempted is how an event was tried.
type attempted struct {
	event   Recorded
	err     error // what it has failed with last
	attempt int   // the last
}

func newRetries() *retries { return &retries{known: batch.NewRetries[sleeper, attempted]()} }

// join has a consumer woken when it should look at what is here, until leave.
func (t *retries) join(r sleeper) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known.Join(r)
}

func (t *retries) leave(r sleeper) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known.Leave(r)
}

// wake wakes the consumers that sleep, for they may have to wake earlier than when they fell asleep.
func (t *retries) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	interrupt(t.known.Idle())
}

func interrupt(list []sleeper) {
	for _, r := range list {
		r.interrupt()
	}
}

// rest notes that a consumer has nothing to handle.
func (t *retries) rest(r sleeper) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known.Rest(r)
}

// begin notes that a consumer handles something. Idle ones are to wake when one of its retries is due.
func (t *retries) begin(r sleeper) {
	t.mu.Lock()
	defer t.mu.Unlock()
	interrupt(t.known.Busy(r))
}

// await has an event in flight handled again later.
func (t *retries) await(a *retry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known.Await(a)
}

// drop forgets the retries of a consumer whose events are not in flight any more.
func (t *retries) drop(r sleeper) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known.Drop(r)
}

// first returns when an idle consumer has a retry to handle.
func (t *retries) first(r sleeper) (at time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known.First(r)
}

// due returns the retry of a consumer that has been due longest, which it begins, or nil.
func (t *retries) due(r sleeper) *retry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known.Due(r, time.Now())
}

// handOver returns the retry of a busy consumer that has been due longest, or nil. The consumer that is sent its event next begins it.
func (t *retries) handOver(idle sleeper) *retry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known.HandOver(idle, time.Now())
}

// handedOver returns how often an event was tried that was sent again because its retry was handed over, or 0.
func (t *retries) handedOver(e *Recorded) (tried int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.known.Handed(e.Number); a != nil && a.Tried.event.ID == e.ID {
		return a.Tried.attempt
	}
	return 0
}

// firstUnknown returns the retry of a consumer's first event of an unknown version, or nil.
func (t *retries) firstUnknown(r sleeper) *retry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known.FirstAlone(r)
}
