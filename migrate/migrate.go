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
)

// Backend is what this package needs to know of a backend; those of this module have it.
type Backend interface {
	// DB is the database.
	DB() *sql.DB
	// Migrations has the files NNNN_what.up.sql and NNNN_what.down.sql at its root, complete. A file may hold several
	// statements and must not begin or end a transaction.
	Migrations() fs.FS
	// MigrationQuery returns a statement by its name, complete; it may consist of several. All are run on one
	// connection, in this order but for the first:
	//
	//   - migrate_present: one row if the version table is there; must not fail if it is not
	//   - migrate_lock: waits for every other migrator of this store, and keeps others waiting. SQLite may give up with
	//     SQLITE_BUSY: then it is run again
	//   - migrate_prepare: creates the version table, and what it stands in, if missing
	//   - migrate_version: the version, no row if there is none
	//   - migrate_begin: begins a migration
	//   - migrate_clear_version: removes the version; then, unless no tables are left, migrate_set_version, with the
	//     version as its argument
	//   - migrate_commit, or migrate_rollback: ends the migration
	//   - migrate_unlock: undoes migrate_lock
	//
	// One lock, one migration: migrate_lock may begin a transaction that migrate_unlock commits.
	MigrationQuery(name string) string
}

// Up creates the tables or brings them to the newest version. It waits, as long as ctx allows, while another process
// does the same. With nothing to do it returns nil. Tables in a schema that was renamed are made to fit its new name first: see
// [Adopter].
//
// A failed migration is a [MigrationError]; those before it stay applied. Tables that are newer than the files are a
// [VersionError], which is [ErrNewer]. When ctx ends, so does the migration that runs, and leaves nothing behind.
func Up(ctx context.Context, b Backend) error {
	var status Status
	err := waiting(ctx, func() (err error) {
		status, err = StatusOf(ctx, b)
		return err
	})
	if err == nil && status.Renamed {
		err = adopt(ctx, b)
	}
	if err != nil || status.Version == status.Latest {
		return withContext(ctx, err)
	}
	return run(ctx, b, func(m *migrate.Migrate, d *driver) error {
		// One at a time: given several, golang-migrate leaves goroutines behind when one fails.
		for d.version != d.files.latest() {
			err := m.Steps(1)
			if errors.Is(err, fs.ErrNotExist) && d.version == d.files.latest() {
				return nil // another process was first
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Down undoes the newest migrations, so many steps, and with the first one all events. It is for development. With
// fewer than that applied it returns an error and undoes none.
func Down(ctx context.Context, b Backend, steps int) error {
	if steps < 1 {
		return fmt.Errorf("migrate: %d steps down: at least 1 is needed", steps)
	}
	f, err := open(b)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	version, err := versionOf(ctx, b)
	if err != nil {
		return err
	}
	applied, err := f.applied(version)
	if err != nil {
		return err
	}
	if steps > applied {
		return fmt.Errorf("migrate: %d steps down: only %d are applied", steps, applied)
	}
	return run(ctx, b, func(m *migrate.Migrate, _ *driver) error {
		for range steps {
			if err := m.Steps(-1); err != nil {
				return err
			}
		}
		return nil
	})
}

// run runs f with the backend's files, on one connection.
func run(ctx context.Context, b Backend, f func(*migrate.Migrate, *driver) error) (err error) {
	defer func() { err = withContext(ctx, err) }()
	files, err := open(b)
	if err != nil {
		return err
	}
	var conn *sql.Conn
	err = waiting(ctx, func() (err error) {
		conn, err = b.DB().Conn(ctx)
		return err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("migrate: connect: %w", err), files.Close())
	}
	d := &driver{ctx: ctx, backend: b, files: files, conn: conn}
	m, err := migrate.NewWithInstance("files", files, "backend", d)
	if err != nil {
		return errors.Join(fmt.Errorf("migrate: %w", err), files.Close(), d.Close())
	}
	m.LockTimeout = time.Duration(math.MaxInt64) // ctx says how long to wait
	defer func() {
		fileErr, dbErr := m.Close()
		err = errors.Join(err, fileErr, dbErr)
	}()
	return f(m, d)
}
