// Package page grows pages of events.
package page

import (
	"slices"

	"github.com/eventstore-go/eventstore/store"
)

// Add adds an event to a page that will have at most so many, and returns it to be filled in. An event is large: a page grows
// in three steps, so that neither a short one takes the memory of a full one, nor a full one is copied often.
func Add(page []store.Recorded, most int) ([]store.Recorded, *store.Recorded) {
	if len(page) == cap(page) {
		page = slices.Grow(page, max(1, min(max(16, 7*len(page)), most-len(page))))
	}
	page = page[:len(page)+1]
	return page, &page[len(page)-1]
}
