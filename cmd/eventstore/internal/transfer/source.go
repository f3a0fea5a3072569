package transfer

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/queries"
)

//go:embed queries_postgres.sql
var postgresFile string

//go:embed queries_sqlite.sql
var sqliteFile string

// queriesOf returns the statements for a database.
func queriesOf(d *database.Database) queries.Set {
	if d.Kind == database.SQLite {
		return d.Queries(sqliteFile)
	}
	return d.Queries(postgresFile)
}

// perPage is how many appends, or in SQLite events, a page of an export has.
const perPage = 5000

// source is a store of this library, as an archive's source.
type source struct {
	d       *database.Database
	queries queries.Set
	perPage int
	streams []string
	chosen  any // streams as a JSON list, or nil
}

var _ archive.Source = (*source)(nil)

// Source returns a store as what an archive is made of: chosen streams, or with none all.
func Source(d *database.Database, streams ...string) (archive.Source, error) {
	s := &source{d: d, queries: queriesOf(d), perPage: perPage, streams: streams}
	if len(streams) > 0 {
		text, err := json.Marshal(streams)
		if err != nil {
			return nil, err
		}
		s.chosen = string(text)
	}
	return s, nil
}

// ChosenError says why streams that were chosen can't be exported alone. They are up to ten.
type ChosenError struct {
	Reason  string
	Streams []string
}

func (e *ChosenError) Error() string {
	list := e.Streams
	more := ""
	if len(list) > 10 {
		list, more = list[:10], " and more"
	}
	return e.Reason + ": " + strings.Join(list, ", ") + more
}

// Identity implements [archive.Source].
func (s *source) Identity(ctx context.Context) (i archive.Identity, err error) {
	i.Schema, i.Database = s.d.Schema, s.d.Name()
	into := []any{id{&i.StoreID}}
	if s.d.Kind == database.PostgreSQL {
		into = append(into, &i.Database)
	}
	if err := s.d.QueryRowContext(ctx, s.queries.Get("identity")).Scan(into...); err != nil {
		return i, fmt.Errorf("identity: %w", err)
	}
	return i, nil
}

// Head implements [archive.Source].
func (s *source) Head(ctx context.Context) (int64, error) { return s.d.Backend.Head(ctx) }

// EventAt implements [archive.Source].
func (s *source) EventAt(ctx context.Context, position int64) (uuid.UUID, error) {
	return eventAt(ctx, s.d.DB, s.queries, position)
}

func eventAt(ctx context.Context, q querier, set queries.Set, position int64) (found uuid.UUID, err error) {
	err = each(ctx, q, set.Get("event_at"), func(rows *sql.Rows) error { return rows.Scan(id{&found}) }, position)
	return found, err
}

// Chosen returns the chosen streams; none: all.
func (s *source) Chosen() []string { return s.streams }

// LeftOut implements [archive.Source]: nothing is.
func (s *source) LeftOut() map[string]int64 { return nil }

// Front implements [archive.Source].
func (s *source) Front(ctx context.Context, do func(record any) error) error {
	// So that all that is committed has a position.
	if _, err := s.d.Backend.Head(ctx); err != nil {
		return err
	}
	opts := &sql.TxOptions{ReadOnly: true}
	if s.d.Kind == database.PostgreSQL {
		opts.Isolation = sql.LevelRepeatableRead
	}
	tx, err := s.d.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	f := &front{source: s, tx: tx, do: do}
	return f.read(ctx)
}

// front reads all but events in one transaction.
type front struct {
	*source
	tx   *sql.Tx
	do   func(record any) error
	cuts map[int64]int64  // by id of a stream: its first version that has no position yet
	name map[string]int64 // of such streams
}

// until returns how far a version counts in a stream.
func (f *front) until(stream, version int64) int64 {
	if cut, ok := f.cuts[stream]; ok {
		return min(version, cut-1)
	}
	return version
}

