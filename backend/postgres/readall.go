package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"

	"github.com/eventstore-go/eventstore/store"
)

// ReadAll implements [store.Storage]. A page is two plain range scans, of log and of events, put together here: plans of
// a join change as tables grow. A reader that has come to the end of the log ticks, so that it sees what was committed
// before it came.
func (b *Backend) ReadAll(ctx context.Context, r store.ReadRequest) ([]store.Recorded, error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	if r.Backward {
		return b.readAllBackward(ctx, r.From, r.Limit)
	}
	var page []store.Recorded
	for caughtUp := false; len(page) < r.Limit; {
		wants, next, err := b.readLog(ctx, r.From, r.Limit-len(page))
		if err != nil {
			return nil, err
		}
		if len(wants) == 0 && next == r.From {
			if caughtUp {
				break
			}
			if caughtUp, err = b.catchUp(ctx); err != nil {
				return nil, err
			}
			if !caughtUp {
				break // nothing was waiting for a place
			}
			continue
		}
		events, err := b.readPlaced(ctx, wants)
		if err != nil {
			return nil, err
		}
		page = appendPage(page, events)
		r.From = next
	}
	return page, nil
}

func (b *Backend) readAllBackward(ctx context.Context, from int64, limit int) ([]store.Recorded, error) {
	head, err := b.Head(ctx)
	if err != nil {
		return nil, err
	}
	var page []store.Recorded
	for from = min(from, head); from > 0 && len(page) < limit; {
		wants, next, err := b.readLogBackward(ctx, from, limit-len(page))
		if err != nil {
			return nil, err
		}
		events, err := b.readPlaced(ctx, wants)
		if err != nil {
			return nil, err
		}
		slices.Reverse(events)
		page = appendPage(page, events)
		from = next
	}
	return page, nil
}

func appendPage(page, more []store.Recorded) []store.Recorded {
	if len(page) == 0 {
		return more
	}
	return append(page, more...)
}

// want is a part of an append that a page wants: the events lo … hi, of which the first has the position.
type want struct {
	position, seq int64
	lo, hi        int
}

func (w want) count() int { return w.hi - w.lo + 1 }

// readLog returns which events stand at limit positions from on, in the order of positions, and the position to go on
// from: from itself at the end of the log.
func (b *Backend) readLog(ctx context.Context, from int64, limit int) (wants []want, next int64, err error) {
	next = from
	limit64 := min(int64(limit), math.MaxInt64-from) // so that from+limit is a number
	err = b.each(ctx, "read_log_forward", func(rows *sql.Rows) error {
		var w want
		var n int
		if err := rows.Scan(&w.position, &w.seq, &n); err != nil {
			return err
		}
		w.hi = n - 1
		if w.position >= from+limit64 { // the one behind the page: the positions before it are done with
			next = max(next, w.position)
			return nil
		}
		if skip := from - w.position; skip > 0 { // the page starts inside this append
			w.lo = int(min(skip, int64(n)))
			w.position += int64(w.lo)
		}
		w.hi = int(min(int64(w.hi), int64(w.lo)+from+limit64-1-w.position))
		if w.lo <= w.hi {
			wants = append(wants, w)
			next = max(next, w.position+int64(w.count()))
		}
		return nil
	}, from, limit64)
	if len(wants) > 0 {
		next = min(next, from+limit64) // the page may end inside its last append
	}
	byPosition(wants)
	return wants, next, err
}

// readLogBackward is readLog downwards; the order is still that of positions. At the start of the log next is 0.
func (b *Backend) readLogBackward(ctx context.Context, from int64, limit int) (wants []want, next int64, err error) {
	lowest := from - int64(limit) + 1
	err = b.each(ctx, "read_log_backward", func(rows *sql.Rows) error {
		var w want
		var n int
		if err := rows.Scan(&w.position, &w.seq, &n); err != nil {
			return err
		}
		end := min(w.position+int64(n)-1, from)
		if end < lowest { // the one behind the page
			next = max(next, end)
			return nil
		}
		if skip := lowest - w.position; skip > 0 {
			w.lo = int(skip)
			next = lowest - 1
			w.position = lowest
		}
		w.hi = w.lo + int(end-w.position)
		wants = append(wants, w)
		return nil
	}, from, int64(limit))
	byPosition(wants)
	return wants, next, err
}

func byPosition(wants []want) {
	slices.SortFunc(wants, func(x, y want) int { return cmp.Compare(x.position, y.position) })
}

// maxStride is how far the numbers of two appends of a page may be apart to be read in one range. An append that
// committed late stands among numbers far from its own: it is looked up by itself.
const maxStride = 256

// slack is how many rows that are not wanted a range may bring: appends that have their places elsewhere, or none yet.
const slack = 256

// readPlaced reads the events of wants and returns them in the order of wants. Hard-deleted ones are missing.
func (b *Backend) readPlaced(ctx context.Context, wants []want) ([]store.Recorded, error) {
	total := 0
	starts := make([]int, len(wants)) // where the events of a want begin in slots
	order := make([]int, len(wants))  // the wants in the order of their numbers
	for i, w := range wants {
		starts[i], order[i] = total, i
		total += w.count()
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(wants[x].seq, wants[y].seq) })
	slots := make([]scanned, total)
	var s scanner
	for len(order) > 0 {
		n, rows := 1, wants[order[0]].count()
		for n < len(order) && wants[order[n]].seq-wants[order[n-1]].seq <= maxStride {
			rows += wants[order[n]].count()
			n++
		}
		done, err := b.readRange(ctx, &s, wants, starts, order[:n], slots, rows+slack)
		if err != nil {
			return nil, err
		}
		order = order[done:]
	}
	found := slots[:0]
	for _, e := range slots {
		if e.seq != 0 {
			found = append(found, e)
		}
	}
	return b.named(ctx, found)
}

// readRange reads the events of the wants in order, whose numbers are close, into slots. It returns how many wants it
// is done with: fewer than all if there were more other rows among them than limit has room for.
func (b *Backend) readRange(ctx context.Context, s *scanner, wants []want, starts, order []int, slots []scanned, limit int) (done int, err error) {
	first, last := wants[order[0]], wants[order[len(order)-1]]
	at, read := 0, 0
	var e scanned
	err = b.each(ctx, "read_events_range", func(rows *sql.Rows) error {
		read++
		e = scanned{}
		if err := s.scan(rows, &e, false); err != nil {
			return err
		}
		for at < len(order) && wants[order[at]].seq < e.seq {
			at++
		}
		if at == len(order) || wants[order[at]].seq != e.seq {
			return nil
		}
		w := wants[order[at]]
		if e.idx >= w.lo && e.idx <= w.hi {
			slot := &slots[starts[order[at]]+e.idx-w.lo]
			*slot = e
			slot.Number = w.position + int64(e.idx-w.lo)
		}
		return nil
	}, first.seq, int64(first.lo), last.seq, int64(last.hi), int64(limit))
	if err != nil || read < limit {
		return len(order), err
	}
	// The limit cut the range off behind e: go on with the first want that is not complete. It is not the first of all:
	// the range begins with that one, and the limit has room for it.
	for at < len(order) && (wants[order[at]].seq < e.seq || wants[order[at]].seq == e.seq && e.idx >= wants[order[at]].hi) {
		at++
	}
	return at, nil
}
