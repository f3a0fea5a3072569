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
func renamed(ctx context.Context, b Backend, on querier) (bool, error) {
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

// adopt makes tables fit the name that they have now, unless another process was first. It reports whether it did.
func adopt(ctx context.Context, b Backend) (adopted bool, err error) {
	err = run(ctx, b, func(_ *migrate.Migrate, d *driver) error {
		version, _, err := d.Version()
		if err != nil {
			return err
		}
		if adopted, err = renamed(ctx, b, d.conn); err != nil || !adopted {
			return err
		}
		text, err := b.(Adopter).Adoption(version)
		if err != nil {
			return err
		}
		if _, err := d.conn.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("migrate: adopt: %w", err)
		}
		return nil
	})
	return adopted && err == nil, err
}
