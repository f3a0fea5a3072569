package postgres

import (
	"context"
	"database/sql"
	"sync"

	"github.com/eventstore-go/eventstore/store"
)

// names caches the names of streams by their ids. Within an era a stream's name never changes and its id is never used
// again, so an entry is never wrong. A new era begins when the tables were made anew, or another server or database answers,
// such as a standby that took over: it may not have had the newest streams, and gives their ids again.
type names struct {
	mu sync.RWMutex

	era  era
	byID map[int64]string
}

// era is what the ids of streams belong to: a store, in a database of a server since its start.
type era struct{ store, server string }

const maxNames = 100_000 // then the cache starts over

func newNames() *names { return &names{byID: map[int64]string{}} }

// named sets the Stream of each event of page from streamIDs, read in era, and returns those that are there: an event without an id
// was not found, and one whose stream has no name was hard deleted since it was read.
func (b *Backend) named(ctx context.Context, now era, page []store.Recorded, streamIDs []int64) ([]store.Recorded, error) {
	missing := b.names.fill(now, page, streamIDs)
	if len(missing) > 0 {
		fetched := make(map[int64]string, len(missing))
		err := b.each(ctx, "read_names", func(rows *sql.Rows) error {
			var id int64
			var name string
			err := rows.Scan(&id, &name)
			fetched[id] = name
			return err
		}, intArray(missing))
		if err != nil {
			return nil, err
		}
		b.names.add(now, fetched)
		for i := range page {
			if page[i].Stream == "" {
				page[i].Stream = fetched[streamIDs[i]]
			}
		}
	}
	there := 0
	for i := range page {
		if page[i].Stream == "" {
			continue
		}
		if there < i {
			page[there] = page[i]
		}
		there++
	}
	return page[:there], nil
}

// fill sets the names that are known and returns the ids of the others.
func (n *names) fill(now era, page []store.Recorded, streamIDs []int64) (missing []int64) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	byID := n.byID
	if n.era != now {
		byID = nil
	}
	asked := map[int64]bool{}
	for i, id := range streamIDs {
		name, ok := byID[id]
		if !ok && id != 0 && !asked[id] {
			asked[id] = true
			missing = append(missing, id)
		}
		page[i].Stream = name
	}
	return missing
}

func (n *names) add(now era, found map[int64]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.era != now || len(n.byID)+len(found) > maxNames {
		n.era = now
		n.byID = make(map[int64]string, len(found))
	}
	for id, name := range found {
		n.byID[id] = name
	}
}
