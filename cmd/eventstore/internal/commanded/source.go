package commanded

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/queries"
)

//go:embed queries.sql
var file string

// Source is a store of commanded/eventstore. Close it. It is for one goroutine at a time.
type Source struct {
	db      *sql.DB
	where   database.Location
	schema  string
	queries queries.Set
	names   names
	isJSON  bool // the type of the columns for data
	summary Summary
	anew    []string

	dataType string    // see DataType
	position int64     // of the last event that was read
	event    uuid.UUID // its id; zero if none was
	counted  int64     // position up to which events were counted in the summary

	formats map[string]*int64 // the number of the summary that counts a snapshot, by its source
}

var _ archive.Source = (*Source)(nil)

// Options of [Open].
type Options struct {
	Schema string   // default: public
	Rename []string // old=new: streams that get another name, with their subscriptions and snapshots
	Skip   []string // streams that are left out, with their events, links, subscriptions and snapshots
}

// Open connects to a store. The error is a [NotFoundError] if the schema has no such store, or not all of it, a [RightsError] if the
// user may not read it, and a [VersionError] if it is too new. Names are looked at by [Source.Front].
func Open(ctx context.Context, l database.Location, o Options) (*Source, error) {
	if l.Kind != database.PostgreSQL {
		return nil, &database.LocationError{Reason: "commanded/eventstore keeps its events in PostgreSQL: want a URL such as postgres://user@host:5432/database"}
	}
	if o.Schema == "" {
		o.Schema = "public"
	}
	names, err := newNames(o)
	if err != nil {
		return nil, err
	}
	db, err := database.OpenPostgres(l.URL)
	if err != nil { // its text may show the password
		return nil, errors.New(l.Redact(err.Error()))
	}
	s := &Source{db: db, where: l, schema: o.Schema, names: names, formats: map[string]*int64{}}
	if err := s.check(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// Close closes the connections.
func (s *Source) Close() error { return s.db.Close() }

// parse reads the statements for columns whose data needs the cast.
func (s *Source) parse(cast string) {
	schema := quote(s.schema) + "."
	s.queries = queries.Parse(file, "'/*schema.*/", "'"+strings.ReplaceAll(schema, "'", "''"), "/*schema.*/", schema, "/*data*/", cast)
}

// read runs f in a transaction that is read only.
func (s *Source) read(ctx context.Context, level sql.IsolationLevel, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: true})
	if err != nil {
		return s.failed("begin", err)
	}
	defer tx.Rollback() //nolint:errcheck // it has read only
	return f(tx)
}

// errEnough ends each before the last row.
var errEnough = errors.New("enough")

// each calls do for each row of a statement.
func (s *Source) each(ctx context.Context, tx *sql.Tx, statement string, do func(rows *sql.Rows) error, args ...any) (err error) {
	rows, err := tx.QueryContext(ctx, s.queries.Get(statement), args...)
	if err != nil {
		return s.failed(statement, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := do(rows); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return s.failed(statement, err)
	}
	return nil
}

// failed is an error of the server.
func (s *Source) failed(statement string, err error) error {
	return &ReadError{Where: s.where.String(), Statement: statement, Err: err}
}