func (f *front) read(ctx context.Context) error {
	h := archive.Header{Source: string(f.d.Kind), Streams: f.streams}
	if err := f.tx.QueryRowContext(ctx, f.queries.Get("front_head")).Scan(&h.Head, &h.LastStream); err != nil {
		return err
	}
	var err error
	if h.HeadEvent, err = eventAt(ctx, f.tx, f.queries, h.Head); err != nil {
		return err
	}
	if err := f.checkChosen(ctx); err != nil {
		return err
	}
	if err := f.readCuts(ctx); err != nil {
		return err
	}
	if err := f.do(&h); err != nil {
		return err
	}
	for _, read := range []func(ctx context.Context) error{f.readStreams, f.readLinks, f.readSnapshots, f.readSubscriptions} {
		if err := read(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *front) checkChosen(ctx context.Context) error {
	if f.chosen == nil {
		return nil
	}
	for _, check := range []struct{ query, reason string }{
		{"front_missing", "these streams are not there"},
		{"front_outside", "the chosen streams link to events of streams that are not chosen; choose these, too"},
	} {
		var found []string
		err := each(ctx, f.tx, f.queries.Get(check.query), func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			found = append(found, name)
			return err
		}, f.chosen)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return &ChosenError{check.reason, found}
		}
	}
	return nil
}

func (f *front) readCuts(ctx context.Context) error {
	f.cuts, f.name = map[int64]int64{}, map[string]int64{}
	if f.d.Kind == database.SQLite {
		return nil // every event has a position
	}
	return each(ctx, f.tx, f.queries.Get("front_cuts"), func(rows *sql.Rows) error {
		var id, version int64
		var name string
		err := rows.Scan(&id, &name, &version)
		f.cuts[id], f.name[name] = version, id
		return err
	})
}

func (f *front) readStreams(ctx context.Context) error {
	var r archive.Stream
	return each(ctx, f.tx, f.queries.Get("front_streams"), func(rows *sql.Rows) error {
		if err := rows.Scan(&r.ID, &r.Name, &r.Version, f.time(&r.CreatedAt), f.time(&r.DeletedAt), &r.Linked); err != nil {
			return err
		}
		version := f.until(r.ID, r.Version)
		if version == 0 && r.Version > 0 {
			return nil // created after the head
		}
		r.Version = version
		return f.do(&r)
	}, f.chosen)
}

func (f *front) readLinks(ctx context.Context) error {
	var r archive.Link
	return each(ctx, f.tx, f.queries.Get("front_links"), func(rows *sql.Rows) error {
		if err := rows.Scan(&r.StreamID, &r.Version, id{&r.EventID}); err != nil {
			return err
		}
		if f.until(r.StreamID, r.Version) < r.Version {
			return nil
		}
		return f.do(&r)
	}, f.chosen)
}

func (f *front) readSnapshots(ctx context.Context) error {
	return each(ctx, f.tx, f.queries.Get("front_snapshots"), func(rows *sql.Rows) error {
		var r archive.Snapshot
		err := rows.Scan(&r.SourceID, &r.Version, &r.Type, &r.ContentType, &r.Data, optional{&r.Metadata}, f.time(&r.CreatedAt))
		if err != nil {
			return err
		}
		if stream, ok := f.name[r.SourceID]; ok && f.until(stream, r.Version) < r.Version {
			return nil // made of events that have no position yet
		}
		return f.do(&r)
	}, f.chosen)
}

func (f *front) readSubscriptions(ctx context.Context) error {
	return each(ctx, f.tx, f.queries.Get("front_subscriptions"), func(rows *sql.Rows) error {
		var r archive.Subscription
		var parked string
		err := rows.Scan(&r.Stream, &r.Name, &r.Checkpoint, &r.StreamID, &r.Seen, id{&r.SeenID}, f.time(&r.CreatedAt), f.time(&r.UpdatedAt), &parked)
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(parked), &r.Parked); err != nil {
			return fmt.Errorf("what subscription %q on %q has parked: %w", r.Name, r.Stream, err)
		}
		for i := range r.Parked {
			r.Parked[i].ParkedAt = r.Parked[i].ParkedAt.UTC()
		}
		if r.StreamID != 0 {
			r.Checkpoint = f.until(r.StreamID, r.Checkpoint)
			if f.until(r.StreamID, r.Seen) < r.Seen {
				r.Seen, r.SeenID = 0, uuid.Nil
			}
		}
		return f.do(&r)
	}, f.chosen)
}

