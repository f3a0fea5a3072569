package postgres

import (
	"context"
	"database/sql"
	"sync"
)

// names caches the names of streams by their ids. A stream's name never changes and its id is never used again, so an
// entry is never wrong.
type names struct {
	mu sync.RWMutex

	byID map[int64]string
}

const maxNames = 100_000 // then the cache starts over

func newNames() *names { return &names{byID: map[int64]string{}} }

// of sets the name of each event from the ids of their streams.
func (b *Backend) nameEvents(ctx context.Context, events []scanned) error {
	missing := b.names.fill(events)
	if len(missing) == 0 {
		return nil
	}
	found := make(map[int64]string, len(missing))
	err := b.each(ctx, "read_names", func(rows *sql.Rows) error {
		var id int64
		var name string
		err := rows.Scan(&id, &name)
		found[id] = name
		return err
	}, intArray(missing))
	if err != nil {
		return err
	}
	b.names.add(found)
	for i := range events {
		if events[i].Stream == "" {
			events[i].Stream = found[events[i].streamID]
		}
	}
	return nil
}

// fill sets the names that are known and returns the ids of the others.
func (n *names) fill(events []scanned) (missing []int64) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	asked := map[int64]bool{}
	for i := range events {
		id := events[i].streamID
		name, ok := n.byID[id]
		if !ok && !asked[id] {
			asked[id] = true
			missing = append(missing, id)
		}
		events[i].Stream = name
	}
	return missing
}

func (n *names) add(found map[int64]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.byID)+len(found) > maxNames {
		n.byID = make(map[int64]string, len(found))
	}
	for id, name := range found {
		n.byID[id] = name
	}
}
