package lease

import "time"

// Tenure is whether a process may run a subscription: it holds the lease of an epoch until a time. The zero value holds none.
//
//	| state     | event                      | next state     | result                                        |
//	|-----------|----------------------------|----------------|-----------------------------------------------|
//	| None, Lost| Take                       | Held           |                                               |
//	| Held      | Renew                      | Held           | revived, if it had expired                    |
//	| Held      | its time passes            | Held, not valid| nothing is sent, acknowledgements are void    |
//	| Held      | Lose, of this epoch        | Lost           | the subscription is woken                     |
//	| any       | Renew, Lose of another epoch | unchanged    |                                               |
//
// The time is counted from before the database was asked, so that the lease is never valid here for longer than there.
type Tenure struct {
	epoch int64
	until time.Time // zero: for ever, as of a transient subscription
	lost  bool
}

// Take notes that the lease of an epoch was acquired. A zero until means for ever.
func (t *Tenure) Take(epoch int64, until time.Time) { *t = Tenure{epoch: epoch, until: until} }

// Renew notes that the lease of an epoch was renewed. It reports whether the lease had expired and is valid again.
func (t *Tenure) Renew(epoch int64, until, now time.Time) (revived bool) {
	if epoch != t.epoch || t.lost {
		return false
	}
	was := t.until
	t.until = until
	return !was.After(now)
}

// Lose notes that another process has, or had, the lease of an epoch. It reports whether that is the lease held.
func (t *Tenure) Lose(epoch int64) bool {
	if epoch != t.epoch {
		return false
	}
	t.lost = true
	return true
}

// Valid reports whether the lease is held and has not expired, for all this process knows.
func (t *Tenure) Valid(now time.Time) bool {
	return !t.lost && (t.until.IsZero() || now.Before(t.until))
}

// Lost reports whether the lease was lost since Take.
func (t *Tenure) Lost() bool { return t.lost }

// Epoch returns the epoch of the last lease: 0 before the first, and for one that is not in the database.
func (t *Tenure) Epoch() int64 { return t.epoch }

// Expired reports whether the lease was held until a time that has passed.
func (t *Tenure) Expired(now time.Time) bool { return !t.until.IsZero() && !t.until.After(now) }

// Deadline returns when the lease expires, or the zero time if that is never or has been.
func (t *Tenure) Deadline(now time.Time) time.Time {
	if !t.until.After(now) {
		return time.Time{}
	}
	return t.until
}
