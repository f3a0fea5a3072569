package store

import (
	"context"
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
	turn    sync.Mutex // of the consumer that replays

	mu      sync.Mutex
	epoch   int64           // of the lease under which keys was read; 0: to be read
	changes int64           // see [ParkedStorage].LookParked
	keys    map[string]bool // that have parked events
	looked  time.Time       // when changes was looked at
	pending bool            // some of what is parked may be ready to be handled, and is not looked for yet
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

// isPending reports whether parked events that are ready are to be looked for.
func (a *aside) isPending() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending
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
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes, a.looked, a.pending = changes, time.Now(), len(a.keys) > 0
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
	a.epoch = epoch
	a.keys = make(map[string]bool, len(keys))
	for _, key := range keys {
		a.keys[key] = true
	}
	return changes, nil
}

// finish ends a replay if nothing is ready: keys that have nothing parked any more are handled as before. What others have changed
// since the load is still to be looked at.
func (a *aside) finish(ctx context.Context, epoch int64) (done bool, err error) {
	a.writing.Lock()
	defer a.writing.Unlock()
	list, err := a.ready(ctx, 1)
	if err != nil || len(list) > 0 { // parked behind others meanwhile
		return false, err
	}
	if _, err := a.read(ctx, epoch); err != nil {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = false
	return true, nil
}

// changed reports whether others have changed what is parked since it was loaded.
func (a *aside) changed(ctx context.Context) (bool, error) {
	a.mu.Lock()
	known := a.changes
	a.mu.Unlock()
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
	}
	return true, nil
}

// remove removes a parked event that has been dealt with. Its key counts as parked until the next load.
func (a *aside) remove(ctx context.Context, epoch int64, id uuid.UUID) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	return a.storage.SaveParked(ctx, ParkedChange{ID: a.id, Epoch: epoch, Remove: []uuid.UUID{id}})
}

// ready returns parked events that may be handled again, in order.
func (a *aside) ready(ctx context.Context, limit int) ([]ParkedEvent, error) {
	return a.storage.ReadParked(ctx, ParkedRequest{Subscription: a.id, Ready: true, Partitions: 1, AfterNumber: -1, Limit: limit})
}

// holds reports whether an event is parked and may be handled.
func (a *aside) holds(ctx context.Context, p ParkedEvent) (bool, error) {
	list, err := a.storage.ReadParked(ctx, ParkedRequest{
		Subscription: a.id, Partitions: 1, Numbers: []int64{p.Number}, AfterNumber: p.Number - 1, AfterID: uuid.Max, ToNumber: p.Number, Limit: 10,
	})
	for _, other := range list {
		if other.ID == p.ID && !other.Failed {
			return true, err
		}
	}
	return false, err
}
