package trouble

import "cmp"

// Reading is whether the events of a subscription can be read, by itself and by the feed, and what of that is in a [List]. An error
// of reading is only listed when an attempt has failed after the lease was renewed: then the database answers, and it is no
// outage, after which all subscriptions would write that there was one. The zero value can read.
//
//	| state           | event             | next state                                    |
//	|-----------------|-------------------|-----------------------------------------------|
//	| reads           | Own, Fed: error   | failing                                       |
//	| failing         | Renewed           | failing, answered                             |
//	| failing, answered | Own, Fed: error | failing, listed at the number that comes next |
//	| failing         | Own, Fed: nil, none of the other | reads; what was listed is over |
type Reading struct {
	own      error // why the subscription itself can't read, or nil
	fed      error // why the feed can't, or nil
	answered bool  // the lease was renewed since
	listed   int64 // the number that an error was listed for, or 0
}

// Begin forgets all errors but the one in l that is about an event behind the checkpoint, which is over. A lease has begun.
func (r *Reading) Begin(l *List, checkpoint int64) {
	l.Solve(1, checkpoint, checkpoint)
	if r.listed > 0 {
		l.Solve(r.listed, r.listed, checkpoint)
	}
	*r = Reading{}
}

// Own notes the result of an attempt of the subscription's own to read what comes at number. saved is the checkpoint in the
// database. Own reports whether l has something to write.
func (r *Reading) Own(err error, l *List, number, saved int64) (write bool) {
	r.own = err
	return r.list(l, number, saved)
}

// Fed is Own for the feed. It reports in changed whether that says something new.
func (r *Reading) Fed(err error, l *List, number, saved int64) (changed bool) {
	if r.fed == nil && err == nil {
		return false
	}
	r.fed = err
	r.list(l, number, saved)
	return true
}

func (r *Reading) list(l *List, number, saved int64) (write bool) {
	err := cmp.Or(r.own, r.fed)
	if err == nil {
		r.answered = false
	}
	if r.listed > 0 && (err == nil || r.listed != number) {
		write = !l.Empty() && l.Solve(r.listed, r.listed, saved)
		r.listed = 0
	}
	if err != nil && r.answered && !l.Has(number, err.Error()) {
		r.listed = number
		l.Note(number, err.Error())
		write = true
	}
	return write
}

// Renewed notes that the lease was renewed, so that the database answers.
func (r *Reading) Renewed() { r.answered = r.own != nil || r.fed != nil }

// OwnError returns why the subscription itself can't read, or nil.
func (r *Reading) OwnError() error { return r.own }

// FeedError returns why the feed can't read, or nil.
func (r *Reading) FeedError() error { return r.fed }
