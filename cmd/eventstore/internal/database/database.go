package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/queries"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// Database is an open store. Close it.
type Database struct {
	Location
	*sql.DB
	// Schema is the schema of a store in PostgreSQL, or what stands before the names of its tables in SQLite.
	Schema string
	// Backend is the store's.
	Backend Backend
}

// Backend is what backends for SQL have in common.
type Backend interface {
	store.Storage
	store.SubscriptionStorage
	store.ProjectionStorage
	store.Transactional
	store.Checker
	store.CorrelationStorage
	IndexCorrelations(ctx context.Context) error
	IndexTypes(ctx context.Context) error
	migrate.Backend
	Close() error
}

// NotFoundError says that a SQLite file is not there.
type NotFoundError struct{ Path string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("there is no file %s", e.Path) }

// String is where the store is, without a password: its database and schema.
func (d *Database) String() string {
	switch {
	case d.Kind == PostgreSQL:
		return fmt.Sprintf("%s, schema %q", d.Location, d.Schema)
	case d.Schema != "":
		return fmt.Sprintf("%s, prefix %q", d.Location, d.Schema)
	}
	return d.Location.String()
}

// Options of [Open].
type Options struct {
	Schema   string // default: "eventstore", or no prefix
	DataType string // of the columns for data that are to be created in PostgreSQL; default: bytea
	Create   bool   // whether a SQLite file may be created
	Prepare  bool   // whether statements are prepared, as in a program with the driver's defaults; no pooler in transaction mode takes that
}

// Open opens the store of a schema. Nothing is asked of the server yet.
func Open(l Location, o Options) (*Database, error) {
	d := &Database{Location: l, Schema: o.Schema}
	var err error
	switch l.Kind {
	case PostgreSQL:
		if d.Schema == "" {
			d.Schema = "eventstore"
		}
		open := OpenPostgres
		if o.Prepare {
			open = func(u *url.URL) (*sql.DB, error) { return sql.Open("pgx", u.String()) }
		}
		if d.DB, err = open(l.URL); err != nil {
			return nil, errors.New(l.Redact(err.Error()))
		}
		d.Backend = postgres.New(d.DB, &postgres.Options{Schema: d.Schema, DataType: o.DataType})
	default:
		if !o.Create && !l.Exists() {
			return nil, &NotFoundError{l.Path}
		}
		if d.DB, err = sql.Open("sqlite", sqlite.DSN(l.Path)); err != nil {
			return nil, err
		}
		d.Backend = sqlite.New(d.DB, &sqlite.Options{Prefix: d.Schema})
	}
	return d, nil
}

// Close closes the database.
func (d *Database) Close() error { return errors.Join(d.Backend.Close(), d.DB.Close()) }

// Check returns a store.SchemaError if the store's tables are missing or old, or why the database can't be reached.
func (d *Database) Check(ctx context.Context) error { return d.Backend.Check(ctx) }

// Queries reads a file of SQL: what stands before a name as a comment /*schema.*/ or /*prefix*/ becomes the store's, and
// in PostgreSQL '/*schema.*/ that of a name within quotes.
func (d *Database) Queries(file string) queries.Set {
	if d.Kind == SQLite {
		return queries.Parse(file, "/*prefix*/", d.Schema)
	}
	schema := `"` + strings.ReplaceAll(d.Schema, `"`, `""`) + `".`
	text := strings.ReplaceAll(d.Schema, "'", "''")
	return queries.Parse(file,
		"'/*schema.*/", "'"+strings.ReplaceAll(schema, "'", "''"), "/*schema.*/", schema, "/*schema_text*/", text)
}
