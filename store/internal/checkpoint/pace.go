// Package checkpoint decides when the checkpoint of a subscription is written to the database.
//
// The package does no I/O, starts no goroutine, and has no lock and no clock: the time is a parameter. None of its types is
// safe for concurrent use.
package checkpoint

import "time"

// Policy is how often a checkpoint is written.
type Policy struct {
	Threshold int64         // a checkpoint that is so many events ahead of the saved one is due
	LeftOut   int64         // the least threshold as long as no event was acknowledged: events were only filtered out
	After     time.Duration // a checkpoint is due so long after it ran ahead; negative: never
	Every     time.Duration // the least time between two writes for the threshold; 0: none
}

// Pace decides when the checkpoint is written, and holds what is known of the saved one. The checkpoint itself is the queue's: every
// method that compares takes it as at.
//
//	| state       | event                                                  | next state             | result                   |
//	|-------------|--------------------------------------------------------|------------------------|--------------------------|
//	| Clean       | Advance beyond the saved checkpoint                    | Ahead since now        | wake: a deadline is set  |
//	| Ahead       | Advance: threshold reached, first time or its time is here | Ahead, told        | wake                     |
//	| Ahead       | Ask: threshold and its pace, After, or refused         | Asked                  | wake the writer          |
//	| Ahead, Asked| Write (soon: half of After is enough)                  | Writing                | the write                |
//	| Writing     | Advance beyond what is written                         | Writing, Ahead since now |                        |
//	| Writing     | Written                                                | Clean, or Ahead        |                          |
//	| Writing     | Written with an error                                  | Ahead, and refused if current | the error, from Failure |
//	| Ahead, Asked| Committed, nothing left                                | Clean                  | wake if it was refused   |
//	| any         | Begin                                                  | Clean                  | the rest is forgotten    |
//	| any         | Restart                                                | Ahead since now        | nothing counts as saved  |
//
// One write is under way at a time. The saved checkpoint only grows, except by Begin and Restart. A refused checkpoint stays due
// until one is written or there is none to write.
type Pace struct {
	policy  Policy
	saved   int64
	since   time.Time // when the checkpoint ran ahead of the saved one; zero if it is not ahead
	acked   bool      // an event was acknowledged since the last write began
	hint    hint
	writing *flight
	began   time.Time // when the last write began
	failure error
	refused error
}

// hint is who was woken for the checkpoint that is ahead.
type hint int

const (
	quiet hint = iota
	told       // the subscription, since the threshold is reached
	asked      // the writer, since the checkpoint is due
)

// flight is a write under way.
type flight struct {
	at    int64
	acked bool      // what acked was when it began
	next  time.Time // when the checkpoint ran ahead of at; zero if it is not ahead
}

// New returns a Pace for which nothing is saved.
func New(p Policy) *Pace { return &Pace{policy: p} }

// Begin forgets everything but the policy: a lease was acquired with this checkpoint. No write is under way.
func (p *Pace) Begin(saved int64) {
	*p = Pace{policy: p.policy, saved: saved, began: p.began}
}

// Restart makes the checkpoint due even at 0: another stream has taken the name, and its id is to be written.
func (p *Pace) Restart(now time.Time) {
	p.saved, p.since, p.refused = -1, now, nil
	if p.hint == asked {
		p.hint = quiet
	}
}

// Saved returns the checkpoint in the database, as far as it is known; -1 after Restart.
func (p *Pace) Saved() int64 { return p.saved }

// Acked notes that an event was acknowledged: Threshold counts from now on, not LeftOut.
func (p *Pace) Acked() { p.acked = true }

// Advance notes that the checkpoint is at. It reports whether to wake the subscription, to set its timer or to Ask.
func (p *Pace) Advance(at int64, now time.Time) (wake bool) {
	if at <= p.saved {
		return false
	}
	if p.since.IsZero() {
		p.since, wake = now, true
	}
	if w := p.writing; w != nil && w.next.IsZero() && at > w.at {
		w.next = now
	}
	if due, reached := p.threshold(at); reached && (p.hint == quiet || !due.After(now)) {
		p.hint, wake = max(p.hint, told), true
	}
	return wake
}

