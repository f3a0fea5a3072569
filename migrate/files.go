package migrate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"

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

// has returns a TargetError if no migration makes the version.
func (f *files) has(version int) error {
	if _, known := slices.BinarySearch(f.versions, version); !known {
		return &TargetError{Target: version, Versions: f.versions}
	}
	return nil
}

// applied returns how many migrations made the tables' version, 0 if there are no tables.
func (f *files) applied(version, oldest int) (int, error) {
	if version == 0 {
		return 0, nil
	}
	i, known := slices.BinarySearch(f.versions, version)
	if !known {
		return 0, &VersionError{Version: version, Latest: f.latest(), Oldest: oldest}
	}
	return i + 1, nil
}

// between returns the versions above one and up to another.
func (f *files) between(from, to int) (list []int) {
	for _, v := range f.versions {
		if v > from && v <= to {
			list = append(list, v)
		}
	}
	return list
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

// text returns the file that makes the version.
func (f *files) text(version int) (string, error) {
	up, _, err := f.ReadUp(uint(version))
	if err != nil {
		return "", fmt.Errorf("migrate: version %d: there is no file for this migration: %w", version, err)
	}
	defer up.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(up)
	return string(text), err
}

var stated = regexp.MustCompile(`(?m)^-- oldest program: (\d+)$`)

// oldest returns the newest migration that a program must have to work with the tables at a version: the highest that the
// migrations up to there state.
func (f *files) oldest(version int) (int, error) {
	oldest := 0
	for _, v := range f.between(0, version) {
		text, err := f.text(v)
		if err != nil {
			return 0, err
		}
		own := v
		if found := stated.FindStringSubmatch(text); found != nil {
			if own, err = strconv.Atoi(found[1]); err != nil || own > v {
				return 0, fmt.Errorf("migrate: %s: %q is no version up to %d", f.name(v), found[0], v)
			}
		}
		oldest = max(oldest, own)
	}
	return oldest, nil
}
