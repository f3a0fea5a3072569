package store

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// aside is what a subscription has parked, which is read under each lease anew, and what its consumers are to handle again later.
type aside struct {
	storage      ParkedStorage // nil if nothing can be parked
	subscription *subscription

	// writing is held while what is parked is changed or read in the database and here. So no event is parked behind others that have
	// been found to be gone.
	writing sync.Mutex
	// Guarded by writing.
	page   []ParkedEvent // that may be handled, of keys that no consumer has claimed
	pageAt time.Time     // when it was read

	mu        sync.Mutex
	epoch     int64              // of the lease under which keys was read
	changes   int64              // see [ParkedStorage].LookParked
	keys      map[string]bool    // that have parked events
	looked    time.Time          // when changes was looked at
	pending   bool               // some of what is parked may be ready to be handled, and is not looked for yet
	unsure    bool               // an event that was parked since may be ready, since it came before what its key waits for
	claimed   map[string]bool    // keys that a consumer replays
	later     map[string]*retry  // by key, parked events whose replay is to be tried again: until then nothing of the key is replayed
	awaited   map[*retry]bool    // events in flight that are to be tried again
	handed    map[int64]*retry   // by number, those that were given back to the queue, for a consumer that was idle
	consumers map[*consumer]bool // whether they are busy
}

func newAside(s *subscription) *aside {
	a := &aside{
		subscription: s, keys: map[string]bool{}, claimed: map[string]bool{}, later: map[string]*retry{},
		awaited: map[*retry]bool{}, handed: map[int64]*retry{}, consumers: map[*consumer]bool{},
	}
	if !s.opts.Transient {
		a.storage, _ = s.env.storage.(ParkedStorage)
	}
	return a
}

// loaded reports whether keys is known under the lease of an epoch.
func (a *aside) loaded(epoch int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.epoch == epoch
}

// idle reports whether keys is known under the lease of an epoch, and nothing is parked.
func (a *aside) idle(epoch int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.epoch == epoch && len(a.keys) == 0
}

// isPending reports whether parked events that are ready are to be looked for, or one is to be tried again.
func (a *aside) isPending() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for _, r := range a.later {
		if !r.at.After(now) {
			return true
		}
	}
	return a.pending
}

// postpone has a parked event tried again later, under the lease of an epoch.
func (a *aside) postpone(epoch int64, r *retry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.epoch == epoch {
		a.later[r.parked.Key] = r
		a.wake()
	}
}

// nextReplay returns when a parked event is to be tried again under the lease of an epoch, or at if that is before.
func (a *aside) nextReplay(epoch int64, at time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.epoch != epoch {
		return at
	}
	for _, r := range a.later {
		if r.at.Before(at) {
			at = r.at
		}
	}
	return at
}

// due reports whether it is time to look whether others have changed what is parked, and counts as a look.
func (a *aside) due(every time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.keys) == 0 || time.Since(a.looked) < every {
		return false
	}
	a.looked = time.Now()
	return true
}

// has reports whether a key has parked events. known is false if that was not read under the lease of the epoch.
func (a *aside) has(epoch int64, key string) (parked, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keys[key], a.epoch == epoch
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
	a.changes, a.looked, a.pending, a.unsure = changes, time.Now(), len(a.keys) > 0, false
	if a.pending {
		a.wake()
	}
	return nil
}

