package migrate

import (
	"context"
	"errors"
	"fmt"
)

// ErrNewer is returned when the tables are newer than this program knows: upgrade the program. See [VersionError].
var ErrNewer = errors.New("the tables are newer than this program")

// VersionError says that the tables are at a version that the backend has no file for. It is [ErrNewer] if the version
// is above Latest.
type VersionError struct {
	Version int // of the tables
	Latest  int // that this program knows
}

func (e *VersionError) Error() string {
	if e.Version > e.Latest {
		return fmt.Sprintf("migrate: the tables are at version %d, but this program knows versions up to %d: upgrade the program", e.Version, e.Latest)
	}
	return fmt.Sprintf("migrate: the tables are at version %d, which this program has no migration for", e.Version)
}

// Is matches [ErrNewer].
func (e *VersionError) Is(target error) bool { return target == ErrNewer && e.Version > e.Latest }

// MigrationError says which migration failed. The tables are at version From, as they were.
type MigrationError struct {
	From, To int // versions; 0 is no tables
	Err      error
}

func (e *MigrationError) Error() string {
	return fmt.Sprintf("migrate: from version %d to %d: %v", e.From, e.To, e.Err)
}
func (e *MigrationError) Unwrap() error { return e.Err }

// withContext makes err satisfy errors.Is(err, ctx.Err()) if ctx is done: some drivers only say that the statement was
// cancelled.
func withContext(ctx context.Context, err error) error {
	if cause := ctx.Err(); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// busy reports whether err is SQLite's word that it has waited for a lock as long as it was told to (SQLITE_BUSY).
func busy(err error) bool {
	var e interface{ Code() int }
	return errors.As(err, &e) && e.Code()&0xff == 5
}