// threshold reports whether at has reached the threshold, and when it is due for that.
func (p *Pace) threshold(at int64) (due time.Time, reached bool) {
	threshold := p.policy.Threshold
	if !p.acked {
		threshold = max(threshold, p.policy.LeftOut)
	}
	if at-p.saved < threshold {
		return due, false
	}
	if p.policy.Every > 0 {
		due = p.began.Add(p.policy.Every)
	}
	return due, true
}

// due reports whether at is to be written, if it is enough that it has been ahead for so long.
func (p *Pace) due(at int64, after time.Duration, now time.Time) bool {
	if at <= p.saved || p.writing != nil {
		return false
	}
	due, reached := p.threshold(at)
	return p.refused != nil || reached && !due.After(now) || after >= 0 && now.Sub(p.since) >= after
}

// Ask reports whether the checkpoint is due, so that the writer is to be woken.
func (p *Pace) Ask(at int64, now time.Time) bool {
	if !p.due(at, p.policy.After, now) {
		return false
	}
	p.hint = asked
	return true
}

// Deadline returns when to Ask next, or the zero time if there is no such time: nothing is ahead, the writer was woken already, or
// a write is under way.
func (p *Pace) Deadline(at int64) (deadline time.Time) {
	if p.since.IsZero() || p.hint == asked || p.writing != nil {
		return deadline
	}
	if p.policy.After >= 0 {
		deadline = p.since.Add(p.policy.After)
	}
	if due, reached := p.threshold(at); reached && (deadline.IsZero() || due.Before(deadline)) {
		deadline = due
		if due.IsZero() { // at once
			deadline = p.since
		}
	}
	return deadline
}

// Write reports whether at is written now, and notes that it is being written. With soon, half of Policy.After is enough: another
// subscription's checkpoint is written in the same statement. After a failure nothing is written until Failure was called.
func (p *Pace) Write(at int64, soon bool, now time.Time) bool {
	after := p.policy.After
	if soon && after > 0 {
		after /= 2
	}
	if p.failure != nil || !p.due(at, after, now) {
		return false
	}
	p.writing = &flight{at: at, acked: p.acked}
	p.acked, p.hint, p.began = false, quiet, now
	return true
}

// Written notes the result of the write under way; at is the checkpoint by now. An answer that is not current, because it is of a
// lease or a stream that is over, only ends the write. Written reports whether the checkpoint was refused.
func (p *Pace) Written(at int64, err error, current bool, now time.Time) (refused bool) {
	w := p.writing
	p.writing = nil
	switch {
	case err != nil:
		p.acked, p.failure = p.acked || w.acked, err
		if current && w.at > p.saved {
			p.refused = err
			return true
		}
	case current:
		p.saved, p.since, p.refused = max(p.saved, w.at), w.next, nil
		p.Advance(at, now)
	}
	return false
}

// Writing reports whether a write is under way.
func (p *Pace) Writing() bool { return p.writing != nil }

// Committed notes that a projection has written a checkpoint in its own transaction; at is the checkpoint by now. It reports
// whether one was refused before, so that the subscription is to be woken.
func (p *Pace) Committed(checkpoint, at int64) (wake bool) {
	wake = p.refused != nil
	p.saved, p.refused = max(p.saved, checkpoint), nil
	if at <= p.saved { // nothing is left to write
		p.since, p.hint = time.Time{}, quiet
	}
	return wake
}

// Failure returns the error of the last write, once.
func (p *Pace) Failure() error {
	err := p.failure
	p.failure = nil
	return err
}

// Refused returns why checkpoints are not written, or nil if they are.
func (p *Pace) Refused() error { return p.refused }

// Forgive forgets that checkpoints were refused: the lease was lost, and there is none to write any more.
func (p *Pace) Forgive() { p.refused = nil }
