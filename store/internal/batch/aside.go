package batch

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Act is what is done about parked events.
type Act int

const (
	// Rest does nothing for now.
	Rest Act = iota
	// Look looks whether others have changed what is parked: see [Aside.Looking] and [Aside.Looked].
	Look
	// Replay applies the parked events that are ready: see [Aside.Begin].
	Replay
)

// Aside is what is known of the parked events of a partition, or of a subscription. It is of one lease: under another one it is read
// anew, before anything is handled. While a key has something parked, its new events are parked behind that. A parked event that
// is to be retried delays only its key. While a consumer replays a key, which it has claimed, no other consumer does; a partition has
// one consumer, which claims nothing.
//
//	| state          | event                                   | then                      | out                            |
//	|----------------|-----------------------------------------|---------------------------|--------------------------------|
//	| any            | Parked under another lease              | parked, or nothing        | all retries; claims are over   |
//	| any            | Parked                                  | same, or nothing          | retries of keys that have none |
//	| any            | Loaded                                  | pending, or nothing       |                                |
//	| any            | Forget: the lease is lost               | no retries                |                                |
//	| any            | Unread until t                          | same, rests until t       |                                |
//	| nothing parked | Next                                    | same                      | Rest                           |
//	| any            | Next before t                           | same                      | Rest                           |
//	| pending        | Next                                    | same                      | Replay                         |
//	| parked         | Next, a retry is due                    | same                      | Replay                         |
//	| parked         | Next, the last look was poll ago        | same                      | Look                           |
//	| parked         | Next                                    | same                      | Rest                           |
//	| parked         | Looked: changed, or not sure            | same                      | read: Parked, Loaded           |
//	| parked         | Begin                                   | pending                   |                                |
//	| pending        | Claim                                   | same, the key is claimed  | the retry of the key           |
//	| any            | Release, dealt with / not               | same / pending            |                                |
//	| pending        | Finish: nothing is ready that is free   | same                      | retries that were due          |
//	| pending        | Finished                                | parked, or nothing; sure  |                                |
//	| any            | Put, in order / perhaps not             | parked / and not sure     |                                |
//	| parked         | Postpone                                | same, one retry more      |                                |
type Aside struct {
	poll    time.Duration
	epoch   int64                // of the lease under which keys was read
	changes int64                // by others, as they were counted when keys was read
	keys    map[string]bool      // that have parked events
	looked  time.Time            // when changes was looked at
	unread  time.Time            // until when nothing is read, since that has failed
	pending bool                 // parked events that are ready may be there
	unsure  bool                 // an event that was parked since may be ready, since it came before what its key waits for
	claimed map[string]bool      // keys that a consumer replays
	later   map[string]Postponed // by key; until then nothing of the key is replayed
}

// Postponed is a parked event that is to be retried.
type Postponed struct {
	ID       [16]byte
	Number   int64
	Attempts int // how often it has failed since it was released
	At       time.Time
}

// NewAside returns what is known before anything was read. Every poll, changes are looked for.
func NewAside(poll time.Duration) *Aside {
	return &Aside{poll: poll, keys: map[string]bool{}, claimed: map[string]bool{}, later: map[string]Postponed{}}
}

// Stale reports whether what is parked has to be read, since it was not under the lease of this epoch.
func (a *Aside) Stale(epoch int64) bool { return a.epoch != epoch }

// Epoch returns the epoch of the lease under which what is parked was read.
func (a *Aside) Epoch() int64 { return a.epoch }

// Forget forgets all retries.
func (a *Aside) Forget() { clear(a.later) }

// Parked notes which keys are parked, as was read under the lease of an epoch. It returns the numbers of events whose retries are over:
// nothing of their keys is parked, or they were of an earlier lease.
func (a *Aside) Parked(epoch int64, keys []string) (over []int64) {
	a.keys = make(map[string]bool, len(keys))
	for _, key := range keys {
		a.keys[key] = true
	}
	if a.Stale(epoch) {
		a.epoch = epoch
		clear(a.claimed)
		return a.drop(func(string, Postponed) bool { return true })
	}
	return a.drop(func(key string, _ Postponed) bool { return !a.keys[key] && !a.claimed[key] })
}

// Loaded notes that what is parked was read, and changes before that.
func (a *Aside) Loaded(changes int64) {
	a.changes, a.unread, a.unsure = changes, time.Time{}, false
	a.Begin()
}

// Unread notes that what is parked could not be read, and is not to be read until then.
func (a *Aside) Unread(until time.Time) { a.unread = until }

// Next returns what to do.
func (a *Aside) Next(now time.Time) Act {
	first, ok := a.first()
	switch {
	case a.Empty() || a.unread.After(now):
		return Rest
	case a.pending || ok && !first.After(now):
		return Replay
	case now.Sub(a.looked) >= a.poll:
		return Look
	}
	return Rest
}

// Looking notes that changes are looked at now.
func (a *Aside) Looking(now time.Time) { a.looked = now }

