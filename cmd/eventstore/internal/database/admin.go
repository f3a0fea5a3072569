package database

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/queries"
	"github.com/eventstore-go/eventstore/migrate"
)

//go:embed admin.sql
var adminFile string

// SQLSTATEs.
const (
	duplicateDatabase = "42P04"
	uniqueViolation   = "23505" // two sessions create the same
	noSuchDatabase    = "3D000"
	refusedLogin      = "08P01" // by pgbouncer, whatever the server's reason was
	dependents        = "2BP01"
	invalidParameter  = "22023" // the encoding is not that of template1
)

func stateOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// CreateDatabase creates the database, or the file, unless it is there. It reports whether it did. Many may call it at the same time.
func CreateDatabase(ctx context.Context, l Location) (created bool, err error) {
	if l.Kind == SQLite {
		if l.Exists() {
			return false, nil
		}
		db, err := sql.Open("sqlite", sqlite.DSN(l.Path))
		if err != nil {
			return false, err
		}
		err = errors.Join(db.PingContext(ctx), db.Close())
		return err == nil, err
	}
	err = Reach(ctx, l)
	pooled := stateOf(err) == refusedLogin
	if stateOf(err) != noSuchDatabase && !pooled {
		return false, err
	}
	if pooled {
		switch there, refused := databaseExists(ctx, l, err); {
		case refused != nil:
			return false, refused
		case there:
			return false, err
		}
	}
	err = maintain(ctx, l, "create_database")
	switch stateOf(err) {
	case duplicateDatabase, uniqueViolation:
		return false, nil
	case invalidParameter:
		err = fmt.Errorf("%w; create the database yourself: create database … encoding 'UTF8' locale 'C' template template0", err)
	}
	if err == nil && pooled {
		err = awaitPooler(ctx, l)
	}
	return err == nil, err
}

// Reach returns why a database can't be used, if it can't: in PostgreSQL an error of SQLSTATE 3D000 says that it is not there, for
// a SQLite file a NotFoundError.
func Reach(ctx context.Context, l Location) error {
	if l.Kind == SQLite {
		if !l.Exists() {
			return &NotFoundError{l.Path}
		}
		return nil
	}
	db, err := OpenPostgres(l.URL)
	if err != nil {
		return err
	}
	return errors.Join(db.PingContext(ctx), db.Close())
}

// DropDatabase drops the whole database, or the file, with all that is in it.
func DropDatabase(ctx context.Context, l Location) error {
	if l.Kind == SQLite {
		if !l.Exists() {
			return &NotFoundError{l.Path}
		}
		var errs []error
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(l.Path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	return maintain(ctx, l, "drop_database")
}

// maintain runs a statement in the database "postgres" of the same server, or in "template1" if there is none.
func maintain(ctx context.Context, l Location, name string) error {
	var err error
	for _, other := range []string{"postgres", "template1"} {
		u := *l.URL
		u.Path = "/" + other
		q := u.Query()
		q.Del("dbname")
		q.Del("database")
		u.RawQuery = q.Encode()
		if err = in(ctx, &u, queries.Parse(adminFile, "/*name*/", strings.ReplaceAll(databaseOf(l), `"`, `""`)).Get(name)); stateOf(err) != noSuchDatabase && stateOf(err) != refusedLogin {
			return err
		}
	}
	return err
}

func in(ctx context.Context, u *url.URL, statement string) (err error) {
	db, err := OpenPostgres(u)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, statement)
	return err
}

// NoStoreError says that a schema, or a prefix of tables, holds no store.
type NoStoreError struct {
	Where  string   // the database and the schema, as people read them
	Stores []string // schemas or prefixes of the stores that are in the database
}

func (e *NoStoreError) Error() string { return "there is no store in " + e.Where }

// Holds returns a NoStoreError unless the schema holds a store, or what is left of one that was being created or dropped.
func (d *Database) Holds(ctx context.Context) error {
	err := d.QueryRowContext(ctx, d.Backend.MigrationQuery("migrate_present")).Scan(new(int))
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	stores, err := d.Stores(ctx)
	if err != nil {
		return err
	}
	return &NoStoreError{d.String(), stores}
}

// Stores returns the schemas, or prefixes of tables, of all stores in the database.
func (d *Database) Stores(ctx context.Context) ([]string, error) {
	if d.Kind == SQLite {
		return d.names(ctx, "stores_sqlite")
	}
	return d.names(ctx, "stores_postgres")
}

// Drop drops the store: its tables, functions and sequences, and in PostgreSQL the schema, if nothing else is in it and it is
// not "public". With cascade the schema goes with all that is in it. A store whose import is unfinished stays so until its tables are gone.
// It returns what is left in the schema. If there is no store, nothing is dropped, and the error is a NoStoreError.
func (d *Database) Drop(ctx context.Context, cascade bool) (left []string, err error) {
	if err := d.Holds(ctx); err != nil {
		return nil, err
	}
	q := queries.Parse(adminFile, "/*prefix*/", d.Schema, "/*schema_name*/", strings.ReplaceAll(d.Schema, `"`, `""`), "/*schema.*/", `"`+strings.ReplaceAll(d.Schema, `"`, `""`)+`".`)
	if d.Kind == PostgreSQL && cascade {
		_, err := d.ExecContext(ctx, q.Get("drop_schema_cascade"))
		return nil, err
	}
	status, err := migrate.StatusOf(ctx, d.Backend)
	if err != nil {
		return nil, err
	}
	if status.Version > status.Latest {
		return nil, migrate.ErrNewer
	}
	if status.Version > 0 {
		if err := migrate.Down(ctx, d.Backend, status.Version); err != nil {
			return nil, err
		}
	}
	if d.Kind == SQLite {
		_, err := d.ExecContext(ctx, q.Get("drop_import_sqlite"))
		return nil, err
	}
	if _, err := d.ExecContext(ctx, q.Get("drop_import_postgres")); err != nil {
		return nil, err
	}
	if _, err := d.ExecContext(ctx, q.Get("drop_version_table")); err != nil {
		return nil, err
	}
	if left, err = d.Others(ctx); err != nil || len(left) > 0 || d.Schema == "public" {
		return left, err
	}
	_, err = d.ExecContext(ctx, q.Get("drop_schema"))
	if stateOf(err) == dependents { // functions or types of somebody's
		err = nil
	}
	return nil, err
}

// Others returns the tables, views and sequences of a PostgreSQL schema.
func (d *Database) Others(ctx context.Context) ([]string, error) {
	if d.Kind == SQLite {
		return nil, nil
	}
	return d.names(ctx, "others", d.Schema)
}

// names returns the names that a query of admin.sql returns.
func (d *Database) names(ctx context.Context, query string, args ...any) (names []string, err error) {
	rows, err := d.QueryContext(ctx, queries.Parse(adminFile).Get(query), args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// Version returns the version of the server, or of SQLite.
func (d *Database) Version(ctx context.Context) (version string, err error) {
	name := "version_postgres"
	if d.Kind == SQLite {
		name = "version_sqlite"
	}
	err = d.QueryRowContext(ctx, queries.Parse(adminFile).Get(name)).Scan(&version)
	return version, err
}

// HasTable returns what identifies the table that a name means, which stands in statements without quotes; "" if there is none.
func (d *Database) HasTable(ctx context.Context, name string) (id string, err error) {
	query := "table_postgres"
	if d.Kind == SQLite {
		query = "table_sqlite"
	}
	err = d.QueryRowContext(ctx, queries.Parse(adminFile).Get(query), name).Scan(&id)
	return id, err
}
