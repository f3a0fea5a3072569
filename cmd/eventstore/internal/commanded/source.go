package commanded

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/queries"
)

//go:embed queries.sql
var file string

// Source is a store of commanded/eventstore. Close it. It is for one goroutine at a time.
type Source struct {
	db      *sql.DB
	schema  string
	queries queries.Set
	summary Summary
}

var _ archive.Source = (*Source)(nil)

// Summary counts what was met since [Open].
type Summary struct {
	Orphans     int64 // events without a place in $all: passed over
	Lost        int64 // places in $all whose event or stream is not there: passed over
	Links       int64 // links whose event is not there any more: passed over
	Checkpoints int64 // that were beyond the end of their stream: lowered to its version
	ErlangTerms int64 // events and snapshots with data or metadata in the external term format of Erlang
	Unknown     int64 // and in a format that is neither that nor JSON
}

// Summary returns what was counted so far.
func (s *Source) Summary() Summary { return s.summary }

// tables are the columns that are read.
var tables = map[string][]string{
	"streams":           {"stream_id", "stream_uuid", "stream_version", "created_at", "deleted_at"},
	"events":            {"event_id", "event_type", "causation_id", "correlation_id", "data", "metadata", "created_at"},
	"stream_events":     {"event_id", "stream_id", "stream_version", "original_stream_id", "original_stream_version"},
	"subscriptions":     {"stream_uuid", "subscription_name", "last_seen", "created_at"},
	"snapshots":         {"source_uuid", "source_version", "source_type", "data", "metadata", "created_at"},
	"schema_migrations": {"major", "minor", "patch"},
}

// Open connects to the store in a schema, by default public. What is not such a store is a [NotFoundError], and one that
// is too old or too new a [VersionError].
func Open(ctx context.Context, l database.Location, schema string) (*Source, error) {
	if l.Kind != database.PostgreSQL {
		return nil, &database.LocationError{Reason: "commanded/eventstore keeps its events in PostgreSQL: want a URL such as postgres://user@host:5432/database"}
	}
	if schema == "" {
		schema = "public"
	}
	db, err := sql.Open("pgx", l.URL.String())
	if err != nil { // its text may show the password
		return nil, errors.New(l.Redact(err.Error()))
	}
	s := &Source{db: db, schema: schema}
	if err := s.check(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// Close closes the connections.
func (s *Source) Close() error { return s.db.Close() }

// check finds out whether the tables are there, and what type their data has.
func (s *Source) check(ctx context.Context) error {
	s.parse("")
	types := map[string]string{} // by table.column
	there := map[string]bool{}
	err := s.read(ctx, sql.LevelDefault, func(tx *sql.Tx) error {
		if err := s.each(ctx, tx, "columns", func(rows *sql.Rows) error {
			var table, column, typ string
			if err := rows.Scan(&table, &column, &typ); err != nil {
				return err
			}
			there[table], types[table+"."+column] = true, typ
			return nil
		}, s.schema); err != nil {
			return err
		}
		var missing, columns []string
		for table, want := range tables {
			if !there[table] {
				missing = append(missing, table)
			}
			for _, column := range want {
				typ, ok := types[table+"."+column]
				data := column == "data" || column == "metadata"
				if !ok || data && typ != "bytea" && typ != "json" && typ != "jsonb" {
					columns = append(columns, table+"."+column)
				}
			}
		}
		if len(missing) > 0 {
			slices.Sort(missing)
			return &NotFoundError{Schema: s.schema, Tables: missing}
		}
		version, major := "", int64(0)
		if err := s.each(ctx, tx, "version", func(rows *sql.Rows) error {
			var minor, patch int64
			err := rows.Scan(&major, &minor, &patch)
			version = fmt.Sprintf("%d.%d.%d", major, minor, patch)
			return err
		}); err != nil {
			return err
		}
		if len(columns) > 0 || major > 1 {
			slices.Sort(columns)
			return &VersionError{Schema: s.schema, Version: version, Columns: columns}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if types["events.data"] != "bytea" {
		s.parse("::text")
	}
	return nil
}

// parse reads the statements for columns whose data needs the cast.
func (s *Source) parse(cast string) {
	schema := `"` + strings.ReplaceAll(s.schema, `"`, `""`) + `".`
	s.queries = queries.Parse(file, "/*schema.*/", schema, "/*data*/", cast)
}

// read runs f in a transaction that is read only.
func (s *Source) read(ctx context.Context, level sql.IsolationLevel, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("commanded: begin: %w", err)
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
		return fmt.Errorf("commanded: %s: %w", statement, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := do(rows); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return fmt.Errorf("commanded: %s: %w", statement, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("commanded: %s: %w", statement, err)
	}
	return nil
}
