package tail

import "time"

// Lag is how long a replica has stood still behind its primary.
//
//	state   | Look                               | then            | out
//	any     | the replica has everything         | none            | -
//	none    | it is behind                       | lagging, as of now | -
//	lagging | it is behind at another position   | lagging, as of now | -
//	lagging | at the same one, for less than every | lagging       | -
//	lagging | at the same one, for every         | late            | the end of the primary
//	late    | at the same one                    | late            | the same end as before, so that the error stays the same
//	late    | it is behind at another position   | lagging, as of now | -
type Lag struct {
	since    time.Time // zero: it does not lag
	position int64     // where the replica ended then
	late     bool
	end      int64 // where the primary ended when the replica became late
}

// Look records that the replica ended at position when the primary ended at end, or later. If the replica is late, Look returns where
// the primary ended when it became late.
func (l *Lag) Look(position, end int64, every time.Duration, now time.Time) (primary int64, late bool) {
	switch {
	case position >= end:
		*l = Lag{}
	case l.since.IsZero() || l.position != position:
		*l = Lag{since: now, position: position}
	case !l.late && now.Sub(l.since) >= every:
		l.late, l.end = true, end
	}
	return l.end, l.late
}

// BeganAfter reports whether the replica began to lag at a time or later, or has moved since then and still lags.
func (l *Lag) BeganAfter(at time.Time) bool { return !l.since.IsZero() && !l.since.Before(at) }
