// Package page makes pages of events.
package page

import (
	"sync"

	"github.com/eventstore-go/eventstore/store"
)

// An event is large: a page grows in three steps, so that neither a short one takes the memory of a full one, nor a full one
// is copied often. The last step is a slice that some page before was made of, where there is one.
const (
	first  = 16
	second = 128
)

// Add adds an event to a page that will have at most so many, and returns it to be filled in.
func Add(page []store.Recorded, most int) ([]store.Recorded, *store.Recorded) {
	if n := len(page); n == cap(page) {
		page = append(empty(room(n, most)), page...)
	}
	page = page[:len(page)+1]
	return page, &page[len(page)-1]
}

// room is for how many events a page of n, which is full, is to have room next. More than most is no reason to fail.
func room(n, most int) int {
	switch {
	case n >= most:
		return 2*n + 1
	case n < first:
		return min(first, most)
	case n < second:
		return min(second, most)
	}
	return most
}

// Make returns a page of n events that are zero.
func Make(n int) []store.Recorded { return empty(n)[:n] }

// recycled has the memory of pages, all zero.
var recycled sync.Pool

// Recycle implements [store.Recycler].
func Recycle(page []store.Recorded) {
	if cap(page) <= second {
		return
	}
	page = page[:cap(page)]
	clear(page)
	recycled.Put(&page)
}

// empty returns an empty page with room for so many events, all zero, and not for many more: whoever keeps the page keeps
// that, too.
func empty(room int) []store.Recorded {
	if room <= second {
		return make([]store.Recorded, 0, room)
	}
	if p, ok := recycled.Get().(*[]store.Recorded); ok {
		if cap(*p) >= room && cap(*p) < 2*room {
			return (*p)[:0]
		}
		recycled.Put(p)
	}
	return make([]store.Recorded, 0, room)
}
