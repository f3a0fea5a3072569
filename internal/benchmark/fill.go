package benchmark

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"strconv"

	"github.com/eventstore-go/eventstore/internal/queries"
)

//go:embed fill.sql
var fillFile string

// fillRange is how many events one transaction fills in.
const fillRange = 500_000

// fill puts events into the empty tables of a shape, each as an append of its own, in turns to the streams "stream-0",
// "stream-1" and so on: what so many appends would leave, in the same order, but written by the database itself.
func fill(ctx context.Context, db *sql.DB, d dialect, shape string, streams, events int) error {
	conn, err := db.Conn(ctx) // settings are of the session
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // the pool's
	part := func(name string, from, to int) error {
		set := queries.Parse(fillFile, ":streams", strconv.Itoa(streams), ":events", strconv.Itoa(events), ":from", strconv.Itoa(from), ":to", strconv.Itoa(to),
			":data", "'"+string(data)+"'", ":metadata", "'"+string(metadata)+"'")
		name = d.name + "_" + shape + "_" + name
		if _, err := conn.ExecContext(ctx, set.Get(name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	if err := part("before", 0, events); err != nil {
		return err
	}
	for from := 0; from < events; from += fillRange {
		if err := part("range", from, min(from+fillRange, events)); err != nil {
			return err
		}
	}
	return part("after", 0, events)
}
