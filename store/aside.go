package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store/internal/batch"
)

// aside is what a subscription has parked, which is read under each lease anew, and what its consumers are to handle again later.
type aside struct {
	storage ParkedStorage // nil if nothing can be parked
	id      SubscriptionID
	poll    time.Duration
	parker  parker
	retries *retries // of events in flight

	// writing is held while what is parked is changed or read in the database and here. So no event is parked behind others that have
	// been found to be gone.
	writing sync.Mutex
	// Guarded by writing.
	page   []ParkedEvent // that may be handled, of keys that no consumer has claimed
	pageAt time.Time     // when it was read

	mu    sync.Mutex
	known *batch.Aside
}

// parker is the subscription, as aside sees it.
type parker interface {
	epoch() int64             // of its lease
	solved(first, last int64) // errors about these events are over
}

// newAside returns what a subscription has parked. A transient one parks nothing.
func newAside(storage subscribed, transient bool, id SubscriptionID, poll time.Duration, p parker) *aside {
	a := &aside{id: id, poll: poll, parker: p, retries: newRetries(), known: batch.NewAside(poll)}
	if !transient {
		a.storage, _ = storage.(ParkedStorage)
	}
	return a
}

// loaded reports whether the parked keys are known under the lease of an epoch.
func (a *aside) loaded(epoch int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.known.Stale(epoch)
}

// idle reports whether it is known under the lease of an epoch that nothing is parked.
func (a *aside) idle(epoch int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.known.Stale(epoch) && a.known.Empty()
}

// next returns what to do about what is parked, which is known. That it is looked at counts from now.
func (a *aside) next() batch.Act {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	act := a.known.Next(now)
	if act == batch.Look {
		a.known.Looking(now)
	}
	return act
}

// postpone has a parked event tried again later, under the lease of an epoch.
func (a *aside) postpone(epoch int64, p *ParkedEvent, attempts int, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.known.Stale(epoch) {
		a.known.Postpone(p.Key, batch.Postponed{ID: p.ID, Number: p.Number, Attempts: attempts, At: at})
		a.retries.wake()
	}
}

// nextReplay returns when it is time to look at what is parked, under the lease of an epoch.
func (a *aside) nextReplay(epoch int64) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.known.Stale(epoch) {
		return now.Add(a.poll)
	}
	return now.Add(a.known.UntilRetry(now))
}

// has reports whether a key has parked events. known is false if the keys were not read under the lease of the epoch.
func (a *aside) has(epoch int64, key string) (parked, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known.Has(key), !a.known.Stale(epoch)
}

// load reads which keys are parked, under the lease of an epoch. What is ready among them is to be looked for.
func (a *aside) load(ctx context.Context, epoch int64) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	changes, err := a.read(ctx, epoch)
	if err == nil {
		err = a.forgetDiscarded(ctx)
	}
	if err != nil {
		return err
	}
	a.page = nil
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known.Loaded(changes)
	a.known.Looking(time.Now())
	if !a.known.Empty() {
		a.retries.wake()
	}
	return nil
}

// read reads which keys are parked. The caller holds writing. An epoch that is over is [ErrLeaseLost].
func (a *aside) read(ctx context.Context, epoch int64) (changes int64, err error) {
	changes, keys, err := a.storage.LookParked(ctx, a.id, -1)
	if err != nil {
		return 0, err
	}
	if a.parker.epoch() != epoch { // what is known under a newer lease stays
		return 0, ErrLeaseLost
	}
	a.forget(func(known *batch.Aside) []int64 {
		if known.Stale(epoch) {
			a.page = nil
		}
		return known.Parked(epoch, keys)
	})
	return changes, nil
}

// forget forgets retries of parked events, and their errors. The caller holds writing.
func (a *aside) forget(over func(known *batch.Aside) []int64) {
	a.mu.Lock()
	numbers := over(a.known)
	a.mu.Unlock()
	for _, number := range numbers {
		a.parker.solved(number, number)
	}
}

