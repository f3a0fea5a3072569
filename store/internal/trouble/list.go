// Package trouble decides which error of a subscription is shown in the list of subscriptions.
//
// The package does no I/O, starts no goroutine, and has no lock and no clock. None of its types is safe for concurrent use.
package trouble

import (
	"maps"
	"slices"
)

// List holds the errors of a subscription that are not over, by the number of the event that each is about. The database shows
// one: the last. It clears that error when the checkpoint passes the event, so that the error does not outlive the process that
// noted it; List knows when that happens, and writes nothing then. The zero value is an empty list.
//
//	| state of the shown error | event                                        | next state                          |
//	|--------------------------|----------------------------------------------|-------------------------------------|
//	| none                     | Note                                         | to be written                       |
//	| to be written            | Solve, nothing else is open                  | none, without a write               |
//	| to be written            | Write                                        | being written                       |
//	| being written            | Written                                      | in the database                     |
//	| being written            | Written with an error                        | to be written                       |
//	| being written            | Solve, nothing else is open                  | to be taken out, when that is over  |
//	| in the database          | Solve, and a checkpoint has cleared it       | none, without a write               |
//	| in the database          | Solve, nothing else is open                  | to be taken out                     |
//	| any                      | Solve, another error is open                 | that with the lowest number is to be written |
type List struct {
	open    map[int64]string // errors that are not over, by the number of the event; 0 for those that are about none
	shown   int64            // the number of the error in the database, or that is to be there
	pending *Problem         // what is to be written, or nil
	writing bool             // it is being written
	noted   bool             // an error that was written may be in the database
	listed  int64            // the number of that error
	since   int64            // the checkpoint when it was written: the database clears it when a later one passes its number
}

// Problem is an error in the list of subscriptions. One without a text stands for none.
type Problem struct {
	Text   string
	Number int64
}

// Note adds the error of an event, or with number 0 of none.
func (l *List) Note(number int64, text string) {
	if l.open == nil {
		l.open = map[int64]string{}
	}
	l.open[number] = text
	l.show(number)
}

func (l *List) show(number int64) {
	l.shown, l.pending = number, &Problem{l.open[number], number}
}

// End shows an error that nothing can be noted behind: the subscription ends.
func (l *List) End(number int64, text string) { l.pending = &Problem{text, number} }

// Empty reports whether all errors are over.
func (l *List) Empty() bool { return len(l.open) == 0 }

// Has reports whether this error is open.
func (l *List) Has(number int64, text string) bool { return l.open[number] == text }

// Solve notes that errors about events from first to last are over. saved is the checkpoint in the database. Solve reports whether
// that is to be written.
func (l *List) Solve(first, last, saved int64) bool {
	return l.solve(func(number int64) bool { return number >= first && number <= last }, saved)
}

func (l *List) solve(over func(number int64) bool, saved int64) bool {
	before := len(l.open)
	maps.DeleteFunc(l.open, func(number int64, _ string) bool { return over(number) })
	if _, ok := l.open[l.shown]; ok || len(l.open) == before {
		return false
	}
	switch {
	case len(l.open) > 0:
		l.show(slices.Min(slices.Collect(maps.Keys(l.open))))
		return true
	case l.writing: // it may be written behind the checkpoint that would have cleared it
	case !l.noted || l.listed > 0 && l.listed <= saved && l.since < saved: // it is not in the database, or not any more
		l.pending, l.noted = nil, false
		return false
	}
	l.pending = &Problem{}
	return true
}

// Applied notes that a batch of a projection was committed, by which errors about the events with numbers that are over are over. The
// transaction has cleared the error in the database if that is about an event up to the checkpoint: if it is not over, it is
// to be written again. Applied reports whether there is something to write.
func (l *List) Applied(over func(number int64) bool, saved int64) (write bool) {
	if l.Empty() {
		return false
	}
	if !l.writing && l.listed <= saved {
		l.noted = false
	}
	write = l.solve(over, saved)
	if _, ok := l.open[l.shown]; ok && l.shown <= saved {
		l.show(l.shown)
		write = true
	}
	return write
}

// Pending returns what is to be written, or nil.
func (l *List) Pending() *Problem { return l.pending }

// Write reports whether p is still to be written, and notes that it is being written then.
func (l *List) Write(p *Problem) bool {
	l.writing = l.pending == p
	l.noted = l.noted || l.writing && p.Text != ""
	return l.writing
}

// Written notes the result of writing p. saved is the checkpoint in the database.
func (l *List) Written(p *Problem, err error, saved int64) {
	l.writing = false
	if p.Text != "" {
		l.listed, l.since = p.Number, saved
	}
	if err == nil && l.pending == p {
		l.pending, l.noted = nil, p.Text != ""
	}
}
