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
	Latest  int      // that this program knows; below Version if the tables are newer
	Pending []string // files that Up would run, in order
	// Renamed says that the tables stand in a schema of another name than when they were made: Up makes them fit. See [Adopter].
	Renamed bool
}

// StatusOf returns the status. It writes nothing, and waits for no migrator.
func StatusOf(ctx context.Context, b Backend) (Status, error) {
	f, err := open(b)
	if err != nil {
		return Status{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	version, err := versionOf(ctx, b)
	if err != nil {
		if c, ok := b.(Checker); ok { // it may know why
			if reason := c.Suitable(ctx); reason != nil {
				return Status{}, withContext(ctx, reason)
			}
		}
		return Status{}, err
	}
	s := Status{Version: version, Latest: f.latest()}
	for _, v := range f.versions {
		if v > version {
			s.Pending = append(s.Pending, f.name(v))
		}
	}
	if s.Version > 0 { // otherwise tables of these names are somebody else's
		s.Renamed, err = renamed(ctx, b, b.DB())
	}
	return s, err
}

// versionOf returns the version of the tables, 0 if there are none.
func versionOf(ctx context.Context, b Backend) (version int, err error) {
	for _, name := range []string{"migrate_present", "migrate_version"} {
		err := b.DB().QueryRowContext(ctx, b.MigrationQuery(name)).Scan(&version)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, nil
		}
		if err != nil {
			return 0, withContext(ctx, fmt.Errorf("migrate: %s: %w", name, err))
		}
	}
	return version, nil
}