// forgetDiscarded forgets the retries of parked events that are not there any more. The caller holds writing.
func (a *aside) forgetDiscarded(ctx context.Context) error {
	a.mu.Lock()
	asked := a.known.Postponed()
	a.mu.Unlock()
	if len(asked) == 0 {
		return nil
	}
	r := ParkedRequest{Subscription: a.id, Partitions: 1, AfterID: uuid.Max, AfterNumber: asked[0].Number - 1, Limit: len(asked)}
	for _, again := range asked {
		r.Numbers, r.ToNumber = append(r.Numbers, again.Number), again.Number
	}
	list, err := a.storage.ReadParked(ctx, r)
	if err != nil {
		return err
	}
	there := make(map[[16]byte]bool, len(list))
	for _, p := range list {
		there[p.ID] = true
	}
	a.forget(func(known *batch.Aside) []int64 { return known.Discarded(asked, there) })
	return nil
}

// changed reports whether something that is parked may have become ready since it was loaded.
func (a *aside) changed(ctx context.Context) (bool, error) {
	a.mu.Lock()
	known, sure := a.known.Changes()
	a.mu.Unlock()
	if !sure {
		return true, nil
	}
	changes, _, err := a.storage.LookParked(ctx, a.id, known)
	return changes != known, err
}

// parking is what came of parking an event.
type parking int

const (
	parkInOrder parking = iota // not parked: it has not failed, and nothing of its key is parked any more
	parkGone                   // not parked: it, or what was parked of it, is not there any more
	parkDone
)

// park parks an event. One that has not failed is parked only if something of its key still is; if that is not known, the error is
// errVoid.
func (a *aside) park(ctx context.Context, r ParkedChange) (parking, error) {
	a.writing.Lock()
	defer a.writing.Unlock()
	p := r.Park[0]
	if !p.Failed {
		behind, known := a.has(r.Epoch, p.Key)
		if !known {
			return parkInOrder, errVoid
		}
		if !behind {
			return parkInOrder, nil
		}
	}
	n, err := a.storage.SaveParked(ctx, r)
	if err != nil || n == 0 {
		return parkGone, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.known.Stale(r.Epoch) {
		if a.known.Empty() {
			a.retries.wake()
		}
		a.known.Put(p.Key, p.Failed)
	}
	return parkDone, nil
}

// remove removes a parked event that has been dealt with. Its key counts as parked until the next load.
func (a *aside) remove(ctx context.Context, epoch int64, id uuid.UUID) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	_, err := a.storage.SaveParked(ctx, ParkedChange{ID: a.id, Epoch: epoch, Remove: []uuid.UUID{id}})
	return err
}

// claim returns parked events of a key that may be handled now, in order, and the retry that one of them waited for, if any. Nothing of
// the key is claimed again until release. If there are none, keys that have nothing parked any more are handled as before; what
// others have changed since the load is not looked at. now is when the replay began.
func (a *aside) claim(ctx context.Context, epoch int64, limit int, now time.Time) (list []ParkedEvent, again batch.Postponed, err error) {
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.parker.epoch() != epoch {
		return nil, again, ErrLeaseLost
	}
	if len(a.page) == 0 || time.Since(a.pageAt) > a.poll { // some may be discarded by now
		a.pageAt = time.Now()
		a.page, err = a.storage.ReadParked(ctx, ParkedRequest{
			Subscription: a.id, Ready: true, ExceptKeys: a.busy(now), Partitions: 1, AfterNumber: -1, Limit: limit,
		})
		if err != nil {
			return nil, again, err
		}
	}
	if len(a.page) == 0 {
		return nil, again, a.finish(ctx, epoch, now)
	}
	key := a.page[0].Key
	a.page = slices.DeleteFunc(a.page, func(p ParkedEvent) bool {
		if p.Key == key {
			list = append(list, p)
		}
		return p.Key == key
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	again, _ = a.known.Claim(key)
	return list, again, nil
}

// busy returns the keys that others replay, and those of parked events that are to be tried again later than now.
func (a *aside) busy(now time.Time) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known.Busy(now)
}

// finish ends a replay that began then, since nothing else is ready. The caller holds writing.
func (a *aside) finish(ctx context.Context, epoch int64, begun time.Time) error {
	if _, err := a.read(ctx, epoch); err != nil {
		return err
	}
	a.forget(func(known *batch.Aside) []int64 {
		known.Finished()
		return known.Finish(begun)
	})
	return nil
}

// release ends the claim of a key under the lease of an epoch. If the consumer has not dealt with what it had claimed, others are to.
func (a *aside) release(epoch int64, key string, dealt bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known.Stale(epoch) {
		return
	}
	a.known.Release(key, dealt)
	if !dealt {
		a.retries.wake()
	}
}
