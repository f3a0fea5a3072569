package stats

import (
	"context"
	"database/sql"
	"time"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// TypeSpan is an event type, with its first and its last event in the order of all events.
type TypeSpan struct {
	Type    string    `json:"type"`
	Events  int64     `json:"events"`
	First   int64     `json:"first"` // position
	FirstAt time.Time `json:"first_at"`
	Last    int64     `json:"last"` // position
	LastAt  time.Time `json:"last_at"`
}

// Types returns the types of all events, the most frequent first. It reads all events once, without their data. Events that were
// committed before the call are counted.
func Types(ctx context.Context, d *database.Database) (list []TypeSpan, err error) {
	if _, err := d.Backend.Head(ctx); err != nil { // what is committed gets its position
		return nil, err
	}
	err = newCollector(d).each(ctx, "type_spans", func(rows *sql.Rows) error {
		var t TypeSpan
		var first, last int64
		err := rows.Scan(&t.Type, &t.Events, &t.First, &t.Last, &first, &last)
		t.FirstAt, t.LastAt = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
		list = append(list, t)
		return err
	})
	return list, err
}

// RecentTypes returns at most limit types, by name: those of the first and the last ten thousand events.
func RecentTypes(ctx context.Context, d *database.Database, limit int) (names []string, err error) {
	err = newCollector(d).each(ctx, "recent_types", func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, name)
		return err
	}, limit)
	return names, err
}
