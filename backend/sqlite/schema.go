package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
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

// Migrations returns the migration files, rendered for this backend's prefix, for package migrate. With options that
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
	return "the database", "give the store's tables a prefix: set Prefix in sqlite.Options, or --schema on the command line"
}

// Busy reports whether err says that another connection has a lock, for package migrate.
func (b *Backend) Busy(err error) bool { return busy(err) }

// oldest is the oldest version of SQLite that has what the queries need: JSON functions that can't be left out.
var oldest = [2]int{3, 38}

// Check returns [store.ErrUnsupportedDatabase] if SQLite is too old, a [store.SchemaError] if the tables are missing, are older than
// this version needs or newer than it works with, and a [PragmaError] if a connection lacks a setting. Tables that are newer and state
// that this version works with them are good; a warning goes to the logger. Every operation checks once by itself; [store.Store.Check] at the start of a
// program tells at once.
func (b *Backend) Check(ctx context.Context) error {
	if b.closed.Load() {
		return store.ErrClosed
	}
	if b.err != nil || b.checked.Load() {
		return b.err
	}
	if err := b.Suitable(ctx); err != nil {
		return err
	}
	if err := b.checkSettings(ctx); err != nil {
		return err
	}
	if err := b.checkSchema(ctx); err != nil {
		return err
	}
	b.checked.Store(true)
	return nil
}

// Suitable returns [store.ErrUnsupportedDatabase] if SQLite is too old, a [PragmaError] if the database does not encode text as UTF-8:
// names are compared byte by byte, and a [store.InvalidError] if tables are there whose prefix differs in case only. [migrate.Up] asks before it creates anything, and Check before everything else.
//
// [migrate.Up]: https://pkg.go.dev/github.com/eventstore-go/eventstore/migrate#Up
func (b *Backend) Suitable(ctx context.Context) error {
	if err := b.checkVersion(ctx); err != nil {
		return err
	}
	var encoding string
	if _, err := b.one(ctx, "encoding", nil, &encoding); err != nil {
		return err
	}
	if encoding != "UTF-8" {
		return &PragmaError{Pragma: "encoding", Have: encoding, Want: "UTF-8: create another file, since the encoding of one that has tables can't be changed"}
	}
	var table string
	if found, err := b.one(ctx, "other_case", nil, &table); err != nil {
		return err
	} else if found {
		return b.opts.otherCase(table)
	}
	return nil
}

func (b *Backend) checkVersion(ctx context.Context) error {
	var version string
	if _, err := b.one(ctx, "version", nil, &version); err != nil {
		return err
	}
	var have [2]int
	if n, _ := fmt.Sscanf(version, "%d.%d", &have[0], &have[1]); n < 2 {
		have = [2]int{}
	}
	if slices.Compare(have[:], oldest[:]) < 0 {
		return fmt.Errorf("sqlite: the driver has SQLite %s, but the store needs version %d.%d or later; use a newer driver or library: %w",
			version, oldest[0], oldest[1], store.ErrUnsupportedDatabase)
	}
	return nil
}

func (b *Backend) checkSchema(ctx context.Context) error {
	present, version, oldestProgram := 0, 0, 0
	found, err := b.one(ctx, "migrate_present", nil, &present)
	if err == nil && found {
		_, err = b.one(ctx, "migrate_version", nil, &version, &oldestProgram)
	}
	if err != nil {
		return err
	}
	if version < latest {
		return &store.SchemaError{Have: version, Want: latest, Advice: advice}
	}
	if oldestProgram > latest {
		return &store.SchemaError{Have: version, Want: latest, Oldest: oldestProgram, Advice: newerAdvice}
	}
	if version > latest && b.warned.CompareAndSwap(false, true) {
		b.opts.Logger.WarnContext(ctx, "the tables are newer than this program, which works with them",
			slog.Int("version", version), slog.Int("latest", latest), slog.Int("oldest", oldestProgram))
	}
	return nil
}
