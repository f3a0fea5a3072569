package migrate

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
)

// files are a backend's migrations.
type files struct {
	source.Driver
	versions []int // ascending, at least one
}

func open(b Backend) (*files, error) {
	dir, err := iofs.New(b.Migrations(), ".")
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	f := &files{Driver: dir}
	v, err := dir.First()
	for ; err == nil; v, err = dir.Next(v) {
		f.versions = append(f.versions, int(v))
	}
	if !errors.Is(err, fs.ErrNotExist) || len(f.versions) == 0 {
		return nil, fmt.Errorf("migrate: the backend has no migrations: %w", err)
	}
	return f, nil
}

func (f *files) latest() int { return f.versions[len(f.versions)-1] }

// applied returns how many migrations made the tables' version, 0 if there are no tables.
func (f *files) applied(version int) (int, error) {
	if version == 0 {
		return 0, nil
	}
	i, known := slices.BinarySearch(f.versions, version)
	if !known {
		return 0, &VersionError{Version: version, Latest: f.latest()}
	}
	return i + 1, nil
}

// name returns the name of the file that makes the version.
func (f *files) name(version int) string {
	up, what, err := f.ReadUp(uint(version))
	if err != nil {
		return fmt.Sprintf("%04d", version)
	}
	_ = up.Close()
	return fmt.Sprintf("%04d_%s.up.sql", version, what)
}
