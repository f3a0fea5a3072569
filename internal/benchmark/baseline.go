// Package benchmark compares the store with what its users would write by hand, in one run and on one database:
//
//   - raw: one table, one insert statement per append, one select per page. It checks no version and, since its ids are
//     drawn before the commit, promises no reader that nothing is missed. It is what the database can do.
//   - counter: the shape of a well-known event store: three tables, a row for all streams that every append updates and
//     so locks until its commit, and NOTIFY from a trigger.
package benchmark

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// subject is what is measured.
type subject interface {
	// append adds n events to a stream, at any version.
	append(ctx context.Context, stream string, n int) error
	// readStream reads a stream and returns how many events it has.
	readStream(ctx context.Context, stream string) (int, error)
	// readAll reads all events behind a position and returns how many there are, and the last position.
	readAll(ctx context.Context, after int64) (n int, last int64, err error)
}

var (
	data     = []byte(`{"customer":"c-4711","items":[{"sku":"A-100","quantity":2,"price":1999},{"sku":"B-200","quantity":1,"price":4950}],"currency":"EUR","note":"please ring twice, the dog is friendly but loud...."}`)
	metadata = []byte(`{"user":"u-42","ip":"192.0.2.7","trace":"4bf92f3577"}`)
)

const pageSize = store.DefaultPageSize + 1 // as the store reads

// row is an event as the baselines read it.
type row struct {
	number, version int64
	stream, typ     string
	id              uuid.UUID
	causation       uuid.NullUUID
	correlation     uuid.NullUUID
	data, metadata  []byte
	created         time.Time // or
	micros          int64
}

// poller is a baseline that a program polls for all events.
type poller interface {
	// poll reads all events in pages, and calls done with the size of each and the last position in it.
	poll(ctx context.Context, done func(n int, last int64) error) error
}

// pages reads pages behind after until one is short. The query takes after and a limit, perhaps behind other arguments.
func pages(ctx context.Context, db *sql.DB, d dialect, after int64, query string, args ...any) (n int, last int64, err error) {
	last = after
	err = eachPage(ctx, db, d, after, func(count int, upto int64) error {
		n += count
		last = upto
		return nil
	}, query, args...)
	return n, last, err
}

// eachPage is pages with a call for each page that is not empty.
func eachPage(ctx context.Context, db *sql.DB, d dialect, after int64, done func(n int, last int64) error, query string, args ...any) error {
	stmt, err := db.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer stmt.Close() //nolint:errcheck // it was only read from
	for {
		page, err := onePage(ctx, stmt, d, append(args[:len(args):len(args)], after, pageSize))
		if err != nil {
			return err
		}
		if len(page) > 0 {
			after = page[len(page)-1].number
			if err := done(len(page), after); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

func onePage(ctx context.Context, stmt *sql.Stmt, d dialect, args []any) ([]row, error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	page := make([]row, 0, pageSize)
	for rows.Next() {
		var r row
		var created any = &r.created
		if d.micros {
			created = &r.micros
		}
		if err := rows.Scan(&r.number, &r.stream, &r.version, &r.id, &r.typ, &r.causation, &r.correlation, &r.data, &r.metadata, created); err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

// values is a list of n tuples of numbered parameters behind the first ones.
func values(first, n, width int) string {
	var out strings.Builder
	for i := range n {
		out.WriteString(map[bool]string{true: "(", false: ",("}[i == 0])
		for j := range width {
			if j > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(&out, "$%d", first+1+i*width+j)
		}
		out.WriteByte(')')
	}
	return out.String()
}

// ours is the store.
type ours struct{ es *store.Store }

func (o ours) append(ctx context.Context, stream string, n int) error {
	events := make([]store.Event, n)
	for i := range events {
		events[i] = store.Event{Type: "order.placed", Data: rawJSON(data), Metadata: rawJSON(metadata)}
	}
	_, err := o.es.Append(ctx, stream, store.Any, events...)
	return err
}

func (o ours) readStream(ctx context.Context, stream string) (n int, err error) {
	for _, err := range o.es.Stream(ctx, stream, nil) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (o ours) readAll(ctx context.Context, after int64) (n int, last int64, err error) {
	for e, err := range o.es.All(ctx, &store.ReadOptions{After: after}) {
		if err != nil {
			return n, last, err
		}
		n++
		last = e.Number
	}
	return n, last, nil
}

// rawJSON is sent as it is, so that encoding is not what is measured: the baselines do not encode either.
type rawJSON []byte

// asIs is the serializer of rawJSON.
type asIs struct{}

func (asIs) Encode(_ string, v any) ([]byte, string, error) { return v.(rawJSON), store.JSON, nil }

func (asIs) Decode(_, _ string, data []byte, into any) error {
	*into.(*[]byte) = data
	return nil
}
