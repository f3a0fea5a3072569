// Package stats counts what is in a store.
package stats

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/queries"
)

// Stats is what is in a store.
type Stats struct {
	Events        int64 `json:"events"`
	Streams       int64 `json:"streams"`
	Deleted       int64 `json:"deleted_streams"` // soft deleted; they count among Streams
	Links         int64 `json:"links"`
	Snapshots     int64 `json:"snapshots"`
	Subscriptions int64 `json:"subscriptions"` // partitions of projections count, too
	DataBytes     int64 `json:"data_bytes"`    // of events' data, as text
	Bytes         int64 `json:"bytes"`         // of tables and indexes, or of the whole file

	LastMinute int64 `json:"last_minute"` // events that were created then
	LastHour   int64 `json:"last_hour"`
	LastDay    int64 `json:"last_day"`

	Head       int64 `json:"head"`       // position of the last event
	Unnumbered int64 `json:"unnumbered"` // events that were committed and have no position yet
	OpenHoles  int64 `json:"open_holes"` // numbers of appends that may be committed yet, or were rolled back

	Biggest []Stream `json:"biggest_streams"`
	Types   []Type   `json:"types"`
	Tables  []Table  `json:"tables"`
}

// Stream is a stream and its version.
type Stream struct {
	Stream  string `json:"stream"`
	Version int64  `json:"version"`
}

// Type is an event type, and how many events have it.
type Type struct {
	Type      string `json:"type"`
	Events    int64  `json:"events"`
	DataBytes int64  `json:"data_bytes"`
}

// Table is a table, and what it takes on disk with its indexes.
type Table struct {
	Table      string `json:"table"`
	Bytes      int64  `json:"bytes"`
	IndexBytes int64  `json:"index_bytes"`
}

//go:embed queries_postgres.sql
var postgresFile string

//go:embed queries_sqlite.sql
var sqliteFile string

// Collect counts what is in the store, with the top biggest streams and most frequent types. It reads whole tables, one
// statement after the other, while others write; so the numbers are of slightly different moments.
func Collect(ctx context.Context, d *database.Database, top int) (s Stats, err error) {
	if err := d.Check(ctx); err != nil {
		return s, err
	}
	c := newCollector(d)
	if _, err := d.Backend.Head(ctx); err != nil { // what is committed gets its position
		return s, err
	}
	for _, one := range []struct {
		name string
		into []any
	}{
		{"streams", []any{&s.Streams, &s.Deleted}},
		{"others", []any{&s.Links, &s.Snapshots, &s.Subscriptions}},
		{"order", []any{&s.Head, &s.Unnumbered, &s.OpenHoles}},
	} {
		if err := d.QueryRowContext(ctx, c.q.Get(one.name)).Scan(one.into...); err != nil {
			return s, err
		}
	}
	err = c.each(ctx, "types", func(rows *sql.Rows) error {
		var t Type
		var minute, hour, day int64
		err := rows.Scan(&t.Type, &t.Events, &t.DataBytes, &minute, &hour, &day)
		s.Events, s.DataBytes = s.Events+t.Events, s.DataBytes+t.DataBytes
		s.LastMinute, s.LastHour, s.LastDay = s.LastMinute+minute, s.LastHour+hour, s.LastDay+day
		if len(s.Types) < top {
			s.Types = append(s.Types, t)
		}
		return err
	})
	if err != nil {
		return s, err
	}
	err = c.each(ctx, "biggest", func(rows *sql.Rows) error {
		var b Stream
		err := rows.Scan(&b.Stream, &b.Version)
		s.Biggest = append(s.Biggest, b)
		return err
	}, top)
	if err != nil {
		return s, err
	}
	return s, c.each(ctx, "tables", func(rows *sql.Rows) error {
		var t Table
		err := rows.Scan(&t.Table, &t.Bytes, &t.IndexBytes)
		s.Bytes += t.Bytes
		s.Tables = append(s.Tables, t)
		return err
	})
}

type collector struct {
	d *database.Database
	q queries.Set
}

func newCollector(d *database.Database) collector {
	if d.Kind == database.SQLite {
		return collector{d, d.Queries(sqliteFile)}
	}
	return collector{d, d.Queries(postgresFile)}
}

func (c collector) each(ctx context.Context, name string, do func(rows *sql.Rows) error, args ...any) (err error) {
	rows, err := c.d.QueryContext(ctx, c.q.Get(name), args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
