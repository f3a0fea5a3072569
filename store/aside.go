package store

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/google/uuid"
)

// aside is what a subscription has parked, as this Store knows it under a lease: later events of those keys are parked behind it.
type aside struct {
	storage ParkedStorage // nil if nothing can be parked
	id      SubscriptionID

	// writing is held while what is parked changes, or is read, in the database and here: so no event is parked behind others
	// that are just found to be gone.
	writing sync.Mutex

	mu        sync.Mutex
	epoch     int64             // of the lease under which keys was read; 0: to be read
	changes   int64             // see [ParkedStorage].LookParked
	keys      map[string]bool   // that have parked events
	looked    time.Time         // when changes was looked at
	pending   bool              // some of what is parked may be ready to be handled, and is not looked for yet
	unsure    bool              // an event that was parked since may be ready, since it came before what its key waits for
	replaying bool              // a consumer replays
	later     map[string]*retry // by key, parked events whose replay is to be tried again: until then nothing of the key is replayed
}

func newAside(h *hub, id SubscriptionID, transient bool) *aside {
	a := &aside{id: id}
	if !transient {
		a.storage, _ = h.storage.(ParkedStorage)
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

// forget has keys read again.
func (a *aside) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.epoch = 0
}

// isPending reports whether parked events that are ready are to be looked for, or one is to be tried again.
func (a *aside) isPending() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending {
		return true
	}
	now := time.Now()
	for _, r := range a.later {
		if !r.at.After(now) {
			return true
		}
	}
	return false
}

// begin reports whether the caller may replay, since no other consumer does. Then it calls end.
func (a *aside) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.replaying {
		return false
	}
	a.replaying = true
	return true
}

func (a *aside) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.replaying = false
}

// postpone has a parked event tried again later, under the lease of an epoch.
func (a *aside) postpone(epoch int64, r *retry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.epoch != epoch {
		return
	}
	if a.later == nil {
		a.later = map[string]*retry{}
	}
	a.later[r.parked.Key] = r
}

// take returns the retry of a parked event, which begins, or nil.
func (a *aside) take(p ParkedEvent) *retry {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.later[p.Key]
	if r == nil || r.parked.ID != p.ID {
		return nil
	}
	delete(a.later, p.Key)
	return r
}

// nextReplay returns when a parked event is to be tried again under the lease of an epoch, or at if that is before. It
// returns at while a consumer replays: that consumer asks again when it has finished.
func (a *aside) nextReplay(epoch int64, at time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.replaying || a.epoch != epoch {
		return at
	}
	for _, r := range a.later {
		if r.at.Before(at) {
			at = r.at
		}
	}
	return at
}

// waiting returns the keys of the parked events that are to be tried again later than now.
func (a *aside) waiting(now time.Time) (keys []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, r := range a.later {
		if r.at.After(now) {
			keys = append(keys, key)
		}
	}
	return keys
}

// forgetDiscarded forgets the retries of parked events that are not there any more.
func (a *aside) forgetDiscarded(ctx context.Context) error {
	r := ParkedRequest{Subscription: a.id, Partitions: 1, AfterID: uuid.Max, AfterNumber: math.MaxInt64}
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
	maps.DeleteFunc(a.later, func(_ string, r *retry) bool { return !there[r.parked.ID] })
	return nil
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

// has reports whether a key has parked events, in the epoch.
func (a *aside) has(epoch int64, key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.epoch == epoch && a.keys[key]
}

// load reads which keys are parked, under the lease of an epoch. What is ready among them is to be looked for.
func (a *aside) load(ctx context.Context, epoch int64) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	changes, err := a.read(ctx, epoch)
	if err != nil {
		return err
	}
	if err := a.forgetDiscarded(ctx); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes, a.looked, a.pending, a.unsure = changes, time.Now(), len(a.keys) > 0, false
	return nil
}

// read reads which keys are parked. The caller holds writing.
func (a *aside) read(ctx context.Context, epoch int64) (changes int64, err error) {
	changes, keys, err := a.storage.LookParked(ctx, a.id, -1)
	if err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.epoch != epoch {
		a.epoch, a.later = epoch, nil
	}
	a.keys = make(map[string]bool, len(keys))
	for _, key := range keys {
		a.keys[key] = true
	}
	return changes, nil
}

// finish ends a replay that began now if nothing else is ready: keys that have nothing parked any more are handled as before. What
// others have changed since the load is still to be looked at.
func (a *aside) finish(ctx context.Context, epoch int64, now time.Time) (done bool, err error) {
	a.writing.Lock()
	defer a.writing.Unlock()
	list, err := a.ready(ctx, 1, now)
	if err != nil || len(list) > 0 { // parked behind others meanwhile
		return false, err
	}
	if _, err := a.read(ctx, epoch); err != nil {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending, a.unsure = false, false
	// What was due, and has not failed again, is not there any more.
	maps.DeleteFunc(a.later, func(key string, r *retry) bool { return !a.keys[key] || !r.at.After(now) })
	return true, nil
}

// changed reports whether something that is parked may have become ready since it was loaded.
func (a *aside) changed(ctx context.Context) (bool, error) {
	a.mu.Lock()
	known, unsure := a.changes, a.unsure
	a.mu.Unlock()
	if unsure {
		return true, nil
	}
	changes, _, err := a.storage.LookParked(ctx, a.id, known)
	return changes != known, err
}

// park parks an event. One that has not failed is parked only if something of its key still is, which it reports.
func (a *aside) park(ctx context.Context, epoch int64, p ParkedEvent) (parked bool, err error) {
	a.writing.Lock()
	defer a.writing.Unlock()
	if !p.Failed && !a.has(epoch, p.Key) {
		return false, nil
	}
	if err := a.storage.SaveParked(ctx, ParkedChange{ID: a.id, Epoch: epoch, Park: []ParkedEvent{p}}); err != nil {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.epoch == epoch {
		a.keys[p.Key] = true
		a.unsure = a.unsure || !p.Failed
	}
	return true, nil
}

// remove removes a parked event that has been dealt with. Its key counts as parked until the next load.
func (a *aside) remove(ctx context.Context, epoch int64, id uuid.UUID) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	return a.storage.SaveParked(ctx, ParkedChange{ID: a.id, Epoch: epoch, Remove: []uuid.UUID{id}})
}

// ready returns parked events that may be handled again now, in order: none of a key with an event that is to be tried again later.
func (a *aside) ready(ctx context.Context, limit int, now time.Time) ([]ParkedEvent, error) {
	return a.storage.ReadParked(ctx, ParkedRequest{
		Subscription: a.id, Ready: true, ExceptKeys: a.waiting(now), Partitions: 1, AfterNumber: -1, Limit: limit,
	})
}
