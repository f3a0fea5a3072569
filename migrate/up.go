package migrate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/golang-migrate/migrate/v4"
)

// Options of [Run]. A zero field means its default.
type Options struct {
	// To is the version to bring the tables to. Tables that are at a higher version stay as they are. Default: the newest.
	To int
}

// Result is what [Run] found and did.
type Result struct {
	From    int      // version of the tables when Run began; 0 if there were none
	Version int      // of the tables when it ended
	Applied []string // files that it ran, in order; none if there was nothing to do, or another process was faster
	Adopted bool     // it made tables fit a schema that was renamed; see [Adopter]
}

// Up creates the tables or brings them to the newest version: [Run] without options, for the start of a program.
func Up(ctx context.Context, b Backend) error {
	_, err := Run(ctx, b, nil)
	return err
}

// Run creates the tables or brings them to a version, in one transaction. While another process does the same, it waits as long as ctx
// allows, whatever statement_timeout or lock_timeout the session has, and then finds nothing to do. It also tries again, as long as
// ctx allows, when a statement has waited for a table's lock longer than lock_timeout. Tables in a schema that was renamed are made to
// fit its new name first: see [Adopter].
//
// Tables that are newer than the files stay as they are. Run logs a warning and succeeds if this program works with them, by what their
// migrations state; otherwise it returns a [VersionError], which is [ErrNewer].
//
// A failed migration is a [MigrationError], and things of others under names that the tables need are a [NameTakenError]. Then, or when ctx
// ends, nothing has changed.
func Run(ctx context.Context, b Backend, opts *Options) (Result, error) {
	var r Result
	var o Options
	if opts != nil {
		o = *opts
	}
	told := false
	err := waiting(ctx, b, func() (err error) {
		r, err = attempt(ctx, b, o.To)
		if busy(b, err) && !told {
			told = true
			logger(b).WarnContext(ctx, "a migration waits for a lock that another transaction has", slog.Any("err", err))
		}
		return err
	})
	return r, withContext(ctx, err)
}

func attempt(ctx context.Context, b Backend, to int) (r Result, err error) {
	if c, ok := b.(Checker); ok {
		if err := c.Suitable(ctx); err != nil {
			return r, err
		}
	}
	s, err := StatusOf(ctx, b)
	if err != nil {
		return r, err
	}
	r = Result{From: s.Version, Version: s.Version}
	if s.Version > s.Latest {
		return r, newer(ctx, b, s)
	}
	if to, err = target(b, to); err != nil {
		return r, err
	}
	if s.Renamed {
		if r.Adopted, err = adopt(ctx, b); err != nil {
			return r, err
		}
	}
	if s.Version >= to {
		return r, nil
	}
	err = run(ctx, b, func(m *migrate.Migrate, d *driver) error {
		r.Applied, r.Version, err = d.up(m, to)
		return err
	})
	return r, err
}

// newer accepts tables that this program has not all migrations of, if they state that it works with them.
func newer(ctx context.Context, b Backend, s Status) error {
	if !s.Usable() || s.Renamed {
		return &VersionError{Version: s.Version, Latest: s.Latest, Oldest: s.Oldest, Renamed: s.Renamed}
	}
	logger(b).WarnContext(ctx, "the tables are newer than this program, which works with them; nothing to migrate",
		slog.Int("version", s.Version), slog.Int("latest", s.Latest), slog.Int("oldest", s.Oldest))
	return nil
}

// target returns the version that to stands for.
func target(b Backend, to int) (int, error) {
	f, err := open(b)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	if to == 0 {
		return f.latest(), nil
	}
	return to, f.has(to)
}

// up runs what is missing up to a version, in the transaction that has the lock.
func (d *driver) up(m *migrate.Migrate, to int) (applied []string, version int, err error) {
	present, err := present(d.ctx, d.backend, d.conn)
	if err != nil {
		return nil, 0, err
	}
	if present {
		if _, _, err := d.Version(); err != nil {
			return nil, 0, err
		}
	}
	if d.version >= to {
		return nil, d.version, nil // another process was first
	}
	if err := d.checkNames(present, to); err != nil {
		return nil, 0, err
	}
	if !present {
		if err := d.exec(d.ctx, "migrate_prepare"); err != nil {
			return nil, 0, err
		}
	}
	// One at a time: given several, golang-migrate leaves goroutines behind when one fails.
	for d.version < to {
		if err := m.Steps(1); err != nil {
			return nil, 0, err
		}
		applied = append(applied, d.files.name(d.version))
	}
	return applied, d.version, nil
}

// Down undoes the newest migrations, so many steps, and with the first one all events. It is for development. With
// fewer than that applied, or if one fails, it returns an error and undoes none.
func Down(ctx context.Context, b Backend, steps int) error {
	if steps < 1 {
		return fmt.Errorf("migrate: %d steps down: at least 1 is needed", steps)
	}
	f, err := open(b)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	s, err := StatusOf(ctx, b)
	if err != nil {
		return err
	}
	applied, err := f.applied(s.Version, s.Oldest)
	if err != nil {
		return err
	}
	if steps > applied {
		return fmt.Errorf("migrate: %d steps down: only %d are applied", steps, applied)
	}
	return run(ctx, b, func(m *migrate.Migrate, d *driver) error {
		if _, _, err := d.Version(); err != nil {
			return err
		}
		for range steps {
			if err := m.Steps(-1); err != nil {
				return err
			}
		}
		return nil
	})
}

// run runs f with the backend's files on one connection, while no other migrator is at work, in one transaction.
func run(ctx context.Context, b Backend, f func(*migrate.Migrate, *driver) error) (err error) {
	defer func() { err = withContext(ctx, err) }()
	files, err := open(b)
	if err != nil {
		return err
	}
	conn, err := b.DB().Conn(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("migrate: connect: %w", err), files.Close())
	}
	d := &driver{ctx: ctx, backend: b, files: files, conn: conn}
	m, err := migrate.NewWithInstance("files", files, "backend", d)
	if err != nil {
		return errors.Join(fmt.Errorf("migrate: %w", err), files.Close(), d.Close())
	}
	defer func() {
		fileErr, dbErr := m.Close()
		err = errors.Join(err, fileErr, dbErr)
	}()
	if err := d.begin(); err != nil {
		return err
	}
	return d.end(f(m, d))
}
