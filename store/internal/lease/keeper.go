package lease

import "time"

// Keeper decides when a process renews its leases, and when it looks for free leases that it waits for. Retry is how often it looks
// without a hint, 0 if it waits for none.
//
//	event                                      | then    | out
//	ttl/3 has passed since the last renewal    | renewed | renew all leases, and Judge each
//	Hint                                       | hinted  | wake lookLeast, or retry if that is less, after the last look
//	retry has passed without an event          | same    | wake
//	awake, lookLeast or retry after the last look | looked, not hinted | look for free leases
//	awake, retry is 0                          | looked, not hinted | look: a subscription may have begun to wait
type Keeper struct {
	ttl     time.Duration
	renewed time.Time
	looked  time.Time
	hinted  bool // since the last look
}

// lookLeast is the time between two looks for free leases if there are many hints, most of which are about events.
const lookLeast = 100 * time.Millisecond

// NewKeeper returns the keeper of leases that last for ttl. The first renewal is due ttl/3 from now.
func NewKeeper(ttl time.Duration, now time.Time) *Keeper { return &Keeper{ttl: ttl, renewed: now} }

// Wait returns how long to wait for a hint. It reports false if there is no limit: the process holds no leases, and retry is 0.
func (k *Keeper) Wait(now time.Time, holds bool, retry time.Duration) (d time.Duration, ok bool) {
	if holds {
		d, ok = max(k.every()-now.Sub(k.renewed), 0), true
	}
	if retry == 0 {
		return d, ok
	}
	look := retry
	if k.hinted {
		look = max(least(retry)-now.Sub(k.looked), 0)
	}
	if ok {
		look = min(look, d)
	}
	return look, true
}

// Hint records that a lease may be free, or that the process waits for another one.
func (k *Keeper) Hint() { k.hinted = true }

// Renew reports whether to renew leases now.
func (k *Keeper) Renew(now time.Time) bool {
	if now.Sub(k.renewed) < k.every() {
		return false
	}
	k.renewed = now
	return true
}

// Look reports whether to look for free leases now. Retry is that of the last Wait.
func (k *Keeper) Look(now time.Time, retry time.Duration) bool {
	if now.Sub(k.looked) < least(retry) {
		return false
	}
	k.looked, k.hinted = now, false
	return true
}

// every is the time between two renewals: two may fail before a lease expires.
func (k *Keeper) every() time.Duration { return k.ttl / 3 }

func least(retry time.Duration) time.Duration { return min(lookLeast, retry) }

// Known is the state of a lease, as a process remembers it or as the database returns it. The zero value stands for no lease.
type Known struct{ Epoch, StreamID, Checkpoint int64 }

// Verdict is the outcome of a renewal for one lease.
type Verdict int

const (
	// Kept means that the lease was renewed.
	Kept Verdict = iota
	// Taken means that the epoch is over: another process has or had the lease, or the subscription was deleted.
	Taken
	// WentBack means that the database has lost a checkpoint that it had confirmed, as in a failover to a standby that lagged.
	WentBack
)

// Judge compares a lease as it was known before the renewal with the lease that the database returned.
//
//	epoch   | stream  | checkpoint    | out
//	another | any     | any           | Taken
//	same    | same    | lower         | WentBack
//	same    | same    | same, higher  | Kept
//	same    | another | any           | Kept: numbers begin anew
func Judge(was, is Known) Verdict {
	switch {
	case is.Epoch != was.Epoch:
		return Taken
	case is.StreamID == was.StreamID && is.Checkpoint < was.Checkpoint:
		return WentBack
	}
	return Kept
}
