package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// trouble is what the events of a subscription fail with, as far as it is not over, and what of it is in the list of
// subscriptions. The list has one error: the last. The database clears it when the checkpoint passes its event, so that it does
// not outlive the process that noted it.
type trouble struct {
	open    map[int64]string // errors that are not over, by the number of the event; 0 for those that are about none
	shown   int64            // the number of the error in the list, or that is to be there
	problem *problem         // what is to be written to the list, or nil
	writing bool             // it is just being written
	noted   bool             // an error that this process has written may be in the list
	listed  int64            // the number of that error
	since   int64            // the checkpoint when it was written: the database clears it when a later one passes its number
	unread  int64            // the number that an error of reading was noted for, or 0
}

// problem is an error in the list of subscriptions; without a text it stands for none.
type problem struct {
	text   string
	number int64
}

// note notes an error.
func (t *trouble) note(number int64, text string) {
	if t.open == nil {
		t.open = map[int64]string{}
	}
	t.open[number] = text
	t.show(number)
}

func (t *trouble) show(number int64) {
	t.shown, t.problem = number, &problem{t.open[number], number}
}

// solve notes that errors about events from first to last are over. It reports whether that is to be written. saved is the
// checkpoint in the database.
func (t *trouble) solve(first, last, saved int64) bool {
	return t.solveIf(func(number int64) bool { return number >= first && number <= last }, saved)
}

// solveIf is solve for errors about the events with numbers that are over.
func (t *trouble) solveIf(over func(number int64) bool, saved int64) bool {
	before := len(t.open)
	maps.DeleteFunc(t.open, func(number int64, _ string) bool { return over(number) })
	if _, ok := t.open[t.shown]; ok || len(t.open) == before {
		return false
	}
	switch {
	case len(t.open) > 0:
		t.show(slices.Min(slices.Collect(maps.Keys(t.open))))
		return true
	case t.writing: // it may be written behind the checkpoint that would have cleared it
	case !t.noted || t.listed > 0 && t.listed <= saved && t.since < saved: // it is not in the list, or not any more
		t.problem, t.noted = nil, false
		return false
	}
	t.problem = &problem{}
	return true
}

// write reports whether p is still to be written, and notes that it is being written then.
func (t *trouble) write(p *problem) bool {
	t.writing = t.problem == p
	t.noted = t.noted || t.writing && p.text != ""
	return t.writing
}

// written notes the result of writing p. saved is the checkpoint in the database.
func (t *trouble) written(p *problem, err error, saved int64) {
	t.writing = false
	if p.text != "" {
		t.listed, t.since = p.number, saved
	}
	if err == nil && t.problem == p {
		t.problem, t.noted = nil, p.text != ""
	}
}

// begin forgets what a subscription that begins behind a checkpoint has passed.
func (t *trouble) begin(checkpoint int64) {
	t.solve(1, checkpoint, checkpoint)
	if t.unread > 0 {
		t.solve(t.unread, t.unread, checkpoint)
		t.unread = 0
	}
}

// trouble notes the last error, to be seen in the list of subscriptions, and the number of the event it is about, or 0.
func (s *subscription) trouble(number int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubles.note(number, err.Error())
	s.poke()
}

// solved notes that errors about events from first to last are over.
func (s *subscription) solved(first, last int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.solve(first, last)
}

// solve is solved. s.mu is held.
func (s *subscription) solve(first, last int64) {
	if len(s.troubles.open) > 0 && s.troubles.solve(first, last, s.pace.Saved()) {
		s.poke()
	}
}

// applied notes that a batch of a projection was committed, by which errors about the events with numbers that are over are over. The
// transaction has taken the error out of the list if that is about an event up to the checkpoint, see [ProjectionStorage].Advance: if
// it is not over, it is put there again.
func (s *subscription) applied(over func(number int64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.troubles
	if len(t.open) == 0 {
		return
	}
	if !t.writing && t.listed <= s.pace.Saved() {
		t.noted = false
	}
	write := t.solveIf(over, s.pace.Saved())
	if _, ok := t.open[t.shown]; ok && t.shown <= s.pace.Saved() {
		t.show(t.shown)
		write = true
	}
	if write {
		s.poke()
	}
}

// reading notes and returns the result of an attempt to read.
func (s *subscription) reading(err error) error {
	if err != nil && (final(err) || errors.Is(err, ErrLeaseLost)) {
		return err // it ends
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("read behind %d: %w", s.queue().Received(), err)
	}
	s.unread = err
	s.readResult()
	return err
}

// readResult puts an error of reading in the list, or takes it out when reading has succeeded. The error is only put there when an
// attempt has failed after the lease was renewed: then the database answers, and it is no outage, after which all subscriptions
// would write that there was one. s.mu is held.
func (s *subscription) readResult() {
	t, number := &s.troubles, s.queue().Received()+1
	err := cmp.Or(s.unread, s.unfed)
	if err == nil {
		s.answered = false
	}
	if t.unread > 0 && (err == nil || t.unread != number) {
		s.solve(t.unread, t.unread)
		t.unread = 0
	}
	if err != nil && s.answered && t.open[number] != err.Error() {
		t.unread = number
		t.note(number, err.Error())
		s.poke()
	}
}
