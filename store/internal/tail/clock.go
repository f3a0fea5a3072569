package tail

import "time"

// Least is how soon a feed that has found events polls again without a hint.
const Least = 10 * time.Millisecond

// Clock decides when a feed polls, and when it looks around. To look around is to ask for the versions of the streams that its members
// are on: links and new incarnations of a stream are not among new events. Without a hint, rounds follow each other at an interval:
//
//	a round                                      | the interval then       | the next round
//	found events                                 | Least                   | an interval from now; the feed rests first, see Rest
//	read, and found none                         | doubled, at most every  | an interval from now
//	read, and found none; the replica moves      | Least                   | an interval from now
//	did not read, as the poll had no news        | doubled, at most every  | an interval after the poll
//	failed                                       | every                   | an interval from now; it shares no poll and looks around
//	begins more than every after the last look   | same                    | this round looks around
type Clock struct {
	every    time.Duration // the longest interval
	interval time.Duration
	next     time.Time // when the next round begins without a hint
	looked   time.Time // as of when it last looked around; zero after an error, because another database may answer next
}

// NewClock returns the clock of a feed that begins now. Every is the longest interval.
func NewClock(every time.Duration, now time.Time) *Clock {
	return &Clock{every: every, interval: Least, next: now.Add(Least), looked: now}
}

// Wait returns how long to wait for a hint before the next round.
func (c *Clock) Wait(now time.Time) time.Duration { return max(c.next.Sub(now), 0) }

// Shared returns how old a shared poll may be. It reports false after a hint or an error: the round must read then, because an older
// answer does not cover what has happened.
func (c *Clock) Shared(hinted bool) (age time.Duration, ok bool) {
	return c.interval, !hinted && !c.looked.IsZero()
}

// Around reports whether the round must look around. The next look is due every after asked, the time of the answer that this round
// goes by.
func (c *Clock) Around(asked, now time.Time) bool {
	if now.Sub(c.looked) < c.every {
		return false
	}
	c.looked = asked
	return true
}

// Round is the outcome of a round.
type Round struct {
	Began time.Time
	Asked time.Time // the time of the poll it went by, which is before Began if another feed polled
	Read  bool      // it read pages
	Found int       // events in these pages
	Moves bool      // the replica has begun to lag or has moved since Began, so more events may come in a moment
}

// Done ends a round. It returns how long the feed rests before it waits.
func (c *Clock) Done(r Round, now time.Time) (rest time.Duration) {
	from := now
	switch {
	case r.Found > 0:
		rest = Rest(r.Found, now.Sub(r.Began))
		c.interval = c.least()
	case r.Read && r.Moves:
		c.interval = c.least()
	case r.Read:
		c.interval = min(2*c.interval, c.every)
	default:
		c.interval = min(2*c.interval, c.every)
		from = r.Asked
	}
	c.next = from.Add(c.interval)
	return rest
}

// Failed ends a round that returned an error.
func (c *Clock) Failed(now time.Time) {
	c.interval, c.looked = c.every, time.Time{}
	c.next = now.Add(c.interval)
}

func (c *Clock) least() time.Duration { return min(Least, c.every) }

// A feed that found events rests for perEvent each, at most for mostRest, counted from the beginning of the round. A round costs the
// database a commit besides the read, which is expensive next to busy writers. A single event is not delayed.
const (
	perEvent = 100 * time.Microsecond
	mostRest = 5 * time.Millisecond
)

// Rest returns how long to rest after a round that found n events and took some time.
func Rest(n int, took time.Duration) time.Duration {
	return max(min(time.Duration(n)*perEvent, mostRest)-took, 0)
}
