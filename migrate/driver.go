package migrate

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
)

var _ database.Driver = (*driver)(nil)

// driver is golang-migrate's view of a backend, on one connection. Its own drivers each import a database driver, and
// note the version in another transaction than the migration's.
//
// golang-migrate calls, for each step: Lock, Version, SetVersion (dirty), Run, SetVersion (clean), Unlock.
type driver struct {
	ctx     context.Context // of the one call it lives for: golang-migrate passes none on
	backend Backend
	files   *files
	conn    *sql.Conn

	version int  // of the tables as last seen or written; 0 before that, and for no tables
	target  int  // the version that the step under way makes
	locked  bool // Lock was successful, at least in part
	running bool // the transaction of a migration is open
}

const (
	busyPause     = 50 * time.Millisecond // before SQLite's lock is tried for again, which waits by itself if so configured
	unlockTimeout = 10 * time.Second
)

func (d *driver) exec(ctx context.Context, name string, args ...any) error {
	if _, err := d.conn.ExecContext(ctx, d.backend.MigrationQuery(name), args...); err != nil {
		return fmt.Errorf("migrate: %s: %w", name, err)
	}
	return nil
}

// Lock waits for other migrators and makes sure of the version table.
func (d *driver) Lock() error {
	err := waiting(d.ctx, func() error { return d.exec(d.ctx, "migrate_lock") })
	if err != nil {
		return err
	}
	d.locked = true
	return d.exec(d.ctx, "migrate_prepare")
}

// waiting calls f again while SQLite says that somebody else has a lock, until ctx ends.
func waiting(ctx context.Context, f func() error) error {
	for {
		err := f()
		if !busy(err) {
			return err
		}
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return err
		}
	}
}

// Unlock ends what Lock began, and a migration that failed, whatever has become of the context.
func (d *driver) Unlock() error {
	if !d.locked {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), unlockTimeout)
	defer cancel()
	var err error
	if d.running {
		err = d.exec(ctx, "migrate_rollback")
	}
	if err = errors.Join(err, d.exec(ctx, "migrate_unlock")); err != nil {
		// The lock or the transaction may be there still: nobody may get this connection again.
		_ = d.conn.Raw(func(any) error { return sqldriver.ErrBadConn })
	}
	d.locked, d.running = false, false
	return err
}

// Version is never dirty: a migration and its version are written together.
func (d *driver) Version() (version int, dirty bool, err error) {
	err = d.conn.QueryRowContext(d.ctx, d.backend.MigrationQuery("migrate_version")).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		d.version = 0
		return database.NilVersion, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("migrate: migrate_version: %w", err)
	}
	// golang-migrate takes a version it doesn't know for the end of the files.
	if _, err := d.files.applied(version); err != nil {
		return 0, false, err
	}
	d.version = version
	return version, false, nil
}

// SetVersion is called before a migration (dirty), when nothing is written, and after it, in its transaction.
func (d *driver) SetVersion(version int, dirty bool) error {
	if dirty {
		d.target = max(version, 0)
		return nil
	}
	if !d.running {
		return d.failed(errors.New("there is no file for this migration"))
	}
	if err := d.note(); err != nil {
		return d.failed(err)
	}
	d.running, d.version = false, d.target
	return nil
}

// note writes the version and commits.
func (d *driver) note() error {
	err := d.exec(d.ctx, "migrate_clear_version")
	if err == nil && d.target != 0 {
		err = d.exec(d.ctx, "migrate_set_version", d.target)
	}
	if err != nil {
		return err
	}
	return d.exec(d.ctx, "migrate_commit")
}

// Run runs a migration in a transaction, which SetVersion commits, or else Unlock rolls back. It reads the text first
// and to its end: the goroutine that golang-migrate writes it with waits for that.
func (d *driver) Run(migration io.Reader) error {
	text, err := io.ReadAll(migration)
	if err != nil {
		return d.failed(err)
	}
	if err := d.exec(d.ctx, "migrate_begin"); err != nil {
		return d.failed(err)
	}
	d.running = true
	if _, err := d.conn.ExecContext(d.ctx, string(text)); err != nil {
		return d.failed(err)
	}
	return nil
}

func (d *driver) failed(err error) error {
	return &MigrationError{From: d.version, To: d.target, Err: err}
}

// Close gives the connection back.
func (d *driver) Close() error {
	err := errors.Join(d.Unlock(), d.conn.Close())
	if errors.Is(err, sql.ErrConnDone) {
		return nil // Unlock has thrown it away
	}
	return err
}

// Open is not used: the connection is given.
func (d *driver) Open(string) (database.Driver, error) {
	return nil, errors.New("migrate: a backend is opened by the application")
}

// Drop is not used: see Down.
func (d *driver) Drop() error { return errors.New("migrate: tables are dropped by Down") }
