package transfer

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

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