// read reads which keys are parked. The caller holds writing. An epoch that is over is [ErrLeaseLost].
func (a *aside) read(ctx context.Context, epoch int64) (changes int64, err error) {
	changes, keys, err := a.storage.LookParked(ctx, a.subscription.id, -1)
	if err != nil {
		return 0, err
	}
	if a.subscription.epoch() != epoch { // what is known under a newer lease stays
		return 0, ErrLeaseLost
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.epoch != epoch {
		a.drop(func(*retry) bool { return true })
		a.epoch, a.page = epoch, nil
		clear(a.claimed)
	}
	a.keys = make(map[string]bool, len(keys))
	for _, key := range keys {
		a.keys[key] = true
	}
	return changes, nil
}

// drop forgets retries of parked events, and their errors. a.mu is held.
func (a *aside) drop(over func(r *retry) bool) {
	maps.DeleteFunc(a.later, func(_ string, r *retry) bool {
		if !over(r) {
			return false
		}
		a.subscription.solved(r.parked.Number, r.parked.Number)
		return true
	})
}

// forgetDiscarded forgets the retries of parked events that are not there any more.
func (a *aside) forgetDiscarded(ctx context.Context) error {
	r := ParkedRequest{Subscription: a.subscription.id, Partitions: 1, AfterID: uuid.Max, AfterNumber: math.MaxInt64}
	a.mu.Lock()
	for _, again := range a.later {
		n := again.parked.Number
		r.Numbers, r.AfterNumber, r.ToNumber = append(r.Numbers, n), min(r.AfterNumber, n-1), max(r.ToNumber, n)
	}
	a.mu.Unlock()
	if r.Limit = len(r.Numbers); r.Limit == 0 {
		return nil
	}
	list, err := a.storage.ReadParked(ctx, r)
	if err != nil {
		return err
	}
	there := make(map[uuid.UUID]bool, len(list))
	for _, p := range list {
		there[p.ID] = true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(func(again *retry) bool {
		return slices.Contains(r.Numbers, again.parked.Number) && !there[again.parked.ID]
	})
	return nil
}

// changed reports whether something that is parked may have become ready since it was loaded.
func (a *aside) changed(ctx context.Context) (bool, error) {
	a.mu.Lock()
	known, unsure := a.changes, a.unsure
	a.mu.Unlock()
	if unsure {
		return true, nil
	}
	changes, _, err := a.storage.LookParked(ctx, a.subscription.id, known)
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
	if a.epoch == r.Epoch {
		if len(a.keys) == 0 {
			a.wake()
		}
		a.keys[p.Key] = true
		a.unsure = a.unsure || !p.Failed
	}
	return parkDone, nil
}

// remove removes a parked event that has been dealt with. Its key counts as parked until the next load.
func (a *aside) remove(ctx context.Context, epoch int64, id uuid.UUID) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	_, err := a.storage.SaveParked(ctx, ParkedChange{ID: a.subscription.id, Epoch: epoch, Remove: []uuid.UUID{id}})
	return err
}

// claim returns parked events of a key that may be handled now, in order, and the retry that one of them waited for, or nil. Nothing of
// the key is claimed again until release. If there are none, keys that have nothing parked any more are handled as before; what
// others have changed since the load is not looked at. now is when the replay began.
func (a *aside) claim(ctx context.Context, epoch int64, limit int, now time.Time) (list []ParkedEvent, again *retry, err error) {
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.subscription.epoch() != epoch {
		return nil, nil, ErrLeaseLost
	}
	if len(a.page) == 0 || time.Since(a.pageAt) > a.subscription.env.pollEvery { // some may be discarded by now
		a.pageAt = time.Now()
		a.page, err = a.storage.ReadParked(ctx, ParkedRequest{
			Subscription: a.subscription.id, Ready: true, ExceptKeys: a.busy(now), Partitions: 1, AfterNumber: -1, Limit: limit,
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if len(a.page) == 0 {
		return nil, nil, a.finish(ctx, epoch, now)
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
	a.claimed[key] = true
	again = a.later[key]
	delete(a.later, key)
	return list, again, nil
}

// busy returns the keys that others replay, and those of parked events that are to be tried again later than now.
func (a *aside) busy(now time.Time) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	keys := slices.Collect(maps.Keys(a.claimed))
	for key, r := range a.later {
		if r.at.After(now) && !a.claimed[key] {
			keys = append(keys, key)
		}
	}
	return keys
}

// finish ends a replay that began now, since nothing else is ready. The caller holds writing.
func (a *aside) finish(ctx context.Context, epoch int64, now time.Time) error {
	if _, err := a.read(ctx, epoch); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending, a.unsure = false, false
	a.drop(func(r *retry) bool { // what was due, and has not failed again, is not there any more
		key := r.parked.Key
		return !a.claimed[key] && (!a.keys[key] || !r.at.After(now))
	})
	return nil
}

// release ends the claim of a key under the lease of an epoch. If the consumer has not dealt with what it had claimed, others are to.
func (a *aside) release(epoch int64, key string, dealt bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.epoch != epoch {
		return
	}
	delete(a.claimed, key)
	if !dealt {
		a.pending = true
		a.wake()
	}
}
