package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/eventstore-go/eventstore/backend/internal/rendered"
	"github.com/eventstore-go/eventstore/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// latest is the version of the newest migration.
const latest = 4

const (
	advice      = "run migrate.Up(ctx, backend) once before the program starts"
	newerAdvice = "start a newer release of it, or restore a backup from before the migration"
)

// Migrations returns the migration files, rendered for this backend's schema and data type, for package migrate. With options that
// are wrong, it has nothing but the error.
func (b *Backend) Migrations() fs.FS {
	if b.err != nil {
		return rendered.Broken(b.err) // nothing is created with options that are wrong
	}
	return rendered.FS(migrations, "migrations", strings.NewReplacer(b.opts.replacements()...))
}

// MigrationQuery returns a statement that package migrate needs.
func (b *Backend) MigrationQuery(name string) string { return b.queries.Get(name) }

// Logger returns the logger of the options, for package migrate.
func (b *Backend) Logger() *slog.Logger { return b.opts.Logger }

// Place returns where the tables stand, and what moves them elsewhere, for package migrate.
func (b *Backend) Place() (where, advice string) {
	return fmt.Sprintf("schema %q", b.opts.Schema),
		"give the store a schema without them: set Schema in postgres.Options, or --schema on the command line"
}

// Busy reports whether err says that another transaction has held a lock for longer than lock_timeout, for package migrate.
func (b *Backend) Busy(err error) bool { return waitedTooLong(err) }

// oldest is the oldest version of PostgreSQL that has what the queries need, as the server numbers it. The query migrate_prepare
// refuses older ones, too.
const oldest = 14_00_00

// others are servers that speak as PostgreSQL does, but lack what the store relies on: its snapshots, its locks, or its sequences. They
// are known by what the function version returns.
var others = map[string]string{
	"CockroachDB": "CockroachDB", "-YB-": "YugabyteDB", "Redshift": "Amazon Redshift", "Greenplum": "Greenplum", "Cloudberry": "Cloudberry",
	"Materialize": "Materialize", "RisingWave": "RisingWave", "QuestDB": "QuestDB", "CrateDB": "CrateDB",
}

// Check returns [store.ErrUnsupportedDatabase] if the server is too old or is not PostgreSQL, or a table is no plain table, and a
// [store.SchemaError] if the tables are missing, are older than this version needs or newer than it works with, or if the schema was
// renamed. Tables that are newer and state that this version works with them are good; a warning goes to the logger. It returns a [PoolerError]
// if the driver's prepared statements do not work through the pooler before the server. Every operation checks once by itself;
// [store.Store.Check] at the start of a program tells at once.
func (b *Backend) Check(ctx context.Context) error {
	if b.err != nil {
		return b.err
	}
	if b.closed.Load() {
		return store.ErrClosed
	}
	if err := b.checkPooler(ctx); err != nil {
		return err
	}
	if b.ready.Load() {
		return nil
	}
	if err := b.Suitable(ctx); err != nil {
		return err
	}
	present, err := b.one(ctx, "migrate_present", nil, new(int))
	if err != nil {
		return err
	}
	if !present {
		return &store.SchemaError{Want: latest, Advice: advice}
	}
	var version, oldestProgram int
	if _, err := b.one(ctx, "migrate_version", nil, &version, &oldestProgram); err != nil {
		return err
	}
	if version < latest {
		return &store.SchemaError{Have: version, Want: latest, Advice: advice}
	}
	if oldestProgram > latest {
		return &store.SchemaError{Have: version, Want: latest, Oldest: oldestProgram, Advice: newerAdvice}
	}
	renamed, err := b.one(ctx, "migrate_renamed", nil, new(int))
	if err != nil {
		return err
	}
	if renamed {
		return &store.SchemaError{Have: version, Want: latest, Renamed: true, Advice: renamedAdvice}
	}
	var dataType string
	if _, err := b.one(ctx, "data_type", nil, &dataType); err != nil {
		return err
	}
	b.jsonOnly.Store(dataType != "bytea")
	b.jsonb.Store(dataType == "jsonb")
	if !b.ready.Swap(true) && version > latest {
		b.opts.Logger.WarnContext(ctx, "the tables are newer than this program, which works with them",
			slog.Int("version", version), slog.Int("latest", latest), slog.Int("oldest", oldestProgram))
	}
	return nil
}

// Suitable returns [store.ErrUnsupportedDatabase] if the server is too old or is not PostgreSQL, or if a table of the store is there that
// is no plain table, such as a foreign one. It returns a [store.InvalidError] if the database, or the session, does not encode text as
// UTF-8: names would not be the same for every driver. It returns one for other settings of the session that the package comment names.
// [migrate.Up] asks before it creates anything, and Check before everything else.
//
// [migrate.Up]: https://pkg.go.dev/github.com/eventstore-go/eventstore/migrate#Up
func (b *Backend) Suitable(ctx context.Context) error {
	if b.err != nil {
		return b.err
	}
	if err := b.checkPooler(ctx); err != nil {
		return err
	}
	if err := b.checkServer(ctx); err != nil {
		return err
	}
	if err := b.checkTables(ctx); err != nil {
		return err
	}
	return b.checkSettings(ctx)
}

func (b *Backend) checkServer(ctx context.Context) error {
	var number int
	var version, name string
	if _, err := b.one(ctx, "server_version", nil, &number, &version, &name); err != nil {
		return err
	}
	for mark, other := range others {
		if strings.Contains(name, mark) {
			return fmt.Errorf("postgres: the server is %s, not PostgreSQL (%s): %w", other, name, store.ErrUnsupportedDatabase)
		}
	}
	if number < oldest {
		return fmt.Errorf("postgres: the server is PostgreSQL %s, but the store needs version 14 or later: %w", version, store.ErrUnsupportedDatabase)
	}
	return nil
}

// checkTables refuses tables that are elsewhere, or are several: a foreign table is read and written in transactions of another server,
// whose snapshots and locks are not those of this one, and in a partitioned table no id is unique.
func (b *Backend) checkTables(ctx context.Context) error {
	var table, kind string
	found, err := b.one(ctx, "strange_table", nil, &table, &kind)
	if err != nil || !found {
		return err
	}
	return fmt.Errorf("postgres: %s.%s is a %s, but the store needs plain tables in the database that it is opened on: %w",
		quote(b.opts.Schema), quote(table), kind, store.ErrUnsupportedDatabase)
}

// JSONOnly implements [store.JSONOnly]: by the options until the schema was checked, then by what its columns are.
func (b *Backend) JSONOnly() bool {
	if b.ready.Load() {
		return b.jsonOnly.Load()
	}
	return b.opts.DataType != "bytea"
}

// checkJSON refuses what columns for JSON don't take. The schema was checked.
func (b *Backend) checkJSON(events []store.NewEvent) error {
	if !b.jsonOnly.Load() {
		return nil
	}
	for i := range events {
		if !store.IsJSON(events[i].ContentType) {
			return &store.InvalidError{Field: fmt.Sprintf("events[%d].data", i), Reason: store.NotJSON(events[i].ContentType)}
		}
		if err := b.checkJSONB(fmt.Sprintf("events[%d].", i), events[i].Data, events[i].Metadata); err != nil {
			return err
		}
	}
	return nil
}
