package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"math"
	"slices"

	"github.com/eventstore-go/eventstore/backend/internal/page"
	"github.com/eventstore-go/eventstore/store"
)

// want is a part of an append that a page wants: the events lo … hi, of which the first has the position.
type want struct {
	position, seq int64
	lo, hi        int
}

func (w want) count() int { return w.hi - w.lo + 1 }

// wanted is what a page wants, in the order of positions, and the era of the log that says so.
type wanted struct {
	era  era
	list []want
}

// logged is a row of the log: a run of appends with n events each.
type logged struct {
	position, seq int64
	n, appends    int64
}

// last returns the last position of the run.
func (l logged) last() int64 { return l.position + l.n*l.appends - 1 }

// wants adds what the run has at the positions from first to last.
func (l logged) wants(list []want, first, last int64) []want {
	first, last = max(first, l.position), min(last, l.last())
	for at := first; at <= last; {
		nth, idx := (at-l.position)/l.n, (at-l.position)%l.n
		end := min(at-idx+l.n-1, last)
		list = append(list, want{position: at, seq: l.seq + nth, lo: int(idx), hi: int(idx + end - at)})
		at = end + 1
	}
	return list
}

// wanted returns how many wants the run has at the positions from first to last.
func (l logged) wanted(first, last int64) int64 {
	first, last = max(first, l.position), min(last, l.last())
	if first > last {
		return 0
	}
	return (last-l.position)/l.n - (first-l.position)/l.n + 1
}

// wantsOf returns an empty list with room for what runs have at the positions from first to last: a run may have far more appends
// than a page takes.
func wantsOf(list []logged, first, last int64) []want {
	var n int64
	for _, l := range list {
		n += l.wanted(first, last)
	}
	return make([]want, 0, n)
}

// readLogRows reads the rows that a statement packs into one value, in the order of positions.
func (b *Backend) readLogRows(ctx context.Context, statement string, args ...any) (list []logged, now era, err error) {
	err = b.each(ctx, statement, func(rows *sql.Rows) error {
		var packed sql.RawBytes
		if err := rows.Scan(&packed, &now.store, &now.server); err != nil {
			return err
		}
		if err := b.unhex((*[]byte)(&packed)); err != nil {
			return err
		}
		const size = 8 + 8 + 4 + 4
		list = make([]logged, 0, len(packed)/size)
		for ; len(packed) >= size; packed = packed[size:] {
			list = append(list, logged{
				position: int64(binary.BigEndian.Uint64(packed)),
				seq:      int64(binary.BigEndian.Uint64(packed[8:])),
				n:        int64(binary.BigEndian.Uint32(packed[16:])),
				appends:  int64(binary.BigEndian.Uint32(packed[20:])),
			})
		}
		return nil
	}, args...)
	slices.SortFunc(list, func(x, y logged) int { return cmp.Compare(x.position, y.position) })
	return list, now, err
}

// readLog returns which events stand at limit positions from on, in the order of positions, and the position to go on
// from: from itself at the end of the log.
func (b *Backend) readLog(ctx context.Context, from int64, limit int) (wants wanted, next int64, err error) {
	next = from
	end := from + min(int64(limit), math.MaxInt64-from) // behind the page
	list, now, err := b.readLogRows(ctx, "read_log_forward", from, end-from)
	if err != nil {
		return wants, from, err
	}
	wants = wanted{era: now, list: wantsOf(list, from, end-1)}
	for _, l := range list {
		if l.position >= end { // the one behind the page: no event stands before it
			if len(wants.list) == 0 {
				next = l.position
			}
			break
		}
		if l.last() >= from {
			wants.list = l.wants(wants.list, from, end-1)
			next = min(l.last()+1, end)
		}
	}
	return wants, next, nil
}

// readLogBackward is readLog downwards, from a position from; the order is still that of positions. At the start of the
// log next is 0.
func (b *Backend) readLogBackward(ctx context.Context, from int64, limit int) (wants wanted, next int64, err error) {
	lowest := max(from-int64(limit)+1, 1)
	list, now, err := b.readLogRows(ctx, "read_log_backward", from, from-lowest+1)
	if err != nil {
		return wants, 0, err
	}
	wants = wanted{era: now, list: wantsOf(list, lowest, from)}
	for _, l := range list {
		end := min(l.last(), from)
		if end < lowest { // the one behind the page
			next = end
			continue
		}
		if l.position < lowest {
			next = lowest - 1
		}
		wants.list = l.wants(wants.list, lowest, end)
	}
	return wants, next, nil
}

// maxStride is how far the numbers of two appends of a page may be apart to be read in one range. An append that
// committed late stands among numbers far from its own: it is looked up by itself.
const maxStride = 256

