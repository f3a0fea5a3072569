// Package migrate creates and upgrades the tables of a backend, with golang-migrate and the migration files that the
// backend brings along.
//
// Each migration runs in one transaction together with the note of its version, so one that fails leaves everything as
// it was before it. One migrator works on a store at a time; others wait and then find nothing to do, so every process
// of an application may call [Up] when it starts. The version is noted in a table of the store's own, never in that of
// the application's migrations.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
)

// Backend is what this package needs to know of a backend; those of this module have it.
type Backend interface {
	// DB is the database.
	DB() *sql.DB
	// Migrations has the files NNNN_what.up.sql and NNNN_what.down.sql at its root, complete.
	Migrations() fs.FS
	// MigrationQuery returns a statement by its name. All are run on one connection:
	//
	//   - migrate_present: one row if the version table is there; must not fail if it is not
	//   - migrate_lock, migrate_unlock: wait for every other migrator of this store, keep others waiting
	//   - migrate_prepare: creates the version table, and what it stands in, if missing
	//   - migrate_begin, migrate_commit, migrate_rollback: around each migration
	//   - migrate_version: the version, no row if there is none
	//   - migrate_set_version, with the version as its argument; migrate_clear_version
	MigrationQuery(name string) string
}

// ErrNewer is returned when the tables are newer than this program knows. Upgrade the program.
var ErrNewer = errors.New("migrate: the tables are newer than this program")

// Up creates the tables or brings them to the newest version. It waits, as long as ctx allows, while another process
// does the same. With nothing to do it returns nil.
func Up(ctx context.Context, b Backend) error {
	return run(ctx, b, func(m *migrate.Migrate) error {
		for {
			// One at a time: given several, golang-migrate leaves goroutines behind when one fails.
			if err := m.Steps(1); done(err) {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
}

// done reports whether err says that there is nothing more to run.
func done(err error) bool {
	return errors.Is(err, migrate.ErrNoChange) || errors.Is(err, fs.ErrNotExist)
}

// Down undoes the newest migrations, so many steps, and with the first all events. It is for development.
func Down(ctx context.Context, b Backend, steps int) error {
	if steps < 1 {
		return fmt.Errorf("migrate: %d steps down: at least 1 is needed", steps)
	}
	return run(ctx, b, func(m *migrate.Migrate) error {
		for undone := range steps {
			if err := m.Steps(-1); done(err) {
				return fmt.Errorf("migrate: only %d of %d migrations were there to undo", undone, steps)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

// Status is how far the tables are.
type Status struct {
	Version int      // of the tables; 0 if there are none
	Latest  int      // that this program knows
	Pending []string // files that Up would run, in order
}

// StatusOf returns the status. It writes nothing and waits for nobody.
func StatusOf(ctx context.Context, b Backend) (Status, error) {
	files, err := iofs.New(b.Migrations(), ".")
	if err != nil {
		return Status{}, fmt.Errorf("migrate: %w", err)
	}
	defer files.Close() //nolint:errcheck // it was only read
	s := Status{}
	if s.Version, err = version(ctx, b); err != nil {
		return Status{}, err
	}
	for v, err := files.First(); ; v, err = files.Next(v) {
		if errors.Is(err, fs.ErrNotExist) {
			return s, nil
		}
		if err != nil {
			return Status{}, fmt.Errorf("migrate: %w", err)
		}
		s.Latest = int(v)
		if s.Latest > s.Version {
			s.Pending = append(s.Pending, fileName(files, v))
		}
	}
}

func fileName(files source.Driver, v uint) string {
	up, name, err := files.ReadUp(v)
	if err != nil {
		return fmt.Sprintf("%04d", v)
	}
	_ = up.Close()
	return fmt.Sprintf("%04d_%s.up.sql", v, name)
}

// version reads the version without waiting for a migrator.
func version(ctx context.Context, b Backend) (v int, err error) {
	for _, name := range []string{"migrate_present", "migrate_version"} {
		err := b.DB().QueryRowContext(ctx, b.MigrationQuery(name)).Scan(&v)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("migrate: read the version: %w", err)
		}
	}
	return v, nil
}

// run runs f with the backend's files, on one connection.
func run(ctx context.Context, b Backend, f func(*migrate.Migrate) error) (err error) {
	status, err := StatusOf(ctx, b)
	if err != nil {
		return err
	}
	if status.Version > status.Latest {
		return fmt.Errorf("%w: they are at version %d, it knows %d", ErrNewer, status.Version, status.Latest)
	}
	files, err := iofs.New(b.Migrations(), ".")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	conn, err := b.DB().Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate: connect: %w", err)
	}
	d := &driver{ctx: ctx, backend: b, conn: conn}
	m, err := migrate.NewWithInstance("iofs", files, "eventstore", d)
	if err != nil {
		return errors.Join(fmt.Errorf("migrate: %w", err), files.Close(), d.Close())
	}
	m.LockTimeout = time.Duration(math.MaxInt64) // ctx says how long to wait
	defer func() {
		fileErr, dbErr := m.Close()
		err = errors.Join(err, fileErr, dbErr)
	}()
	if err = f(m); ctx.Err() != nil && err != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}
