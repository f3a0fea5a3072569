package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Status is how far the tables are.
type Status struct {
	Version int      // of the tables; 0 if there are none
	Latest  int      // that this program has; below Version if the tables are newer
	Oldest  int      // what Latest of a program must be at least to work with the tables; 0 if there are none
	Pending []string // files that Up would run, in order
	// Renamed says that the tables stand in a schema of another name than when they were made: Up makes them fit. See [Adopter].
	Renamed bool
}

// Usable reports whether this program works with the tables, by their version.
func (s Status) Usable() bool { return s.Version >= s.Latest && s.Oldest <= s.Latest }

// StatusOf returns the status. It writes nothing, and waits for no migrator.
func StatusOf(ctx context.Context, b Backend) (Status, error) {
	f, err := open(b)
	if err != nil {
		return Status{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	s := Status{Latest: f.latest()}
	if s.Version, s.Oldest, err = versionOf(ctx, b); err != nil {
		if c, ok := b.(Checker); ok { // it may know why
			if reason := c.Suitable(ctx); reason != nil {
				return Status{}, withContext(ctx, reason)
			}
		}
		return Status{}, err
	}
	for _, v := range f.between(s.Version, s.Latest) {
		s.Pending = append(s.Pending, f.name(v))
	}
	if s.Version > 0 { // otherwise tables of these names are somebody else's
		s.Renamed, err = renamed(ctx, b, b.DB())
	}
	return s, err
}

// querier is what both a *sql.DB and a *sql.Conn are.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// present reports whether the version table is there.
func present(ctx context.Context, b Backend, on querier) (bool, error) {
	err := on.QueryRowContext(ctx, b.MigrationQuery("migrate_present")).Scan(new(int))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, withContext(ctx, fmt.Errorf("migrate: migrate_present: %w", err))
	}
	return true, nil
}

// versionOf returns the version of the tables, 0 if there are none, and the oldest program that works with them.
func versionOf(ctx context.Context, b Backend) (version, oldest int, err error) {
	if there, err := present(ctx, b, b.DB()); err != nil || !there {
		return 0, 0, err
	}
	err = b.DB().QueryRowContext(ctx, b.MigrationQuery("migrate_version")).Scan(&version, &oldest)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, withContext(ctx, fmt.Errorf("migrate: migrate_version: %w", err))
	}
	return version, oldest, nil
}
