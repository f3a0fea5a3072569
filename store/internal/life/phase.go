package life

import (
	"cmp"
	"slices"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/queue"
)

// Phase is what a subscription is doing, as its users see it.
type Phase int

// The phases.
const (
	Waiting Phase = iota
	CatchingUp
	Live
	Stopped
)

// phase is the phase of a subscription, and why it is that.
type phase[E any] struct {
	now     Phase
	cause   error
	begun   bool      // a first phase was set
	changed bool      // since it was told
	at      []wait[E] // subscribers that wait at an event
}

// wait is a subscriber that waits at an event, and why.
type wait[E any] struct {
	seat *queue.Seat[E]
	why  error
}

// set sets the phase and its cause. It reports whether that is another one.
func (p *phase[E]) set(now Phase, cause error) bool {
	if p.begun && p.now == now && (cause == nil) == (p.cause == nil) && (cause == nil || cause.Error() == p.cause.Error()) {
		return false
	}
	p.now, p.cause, p.begun, p.changed = now, cause, true, true
	return true
}

// told reports whether the phase has changed since it was called last.
func (p *phase[E]) told() bool {
	changed := p.changed
	p.changed = false
	return changed
}

func (p *phase[E]) waits() bool { return len(p.at) > 0 }

// wait notes why a subscriber waits at an event, or with nil that it goes on. It reports whether that is something new.
func (p *phase[E]) wait(s *queue.Seat[E], why error) bool {
	i := slices.IndexFunc(p.at, func(w wait[E]) bool { return w.seat == s })
	switch {
	case why == nil && i < 0:
		return false
	case why == nil:
		p.at = slices.Delete(p.at, i, i+1)
	case i < 0:
		p.at = append(p.at, wait[E]{s, why})
	default:
		p.at[i].why = why
	}
	return true
}

// set sets the phase.
func (l *Life[E]) set(p Phase, cause error) {
	if cause != nil {
		cause = l.opts.Named(cause)
	}
	if l.phase.set(p, cause) {
		l.opts.WakeWatchers()
	}
}

// goOn sets the phase. It is Waiting until whatever keeps the subscription from going on is over, so that attempts meanwhile do
// not show as phases of their own: while the checkpoint can't be written, nothing can be read, the lease has expired, or a
// subscriber waits at an event.
func (l *Life[E]) goOn(p Phase, now time.Time) {
	if why := l.obstacle(p, now); why != nil {
		l.set(Waiting, why)
	} else {
		l.set(p, nil)
	}
}

func (l *Life[E]) obstacle(p Phase, now time.Time) error {
	if err := cmp.Or(l.pace.Refused(), l.reading.OwnError()); err != nil {
		return err
	}
	fed := l.reading.FeedError()
	switch {
	case !l.tenure.Valid(now):
		return cmp.Or(fed, l.opts.LeaseLost)
	case l.phase.waits():
		return l.phase.at[0].why
	case p == Live && !l.intake.Filled():
		return fed
	}
	return nil
}

// State returns the phase and its cause. begun is false until there is one.
func (l *Life[E]) State() (now Phase, cause error, begun bool) {
	return l.phase.now, l.phase.cause, l.phase.begun
}

// Leased reports whether the lease is valid, though the subscription may be Waiting for something else.
func (l *Life[E]) Leased(now time.Time) bool {
	return (l.pace.Refused() != nil || l.reading.OwnError() != nil || l.phase.waits()) && l.tenure.Valid(now)
}

// Wait notes why a subscriber waits at an event, or with nil that it goes on: the subscription is Waiting meanwhile.
func (l *Life[E]) Wait(s *queue.Seat[E], why error) {
	if l.phase.wait(s, why) {
		l.opts.WakeWatchers()
		l.opts.WakeRunner()
	}
}
