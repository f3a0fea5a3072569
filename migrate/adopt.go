package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4"
)

// Adopter is a [Backend] whose tables don't fit another name without more ado: in PostgreSQL, functions name their schema, and
// renaming the schema does not change them. [Up] runs what Adoption returns.
type Adopter interface {
	Backend
	// Adoption returns the statements that make tables at a version fit the backend's schema. They run in a transaction, if the
	// query migrate_renamed returns a row.
	Adoption(version int) (string, error)
}

// renamed reports whether the tables of a backend stand under another name than when they were made.
func renamed(ctx context.Context, b Backend, on interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (bool, error) {
	a, ok := b.(Adopter)
	if !ok {
		return false, nil
	}
	err := on.QueryRowContext(ctx, a.MigrationQuery("migrate_renamed")).Scan(new(int))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, withContext(ctx, fmt.Errorf("migrate: migrate_renamed: %w", err))
	}
	return true, nil
}

// adopt makes tables fit the name that they have now, unless another process was first.
func adopt(ctx context.Context, b Backend) error {
	return run(ctx, b, func(_ *migrate.Migrate, d *driver) (err error) {
		if err := d.Lock(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Unlock()) }()
		version, _, err := d.Version()
		if err != nil {
			return err
		}
		still, err := renamed(ctx, b, d.conn)
		if err != nil || !still {
			return err
		}
		text, err := b.(Adopter).Adoption(version)
		if err != nil {
			return err
		}
		if err := d.exec(ctx, "migrate_begin"); err != nil {
			return err
		}
		d.running = true
		if _, err := d.conn.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("migrate: adopt: %w", err)
		}
		err = d.exec(ctx, "migrate_commit")
		d.running = err != nil
		return err
	})
}
