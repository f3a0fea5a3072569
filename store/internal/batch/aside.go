package batch

import (
	"maps"
	"slices"
	"time"
)

// Act is what a partition does about its parked events.
type Act int

const (
	// Rest does nothing for now.
	Rest Act = iota
	// Look looks whether others have changed what is parked: answer Looked.
	Look
	// Replay applies the parked events that are ready: see [Aside.Begin].
	Replay
)

// Aside is what a partition knows of its parked events. It is of one lease: under another one it is read anew, before anything is
// applied. While a key has something parked, its new events are parked behind that. A parked event that is to be retried delays only its
// key.
//
//	| state          | event                                         | then                    | out                             |
//	|----------------|-----------------------------------------------|-------------------------|---------------------------------|
//	| any            | Forget: the lease is gone, or read anew       | no retries              |                                 |
//	| any            | Parked, Loaded                                | pending, or nothing     | retries of keys that have none  |
//	| any            | Unread until t                                | same, rests until t     |                                 |
//	| nothing parked | Next                                          | same                    | Rest                            |
//	| parked         | Next before t                                 | same                    | Rest                            |
//	| pending        | Next                                          | same                    | Replay                          |
//	| parked         | Next, a retry is due                          | same                    | Replay                          |
//	| parked         | Next, the last look was poll ago              | same                    | Look                            |
//	| parked         | Next                                          | same                    | Rest                            |
//	| parked         | Looked: changed                               | same                    | read, then Parked and Reloaded  |
//	| parked         | Reloaded                                      | pending, or nothing     |                                 |
//	| parked         | Begin                                         | pending                 |                                 |
//	| pending        | Finish: nothing was ready                     | same, no retry is due   | retries that were due           |
//	| pending        | Parked, Finished                              | parked, or nothing      | retries of keys that have none  |
//	| any            | Put                                           | parked                  |                                 |
//	| parked         | Postpone                                      | same, one retry more    |                                 |
type Aside struct {
	poll    time.Duration
	epoch   int64                // of the lease under which keys was read
	changes int64                // of the projection when keys was read
	keys    map[string]bool      // that have parked events
	looked  time.Time            // when changes was looked at
	unread  time.Time            // until when nothing is read, since that has failed
	pending bool                 // parked events that are ready may be there
	later   map[string]postponed // by key; until then nothing of the key is replayed
}

// postponed is a parked event that is to be retried.
type postponed struct {
	id       [16]byte
	number   int64
	attempts int // how often it has failed since it was released
	at       time.Time
}

// NewAside returns what is known before anything was read. Every poll, changes are looked for.
func NewAside(poll time.Duration) *Aside {
	return &Aside{poll: poll, keys: map[string]bool{}, later: map[string]postponed{}}
}

// Stale reports whether what is parked has to be read, since it was not under the lease of this epoch.
func (a *Aside) Stale(epoch int64) bool { return a.epoch != epoch }

// Epoch returns the epoch of the lease under which what is parked was read.
func (a *Aside) Epoch() int64 { return a.epoch }

// Forget forgets all retries.
func (a *Aside) Forget() { clear(a.later) }

// Looking notes that changes are looked at now.
func (a *Aside) Looking(now time.Time) { a.looked = now }

// Parked notes which keys are parked. It returns the numbers of events whose retries are over, since nothing of their keys is parked.
func (a *Aside) Parked(keys []string) (over []int64) {
	a.keys = make(map[string]bool, len(keys))
	for _, key := range keys {
		a.keys[key] = true
	}
	return a.drop(func(key string, _ postponed) bool { return !a.keys[key] })
}

// Loaded notes that what is parked was read under the lease of an epoch, and changes before that.
func (a *Aside) Loaded(epoch, changes int64) {
	a.epoch, a.unread = epoch, time.Time{}
	a.Reloaded(changes)
}

// Reloaded is Loaded under the same lease.
func (a *Aside) Reloaded(changes int64) { a.changes, a.pending = changes, len(a.keys) > 0 }

// Unread notes that what is parked could not be read, and is not to be read until then.
func (a *Aside) Unread(until time.Time) { a.unread = until }

// Next returns what to do.
func (a *Aside) Next(now time.Time) Act {
	first, ok := a.first()
	switch {
	case len(a.keys) == 0 || a.unread.After(now):
		return Rest
	case a.pending || ok && !first.After(now):
		return Replay
	case now.Sub(a.looked) >= a.poll:
		return Look
	}
	return Rest
}

// Wait returns how long it is until Next is to be asked. epoch is that of the lease; without one that is held, Next is not asked.
func (a *Aside) Wait(epoch int64, held bool, now time.Time) time.Duration {
	first, ok := a.first()
	switch {
	case !held || a.Stale(epoch) || len(a.keys) == 0:
		return a.poll
	case a.unread.After(now):
		return min(a.poll, a.unread.Sub(now))
	case a.pending:
		return 0
	case ok:
		return min(a.poll, max(first.Sub(now), 0))
	}
	return a.poll
}

// first returns when the first retry is due. ok is false if there is none.
func (a *Aside) first() (at time.Time, ok bool) {
	for _, r := range a.later {
		if !ok || r.at.Before(at) {
			at, ok = r.at, true
		}
	}
	return at, ok
}

// Looked reports whether what is parked was changed since it was read.
func (a *Aside) Looked(changes int64) bool { return changes != a.changes }

// Begin notes that what is ready is replayed. It reports whether there may be something.
func (a *Aside) Begin() bool {
	a.pending = len(a.keys) > 0
	return a.pending
}

// Waiting returns the keys of which nothing is replayed in a replay that began then: the events that are to be retried are not due. What
// fails again in the replay waits until the next one, so that it does not keep new events waiting.
func (a *Aside) Waiting(begun time.Time) (keys []string) {
	for key, r := range a.later {
		if r.at.After(begun) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Finish notes that nothing is ready any more in a replay that began then. It returns the numbers of events whose retries are over: they
// were due, and are applied or not there any more.
func (a *Aside) Finish(begun time.Time) (over []int64) {
	return a.drop(func(_ string, r postponed) bool { return !r.at.After(begun) })
}

// Finished notes that the replay is over, and what is still parked was read.
func (a *Aside) Finished() { a.pending = false }

// Has reports whether a key has something parked.
func (a *Aside) Has(key string) bool { return a.keys[key] }

// Empty reports whether nothing is parked.
func (a *Aside) Empty() bool { return len(a.keys) == 0 }

// Put notes that an event of a key was parked.
func (a *Aside) Put(key string) { a.keys[key] = true }

// Postpone has the parked event of a key retried then. attempts is how often it has failed since it was released.
func (a *Aside) Postpone(key string, id [16]byte, number int64, attempts int, at time.Time) {
	a.later[key] = postponed{id, number, attempts, at}
}

// Tried returns how often the parked event of a key has failed since it was released.
func (a *Aside) Tried(key string, id [16]byte) int {
	if r, ok := a.later[key]; ok && r.id == id {
		return r.attempts
	}
	return 0
}

// Retries reports whether the parked event with a number is to be retried.
func (a *Aside) Retries(number int64) bool {
	for _, r := range a.later {
		if r.number == number {
			return true
		}
	}
	return false
}

// drop forgets retries that are over, and returns the numbers of their events in order.
func (a *Aside) drop(over func(key string, r postponed) bool) (numbers []int64) {
	maps.DeleteFunc(a.later, func(key string, r postponed) bool {
		if !over(key, r) {
			return false
		}
		numbers = append(numbers, r.number)
		return true
	})
	slices.Sort(numbers)
	return numbers
}
