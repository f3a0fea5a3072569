package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNewer is returned when the tables are newer than this program works with. See [VersionError].
	ErrNewer = errors.New("the tables are newer than this program")
	// ErrNameTaken is returned when something that is not the store's has a name that its tables need. See [NameTakenError].
	ErrNameTaken = errors.New("a name is taken")
)

// VersionError says that the tables are at a version that the backend has no file for. It is [ErrNewer] if the version
// is above Latest.
type VersionError struct {
	Version int  // of the tables
	Latest  int  // that this program has
	Oldest  int  // what Latest of a program must be at least to work with the tables
	Renamed bool // only a program that has all migrations of the tables can make them fit the new name of their schema
}

func (e *VersionError) Error() string {
	switch {
	case e.Version <= e.Latest:
		return fmt.Sprintf("migrate: the tables are at version %d, which this program has no migration for", e.Version)
	case e.Renamed:
		return fmt.Sprintf("migrate: the schema was renamed, and its tables are at version %d, but this program has migrations up to %d: "+
			"run migrate.Up or `eventstore migrate` of a release that has migration %d", e.Version, e.Latest, e.Version)
	case e.Oldest <= e.Latest:
		return fmt.Sprintf("migrate: the tables are at version %d, but this program has migrations up to %d: "+
			"it can read and write them, but not undo what newer migrations did; use a release that has migration %d", e.Version, e.Latest, e.Version)
	}
	return fmt.Sprintf("migrate: the tables are at version %d and need a program that has migration %d, but this one has migrations up to %d: "+
		"start a release that has migration %d, or restore a backup from before the migration", e.Version, e.Oldest, e.Latest, e.Oldest)
}

// Is matches [ErrNewer].
func (e *VersionError) Is(target error) bool { return target == ErrNewer && e.Version > e.Latest }

// TargetError says that no migration makes the version that was asked for.
type TargetError struct {
	Target   int
	Versions []int // that this program has
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("migrate: there is no version %d; this program has %s", e.Target, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(e.Versions)), ", "), "[]"))
}

// NameTakenError is [ErrNameTaken]: nothing was changed.
type NameTakenError struct {
	Names  []string // what is in the way: kind and name, such as "table events"
	Where  string   // such as `schema "shop"`
	Advice string   // how to let the store stand elsewhere
}

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("migrate: %s has things that are not the store's under names that it needs: %s. Nothing was changed; %s",
		e.Where, strings.Join(e.Names, ", "), e.Advice)
}

// Is matches [ErrNameTaken].
func (e *NameTakenError) Is(target error) bool { return target == ErrNameTaken }

// MigrationError says which migration failed. All are undone, those before it as well.
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
