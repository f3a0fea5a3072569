// Package page makes pages of events.
package page

import (
	"math/bits"
	"sync"

	"github.com/eventstore-go/eventstore/store"
)

// An event is large: a page grows in three steps, so that neither a short one takes the memory of a full one, nor a full one
// is copied often. The last step is the memory of a page before, where there is one.
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

// Pages of more than second events have room for a power of two, up to largest, so that one that was recycled fits the next.
const (
	classes = 6
	largest = second << (classes - 1)
)

// recycled has the memory of pages, all zero, by their size.
var recycled [classes]sync.Pool

// class returns where pages with so much room are kept, and how much room such a page has. 0 is for those that are not kept.
func class(room int) (nr, size int) {
	if room <= second || room > largest {
		return 0, room
	}
	nr = bits.Len(uint(room-1)) - bits.Len(second-1)
	return nr, second << nr
}

// Recycle implements [store.Recycler].
func Recycle(page []store.Recorded) {
	nr, size := class(cap(page))
	if nr == 0 || cap(page) != size {
		return
	}
	page = page[:size]
	clear(page)
	recycled[nr].Put(&page)
}

// empty returns an empty page with room for so many events, all zero.
func empty(room int) []store.Recorded {
	nr, size := class(room)
	if nr > 0 {
		if p, ok := recycled[nr].Get().(*[]store.Recorded); ok {
			return (*p)[:0]
		}
	}
	return make([]store.Recorded, 0, size)
}