// Events implements [archive.Source].
func (s *source) Events(ctx context.Context, after, head int64, do func(e *archive.Event) error) error {
	for after < head {
		last, err := s.page(ctx, after, head, do)
		if err != nil {
			return err
		}
		if last == after {
			return nil
		}
		after = last
	}
	return nil
}

// page calls do with a page of events, and returns the position that the next one is after; after itself at the end. An
// append is never divided between pages of PostgreSQL.
func (s *source) page(ctx context.Context, after, head int64, do func(e *archive.Event) error) (last int64, err error) {
	// One snapshot: what is hard deleted meanwhile must not move the end of the page. Read only, SQLite keeps no writer waiting.
	o := sql.TxOptions{ReadOnly: true}
	if s.d.Kind == database.PostgreSQL {
		o.Isolation = sql.LevelRepeatableRead
	}
	tx, err := s.d.BeginTx(ctx, &o)
	if err != nil {
		return after, err
	}
	defer tx.Rollback() //nolint:errcheck // there is nothing to keep
	if s.d.Kind == database.PostgreSQL {
		if _, err := tx.ExecContext(ctx, s.queries.Get("page_settings")); err != nil {
			return after, err
		}
	}
	last, n := after, 0
	err = each(ctx, tx, s.queries.Get("events"), func(rows *sql.Rows) error {
		var e archive.Event
		n++
		err := rows.Scan(&e.Position, &e.Index, &e.StreamID, &e.Stream, &e.Version, id{&e.ID}, &e.Type, id{&e.CausationID},
			id{&e.CorrelationID}, s.time(&e.CreatedAt), &e.ContentType, &e.Data, optional{&e.Metadata})
		if err != nil {
			return err
		}
		if e.Data == nil {
			e.Data = []byte{}
		}
		last = e.Position
		return do(&e)
	}, s.chosen, after, head, s.perPage)
	if err != nil {
		return after, err
	}
	if s.d.Kind == database.SQLite {
		if n < s.perPage {
			return after, nil
		}
		return last, nil
	}
	// Appends of streams that were not chosen, or were hard deleted, are on the page, too.
	var end sql.NullInt64
	if err := tx.QueryRowContext(ctx, s.queries.Get("events_end"), after, head, s.perPage).Scan(&end); err != nil {
		return after, err
	}
	return max(last, end.Int64, after), nil
}

// StreamIDs implements [archive.Source].
func (s *source) StreamIDs(ctx context.Context, do func(id int64) error) error {
	return each(ctx, s.d.DB, s.queries.Get("stream_ids"), func(rows *sql.Rows) error {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		return do(id)
	})
}

// querier is a *sql.DB, *sql.Tx or *sql.Conn.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each calls do for each row of a query.
func each(ctx context.Context, q querier, query string, do func(rows *sql.Rows) error, args ...any) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
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

// time returns what scans a time as the database keeps it: null leaves it zero.
func (s *source) time(into *time.Time) sql.Scanner { return moment{into} }

type moment struct{ into *time.Time }

func (m moment) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*m.into = time.Time{}
	case int64:
		*m.into = time.UnixMicro(v).UTC()
	case time.Time:
		*m.into = v.UTC()
	default:
		return fmt.Errorf("transfer: %T is no time", v)
	}
	return nil
}

// optional scans bytes, of which none are something else than null.
type optional struct{ into *[]byte }

func (o optional) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*o.into = nil
	case []byte:
		*o.into = append([]byte{}, v...)
	case string: // of type json
		*o.into = []byte(v)
	default:
		return fmt.Errorf("transfer: %T is not bytes", v)
	}
	return nil
}

// id scans an id: text or 16 bytes; null is zero.
type id struct{ into *uuid.UUID }

func (i id) Scan(v any) error {
	*i.into = uuid.Nil
	switch v := v.(type) {
	case []byte:
		if len(v) == 16 {
			copy(i.into[:], v)
			return nil
		}
	case string, nil:
	default:
		return fmt.Errorf("transfer: %T is no id", v)
	}
	return i.into.Scan(v)
}
