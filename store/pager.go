package store

import (
	"errors"
)

// DefaultPageBytes is the default of [Options].PageBytes. A page of 1,000 events has room for 4 KiB each, so that pages of small events
// stay as they are, and reading is at its full rate long before it.
const DefaultPageBytes = 4 << 20

// DefaultPageSize is how many events, or streams, are fetched at a time unless the options say otherwise.
const DefaultPageSize = 1000

// readSize is how many events are read from storage at a time.
const readSize = 1000

// pager chooses how large the next page of one reader is: by the bytes of the one before, and by whether pages time out.
type pager struct {
	most  int // bytes of a page, unless pages time out
	bytes int // of a page; 0 for most
	limit int // events of a page; 0 for as many as the reader wants
	whole int // full pages in a row, since bytes or limit have changed
}

// patience is how many full pages in a row must be read before pages that have timed out grow again: the reader loses a whole
// time-out if it is too early.
const patience = 8

// bound returns r as it is to be read now.
func (p *pager) bound(r ReadRequest) ReadRequest {
	r.Bytes = p.most
	if p.bytes > 0 {
		r.Bytes = p.bytes
	}
	if p.limit > 0 {
		r.Limit = min(r.Limit, p.limit+r.overlap())
	}
	return r
}

// overlap is how many of a page's events the caller has.
func (r ReadRequest) overlap() int {
	if r.Overlap {
		return 1
	}
	return 0
}

// learn looks at a page. One that its bytes have ended says how many events fit: with that limit, the database looks at no more of
// them, and pages are full, so that the next ones can be read ahead.
func (p *pager) learn(r ReadRequest, page []Recorded) {
	if len(page) > 0 && r.Overlaps(page[0].Number) {
		page = page[1:]
	}
	size := sizeOf(page)
	switch limit := r.Limit - r.overlap(); {
	case len(page) < limit && 2*size > r.Bytes:
		p.limit = max(len(page), 1)
		p.whole = 0
	case p.limit == 0 || len(page) < p.limit:
		// A small page, or one that the reader wanted to be small.
	case p.bytes > 0:
		if p.whole++; p.whole == patience {
			p.grow()
		}
	case 2*size <= p.most:
		p.grow()
	}
}

// grow makes pages twice as large, up to what they are when all is well.
func (p *pager) grow() {
	p.whole = 0
	if p.limit *= 2; p.limit >= MaxPageSize {
		p.limit = 0
	}
	if p.bytes *= 2; p.bytes >= p.most {
		p.bytes = 0
	}
}

// halve reports whether a page that could not be read for that reason is to be read again, half as large.
func (p *pager) halve(r ReadRequest, err error) bool {
	limit := r.Limit - r.overlap()
	if !timedOut(err) || limit < 2 {
		return false
	}
	p.limit, p.bytes, p.whole = limit/2, max(r.Bytes/2, 1), 0
	return true
}

// timedOut reports whether err says that something took too long.
func timedOut(err error) bool {
	var t interface{ Timeout() bool } // as of context.DeadlineExceeded, and of a connection
	return errors.Is(err, ErrTimeout) || errors.As(err, &t) && t.Timeout()
}

// sizeOf returns how many bytes events have.
func sizeOf(events []Recorded) (size int) {
	for i := range events {
		size += events[i].Size()
	}
	return size
}
