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
// golang-migrate calls, for each step: Lock, Version, SetVersion (dirty), Run, SetVersion (clean), Unlock. All steps run between
// begin and end.
type driver struct {
	ctx     context.Context // of the one call it lives for: golang-migrate passes none on
	backend Backend
	files   *files
	conn    *sql.Conn

	version int  // of the tables as last seen or written; 0 before that, and for no tables
	target  int  // the version that the step under way makes
	ran     bool // its file was run
}

const (
	busyPause       = 50 * time.Millisecond // before a lock is tried for again
	rollbackTimeout = 10 * time.Second
)

func (d *driver) exec(ctx context.Context, name string, args ...any) error {
	if _, err := d.conn.ExecContext(ctx, d.backend.MigrationQuery(name), args...); err != nil {
		return fmt.Errorf("migrate: %s: %w", name, err)
	}
	return nil
}

// begin begins the transaction and waits for other migrators.
func (d *driver) begin() error {
	err := waiting(d.ctx, d.backend, func() error { return d.exec(d.ctx, "migrate_lock") })
	if err != nil {
		d.rollback() // it may have been cancelled behind the begin
	}
	return err
}

// end commits the transaction, or rolls it back if err is not nil.
func (d *driver) end(err error) error {
	if err == nil {
		// SQLite may have to wait for readers.
		err = waiting(d.ctx, d.backend, func() error { return d.exec(d.ctx, "migrate_unlock") })
	}
	if err != nil {
		d.rollback()
	}
	return err
}

// rollback undoes everything, whatever has become of the context. If it can't, the connection goes: the transaction may be open, or
// the database has undone it already.
func (d *driver) rollback() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), rollbackTimeout)
	defer cancel()
	if d.exec(ctx, "migrate_rollback") != nil {
		_ = d.conn.Raw(func(any) error { return sqldriver.ErrBadConn })
	}
}

// waiting calls f again while the backend says that another transaction has a lock, until ctx ends.
func waiting(ctx context.Context, b Backend, f func() error) error {
	for {
		err := f()
		if !busy(b, err) {
			return err
		}
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return err
		}
	}
}

func busy(b Backend, err error) bool {
	w, ok := b.(Waiter)
	return err != nil && ok && w.Busy(err)
}

// Lock does nothing: begin has the lock.
func (d *driver) Lock() error { return nil }

// Unlock does nothing: end gives it back.
func (d *driver) Unlock() error { return nil }

// Version is never dirty: a migration and its version are written together.
func (d *driver) Version() (version int, dirty bool, err error) {
	var oldest int
	err = d.conn.QueryRowContext(d.ctx, d.backend.MigrationQuery("migrate_version")).Scan(&version, &oldest)
	if errors.Is(err, sql.ErrNoRows) {
		d.version = 0
		return database.NilVersion, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("migrate: migrate_version: %w", err)
	}
	// golang-migrate takes a version it doesn't know for the end of the files.
	if _, err := d.files.applied(version, oldest); err != nil {
		return 0, false, err
	}
	d.version = version
	return version, false, nil
}

// SetVersion is called before a migration (dirty), when nothing is written, and after it.
func (d *driver) SetVersion(version int, dirty bool) error {
	if dirty {
		d.target, d.ran = max(version, 0), false
		return nil
	}
	if !d.ran {
		return d.failed(errors.New("there is no file for this migration"))
	}
	if err := d.note(); err != nil {
		return d.failed(err)
	}
	d.version = d.target
	return nil
}

// note writes the version.
func (d *driver) note() error {
	err := d.exec(d.ctx, "migrate_clear_version")
	if err != nil || d.target == 0 {
		return err
	}
	oldest, err := d.files.oldest(d.target)
	if err != nil {
		return err
	}
	return d.exec(d.ctx, "migrate_set_version", d.target, oldest)
}

// Run runs a migration. It reads the text first and to its end: the goroutine that golang-migrate writes it with waits for that.
func (d *driver) Run(migration io.Reader) error {
	text, err := io.ReadAll(migration)
	if err != nil {
		return d.failed(err)
	}
	if _, err := d.conn.ExecContext(d.ctx, string(text)); err != nil {
		return d.failed(err)
	}
	d.ran = true
	return nil
}

func (d *driver) failed(err error) error {
	return &MigrationError{From: d.version, To: d.target, Err: err}
}

// Close gives the connection back.
func (d *driver) Close() error {
	if err := d.conn.Close(); !errors.Is(err, sql.ErrConnDone) { // rollback may have thrown it away
		return err
	}
	return nil
}

// Open is not used: the connection is given.
func (d *driver) Open(string) (database.Driver, error) {
	return nil, errors.New("migrate: a backend is opened by the application")
}

// Drop is not used: see Down.
func (d *driver) Drop() error { return errors.New("migrate: tables are dropped by Down") }