// slack is how many rows that are not wanted a range may bring: appends that have their places elsewhere, or none yet.
const slack = 256

// placing puts the events of wants into a page.
type placing struct {
	request   store.ReadRequest
	scanner   *scanner
	statement string // read_events_range, or another of its kind
	args      []any  // of the statement, behind those of read_events_range
	wants     []want
	starts    []int // where the events of a want begin in page; nil if they are added as they come
	page      []store.Recorded
	streamIDs []int64
}

// readPlaced reads the events of wants and returns them in the order of wants. Hard-deleted ones are missing.
func (b *Backend) readPlaced(ctx context.Context, r store.ReadRequest, wanted wanted) ([]store.Recorded, error) {
	p := placing{request: r, scanner: b.newPlacedScanner(r.Bytes), statement: "read_events_range", wants: wanted.list, starts: make([]int, len(wanted.list))}
	total := 0
	for i, w := range wanted.list {
		p.starts[i] = total
		total += w.count()
	}
	p.page, p.streamIDs = page.Make(total), make([]int64, total)
	return b.readWants(ctx, &p, wanted.era)
}

// readWants reads the events of p's wants and returns its page.
func (b *Backend) readWants(ctx context.Context, p *placing, now era) ([]store.Recorded, error) {
	wants := p.wants
	order := make([]int, len(wants)) // the wants in the order of their numbers
	for i := range wants {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(wants[x].seq, wants[y].seq) })
	for len(order) > 0 {
		n, rows := stretch(wants, order)
		done, err := b.readRange(ctx, p, order[:n], rows+slack)
		if err != nil {
			return nil, err
		}
		order = order[done:]
	}
	return b.named(ctx, now, p.page, p.streamIDs)
}

// slot returns the place in the page of an event of a want, idx in its append.
func (p *placing) slot(want, idx int) int {
	if p.starts != nil {
		return p.starts[want] + idx - p.wants[want].lo
	}
	p.page, p.streamIDs = append(p.page, store.Recorded{}), append(p.streamIDs, 0)
	return len(p.page) - 1
}

// again forgets what was read last of a want that is going to be read again.
func (p *placing) again(w want) {
	n := len(p.page)
	for p.starts == nil && n > 0 && p.page[n-1].Number >= w.position && p.page[n-1].Number < w.position+int64(w.count()) {
		n--
	}
	p.page, p.streamIDs = p.page[:n], p.streamIDs[:n]
}

// stretch returns how many of the wants in order, which are in the order of their numbers, are read in one range, and how
// many events those are.
func stretch(wants []want, order []int) (n, events int) {
	for n < len(order) && (n == 0 || wants[order[n]].seq-wants[order[n-1]].seq <= maxStride) {
		events += wants[order[n]].count()
		n++
	}
	return n, events
}

// readRange reads the events of the wants in order, whose numbers are close, into the page. It returns how many wants
// it is done with: fewer than all if there were more other rows among them than limit has room for.
func (b *Backend) readRange(ctx context.Context, p *placing, order []int, limit int) (done int, err error) {
	s, first, last := p.scanner, p.wants[order[0]], p.wants[order[len(order)-1]]
	at, read := 0, 0
	args := make([]any, 0, 6+len(p.args))
	args = append(args, first.seq, int64(first.lo), last.seq, int64(last.hi), int64(limit))
	args = append(args, p.args...)
	args = append(args, inline(p.request, limit))
	err = b.each(ctx, p.statement, func(rows *sql.Rows) error {
		read++
		if err := s.scan(rows); err != nil {
			return err
		}
		for at < len(order) && p.wants[order[at]].seq < s.seq {
			at++
		}
		if at == len(order) {
			return nil
		}
		w := p.wants[order[at]]
		if w.seq != s.seq || s.idx < w.lo || s.idx > w.hi {
			return nil // it has its place elsewhere, or none yet
		}
		slot := p.slot(order[at], s.idx)
		p.streamIDs[slot] = s.streamID
		p.page[slot].Number = w.position + int64(s.idx-w.lo)
		s.event(&p.page[slot])
		return nil
	}, args...)
	if err != nil || read < limit {
		return len(order), err
	}
	// The limit cut the range off behind e: go on with the first want that is not complete. It is not the first of all:
	// the range begins with that one, and the limit has room for it.
	for at < len(order) && (p.wants[order[at]].seq < s.seq || p.wants[order[at]].seq == s.seq && s.idx >= p.wants[order[at]].hi) {
		at++
	}
	if at < len(order) {
		p.again(p.wants[order[at]])
	}
	return at, nil
}
