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
type driver struct {
	ctx     context.Context // of the one call it lives for: golang-migrate passes none on
	backend Backend
	conn    *sql.Conn
	locked  bool
	running bool // a migration is: its transaction is open
}

func (d *driver) exec(ctx context.Context, name string, args ...any) error {
	if _, err := d.conn.ExecContext(ctx, d.backend.MigrationQuery(name), args...); err != nil {
		return fmt.Errorf("migrate: %s: %w", name, err)
	}
	return nil
}

// Lock waits for other migrators and makes sure of the version table.
func (d *driver) Lock() error {
	if err := d.exec(d.ctx, "migrate_lock"); err != nil {
		return err
	}
	d.locked = true
	return d.exec(d.ctx, "migrate_prepare")
}

// Unlock ends what Lock began, and a migration that failed, whatever has become of the context.
func (d *driver) Unlock() error {
	if !d.locked {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), 10*time.Second)
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

// SetVersion is called before a migration (dirty) and after it: it begins the migration's transaction and ends it.
func (d *driver) SetVersion(version int, dirty bool) error {
	if dirty {
		if err := d.exec(d.ctx, "migrate_begin"); err != nil {
			return err
		}
		d.running = true
		return nil
	}
	err := d.exec(d.ctx, "migrate_clear_version")
	if err == nil && version > database.NilVersion {
		err = d.exec(d.ctx, "migrate_set_version", version)
	}
	if err == nil {
		err = d.exec(d.ctx, "migrate_commit")
	}
	d.running = err != nil
	return err
}

// Run runs a migration.
func (d *driver) Run(migration io.Reader) error {
	text, err := io.ReadAll(migration)
	if err != nil {
		return fmt.Errorf("migrate: read a migration: %w", err)
	}
	if _, err := d.conn.ExecContext(d.ctx, string(text)); err != nil {
		return fmt.Errorf("migrate: run a migration: %w", err)
	}
	return nil
}

// Version is never dirty: a migration and its version are written together.
func (d *driver) Version() (version int, dirty bool, err error) {
	err = d.conn.QueryRowContext(d.ctx, d.backend.MigrationQuery("migrate_version")).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return database.NilVersion, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("migrate: read the version: %w", err)
	}
	return version, false, nil
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