// Looked reports whether what is parked has to be read again.
func (a *Aside) Looked(changes int64) bool { return a.unsure || changes != a.changes }

// Changes returns what Looked compares with. If sure is false it has no need to.
func (a *Aside) Changes() (known int64, sure bool) { return a.changes, !a.unsure }

// Wait returns how long it is until Next is to be asked. epoch is that of the lease; without one that is held, Next is not asked.
func (a *Aside) Wait(epoch int64, held bool, now time.Time) time.Duration {
	switch {
	case !held || a.Stale(epoch) || a.Empty():
		return a.poll
	case a.unread.After(now):
		return min(a.poll, a.unread.Sub(now))
	case a.pending:
		return 0
	}
	return a.UntilRetry(now)
}

// UntilRetry returns how long it is until a retry or a look is due.
func (a *Aside) UntilRetry(now time.Time) time.Duration {
	if first, ok := a.first(); ok {
		return min(a.poll, max(first.Sub(now), 0))
	}
	return a.poll
}

// first returns when the first retry is due. ok is false if there is none.
func (a *Aside) first() (at time.Time, ok bool) {
	for _, r := range a.later {
		if !ok || r.At.Before(at) {
			at, ok = r.At, true
		}
	}
	return at, ok
}

// Begin notes that what is ready is to be replayed. It reports whether there may be something.
func (a *Aside) Begin() bool {
	a.pending = !a.Empty()
	return a.pending
}

// Busy returns the keys of which nothing is read in a replay that began then: another consumer replays them, or the events that are to
// be retried are not due. What fails again in the replay waits until the next one, so that it does not keep new events waiting.
func (a *Aside) Busy(begun time.Time) []string {
	keys := slices.Collect(maps.Keys(a.claimed))
	for key, r := range a.later {
		if r.At.After(begun) && !a.claimed[key] {
			keys = append(keys, key)
		}
	}
	return keys
}

// Claim gives a key to a consumer, until Release. It returns the retry that the key waited for, if ok is true.
func (a *Aside) Claim(key string) (r Postponed, ok bool) {
	a.claimed[key] = true
	r, ok = a.later[key]
	delete(a.later, key)
	return r, ok
}

// Release ends a claim. Unless the consumer has dealt with what it had claimed, another one is to.
func (a *Aside) Release(key string, dealt bool) {
	delete(a.claimed, key)
	a.pending = a.pending || !dealt
}

// Finish notes that nothing is ready any more in a replay that began then. It returns the numbers of events whose retries are over: they
// were due, and are handled or not there any more.
func (a *Aside) Finish(begun time.Time) (over []int64) {
	return a.drop(func(key string, r Postponed) bool { return !a.claimed[key] && !r.At.After(begun) })
}

// Finished notes that the replay is over, and what is still parked was read.
func (a *Aside) Finished() { a.pending, a.unsure = false, false }

// Has reports whether a key has something parked.
func (a *Aside) Has(key string) bool { return a.keys[key] }

// Empty reports whether nothing is parked.
func (a *Aside) Empty() bool { return len(a.keys) == 0 }

// Put notes that an event of a key was parked. sure says that it is behind all that its key waits for, or has failed.
func (a *Aside) Put(key string, sure bool) {
	a.keys[key] = true
	a.unsure = a.unsure || !sure
}

// Postpone has the parked event of a key retried later.
func (a *Aside) Postpone(key string, r Postponed) { a.later[key] = r }

// Tried returns how often the parked event of a key has failed since it was released.
func (a *Aside) Tried(key string, id [16]byte) int {
	if r, ok := a.later[key]; ok && r.ID == id {
		return r.Attempts
	}
	return 0
}

// Retries reports whether the parked event with a number is to be retried.
func (a *Aside) Retries(number int64) bool {
	for _, r := range a.later {
		if r.Number == number {
			return true
		}
	}
	return false
}

// Postponed returns the events that are to be retried, by number.
func (a *Aside) Postponed() []Postponed {
	return slices.SortedFunc(maps.Values(a.later), func(r, o Postponed) int { return cmp.Compare(r.Number, o.Number) })
}

// Discarded notes that of these retries only the events in there are still parked. It returns the numbers of those that are over.
func (a *Aside) Discarded(asked []Postponed, there map[[16]byte]bool) (over []int64) {
	return a.drop(func(_ string, r Postponed) bool {
		return !there[r.ID] && slices.ContainsFunc(asked, func(o Postponed) bool { return o.Number == r.Number })
	})
}

// drop forgets retries that are over, and returns the numbers of their events in order.
func (a *Aside) drop(over func(key string, r Postponed) bool) (numbers []int64) {
	maps.DeleteFunc(a.later, func(key string, r Postponed) bool {
		if !over(key, r) {
			return false
		}
		numbers = append(numbers, r.Number)
		return true
	})
	slices.Sort(numbers)
	return numbers
}
