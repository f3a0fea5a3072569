package migrate_test

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// backend is what the backends of this module are.
type backend interface {
	migrate.Backend
	migrate.Checker
	migrate.Placer
	migrate.Waiter
	migrate.Logged
	store.Storage
	store.Checker
}

// place is where the tests of one database and driver put a store. Each handle has a pool of one.
type place struct {
	open func(versionTable string) backend // one more handle on the same store
	next func() backend                    // a handle on another store in the same database
}

// eachDatabase runs a test on every database and driver.
func eachDatabase(t *testing.T, test func(t *testing.T, p place)) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run("postgres/"+driver, func(t *testing.T) {
			t.Parallel()
			open := func(schema, table string) backend {
				db := pgtest.Open(t, driver, pgtest.URL(t))
				db.SetMaxOpenConns(1)
				return postgres.New(db, &postgres.Options{Schema: schema, VersionTable: table})
			}
			schema := pgtest.Schema(t)
			test(t, place{
				open: func(table string) backend { return open(schema, table) },
				next: func() backend { return open(pgtest.Schema(t), "") },
			})
		})
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		dsn := impatient(t)
		open := func(prefix, table string) backend {
			db, err := sql.Open("sqlite", dsn)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			db.SetMaxOpenConns(1)
			return sqlite.New(db, &sqlite.Options{Prefix: prefix, VersionTable: table})
		}
		test(t, place{
			open: func(table string) backend { return open("", table) },
			next: func() backend { return open("next_", "") },
		})
	})
}

// with is a backend with other migrations.
type with struct {
	backend
	files fstest.MapFS
}

func (w with) Migrations() fs.FS { return w.files }

// files makes files of pairs of a name and a text.
func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

func status(t *testing.T, b migrate.Backend) migrate.Status {
	t.Helper()
	s, err := migrate.StatusOf(t.Context(), b)
	require.NoError(t, err)
	return s
}

// exec runs a statement of the backend's on a connection.
func exec(t *testing.T, conn *sql.Conn, b migrate.Backend, name string) {
	t.Helper()
	_, err := conn.ExecContext(t.Context(), b.MigrationQuery(name))
	require.NoError(t, err)
}

func TestUpStatusDown(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := p.open("")
		fresh := status(t, b)
		require.Zero(t, fresh.Version)
		require.Len(t, fresh.Pending, fresh.Latest)
		require.Equal(t, "0001_init.up.sql", fresh.Pending[0])
		require.Error(t, migrate.Down(t.Context(), b, 1), "nothing is there to undo")
		require.Equal(t, fresh, status(t, b))
		es := store.New(b, nil)
		_, err := es.Head(t.Context())
		require.ErrorIs(t, err, store.ErrSchema)

		require.NoError(t, migrate.Up(t.Context(), b))
		require.Equal(t, migrate.Status{Version: fresh.Latest, Latest: fresh.Latest, Oldest: fresh.Latest}, status(t, b))
		require.NoError(t, migrate.Up(t.Context(), b), "nothing to do is no error")
		_, err = es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "happened"})
		require.NoError(t, err)

		require.Error(t, migrate.Down(t.Context(), b, 0))
		require.Error(t, migrate.Down(t.Context(), b, fresh.Latest+1), "more than there are")
		require.Equal(t, fresh.Latest, status(t, b).Version, "and none was undone")
		require.NoError(t, migrate.Down(t.Context(), b, fresh.Latest))
		require.Equal(t, fresh, status(t, b))
		require.NoError(t, migrate.Up(t.Context(), b), "and up again")
	})
}

func TestDownStepByStep(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := with{p.open(""), files(
			"0001_one.up.sql", `create temporary table one (n int);`, "0001_one.down.sql", `drop table one;`,
			"0002_two.up.sql", `create temporary table two (n int);`, "0002_two.down.sql", `drop table two;`,
			"0005_five.up.sql", `create temporary table five (n int);`, "0005_five.down.sql", `drop table five;`,
		)}
		require.NoError(t, migrate.Up(t.Context(), b))
		require.Equal(t, 5, status(t, b).Version)
		require.NoError(t, migrate.Down(t.Context(), b, 2))
		require.Equal(t, migrate.Status{Version: 1, Latest: 5, Oldest: 1, Pending: []string{"0002_two.up.sql", "0005_five.up.sql"}}, status(t, b))
		require.NoError(t, migrate.Up(t.Context(), b), "the tables were gone")
	})
}

func TestManyMigratorsAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			b := p.open("")
			wg.Go(func() { errs[i] = migrate.Up(t.Context(), b) })
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Empty(t, status(t, p.open("")).Pending)
	})
}

func TestTwoStores(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		one, other := p.open(""), p.next()
		require.NoError(t, migrate.Up(t.Context(), one))
		require.Zero(t, status(t, other).Version)
		require.NoError(t, migrate.Up(t.Context(), other))
		require.NoError(t, migrate.Down(t.Context(), one, status(t, one).Latest))
		require.Empty(t, status(t, other).Pending)
	})
}

func TestVersionTableOfAnotherName(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		mine := p.open("my_versions")
		require.NoError(t, migrate.Up(t.Context(), mine))
		require.Empty(t, status(t, mine).Pending)
		require.Zero(t, status(t, p.open("")).Version, "the default name was not used")
	})
}

func TestFailedMigrationLeavesWhatWas(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := with{p.open(""), files("0001_one.up.sql", `create temporary table one (n int);`)}
		require.NoError(t, migrate.Up(t.Context(), b))
		good := b.files
		b.files = files(
			"0001_one.up.sql", ``,
			"0002_two.up.sql", `create temporary table two (n int);`,
			"0003_three.up.sql", `create temporary table three (n int); create temporary table one (n int);`,
			"0004_four.up.sql", `create temporary table four (n int);`,
		)
		err := migrate.Up(t.Context(), b)
		var failed *migrate.MigrationError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, []int{2, 3}, []int{failed.From, failed.To})
		require.ErrorContains(t, err, "from version 2 to 3", "it says which migration")
		if strings.Contains(t.Name(), "postgres") {
			var state interface{ SQLState() string }
			require.ErrorAs(t, err, &state, "the driver's error stays reachable")
			require.Equal(t, "42P07", state.SQLState())
		}
		require.Equal(t, 1, status(t, b).Version, "those before it are undone, too")

		b.files = good
		b.files["0002_two.up.sql"] = files("", `create temporary table two (n int);`)[""]
		b.files["0003_three.up.sql"] = files("", `create temporary table three (n int);`)[""]
		require.NoError(t, migrate.Up(t.Context(), b), "nothing is dirty, and tables two and three were rolled back")
		require.Equal(t, migrate.Status{Version: 3, Latest: 3, Oldest: 3}, status(t, b))
	})
}

func TestUnknownVersions(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := with{p.open(""), files("0001_one.up.sql", `select 1;`, "0003_three.up.sql", `select 3;`)}
		require.NoError(t, migrate.Up(t.Context(), b))
		for _, c := range []struct {
			files []string
			newer bool
		}{
			{[]string{"0001_one.up.sql", `select 1;`, "0002_two.up.sql", `select 2;`}, true},
			{[]string{"0001_one.up.sql", `select 1;`, "0004_four.up.sql", `select 4;`}, false},
		} {
			b.files = files(c.files...)
			for _, err := range []error{migrate.Up(t.Context(), b), migrate.Down(t.Context(), b, 1)} {
				var unknown *migrate.VersionError
				require.ErrorAs(t, err, &unknown)
				require.Equal(t, migrate.VersionError{Version: 3, Latest: status(t, b).Latest, Oldest: 3}, *unknown)
				require.Contains(t, err.Error(), "version 3")
				if c.newer {
					require.ErrorIs(t, err, migrate.ErrNewer)
				} else {
					require.NotErrorIs(t, err, migrate.ErrNewer)
				}
			}
			require.Equal(t, 3, status(t, b).Version)
		}
	})
}

func TestMissingFiles(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := with{p.open(""), files("0001_one.up.sql", `select 1;`)}
		require.NoError(t, migrate.Up(t.Context(), b))
		require.ErrorContains(t, migrate.Down(t.Context(), b, 1), "no file")
		require.Equal(t, 1, status(t, b).Version, "what can't be undone stays")
		b.files = files("0001_one.up.sql", ``, "0002_two.down.sql", ``)
		require.ErrorContains(t, migrate.Up(t.Context(), b), "no file")
		require.Equal(t, 1, status(t, b).Version)
		b.files = files("one.sql", ``)
		require.ErrorContains(t, migrate.Up(t.Context(), b), "no migrations")
	})
}

// TestUpToDateNeedsNoLock: every process may call Up when it starts, also while somebody else holds the lock.
func TestUpToDateNeedsNoLock(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := p.open("")
		require.NoError(t, migrate.Up(t.Context(), b))
		holder, err := p.open("").DB().Conn(t.Context())
		require.NoError(t, err)
		defer holder.Close() //nolint:errcheck // the test's
		exec(t, holder, b, "migrate_lock")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, migrate.Up(ctx, b))
		exec(t, holder, b, "migrate_unlock")
	})
}

func TestWaitsForTheLock(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		holder, err := p.open("").DB().Conn(t.Context())
		require.NoError(t, err)
		defer holder.Close() //nolint:errcheck // the test's
		b := p.open("")
		exec(t, holder, b, "migrate_lock")

		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // ten times SQLite's busy_timeout
		defer cancel()
		require.ErrorIs(t, migrate.Up(ctx, b), context.DeadlineExceeded)

		done := make(chan error, 1)
		go func() { done <- migrate.Up(t.Context(), b) }()
		exec(t, holder, b, "migrate_unlock")
		require.NoError(t, <-done)
		require.Empty(t, status(t, b).Pending, "and the connection is fine, or another")
	})
}

// TestWaitsForALockedFile: somebody else has SQLite's file for itself, so that it can't even be looked at.
func TestWaitsForALockedFile(t *testing.T) {
	t.Parallel()
	dsn := impatient(t)
	open := func() *sqlite.Backend {
		db, err := sql.Open("sqlite", dsn)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		db.SetMaxOpenConns(1)
		return sqlite.New(db, nil)
	}
	holder, b := open(), open()
	_, err := holder.DB().ExecContext(t.Context(), `pragma locking_mode = exclusive; create table mine (n int);`)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // ten times SQLite's busy_timeout
	defer cancel()
	require.ErrorIs(t, migrate.Up(ctx, b), context.DeadlineExceeded)

	done := make(chan error, 1)
	go func() { done <- migrate.Up(t.Context(), b) }()
	require.NoError(t, holder.DB().Close())
	require.NoError(t, <-done)
	require.Empty(t, status(t, b).Pending)
}

// impatient returns the DSN of a file, with a busy_timeout that ends long before a wait for a lock does.
func impatient(t *testing.T) string {
	t.Helper()
	dsn := strings.Replace(sqlite.DSN(filepath.Join(t.TempDir(), "events.db")), "busy_timeout(10000)", "busy_timeout(20)", 1)
	require.Contains(t, dsn, "busy_timeout(20)")
	return dsn
}

func TestCancelledMigration(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := with{p.open(""), files("0001_one.up.sql",
			`create temporary table one (n int);
			 with recursive r (n) as (select 1 union all select n + 1 from r where n < 10000000000) select count(*) from r;`)}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, migrate.Up(ctx, b), context.DeadlineExceeded)
		require.Zero(t, status(t, b).Version)
		_, err := migrate.StatusOf(ctx, b)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		b.files = files("0001_one.up.sql", `create temporary table one (n int);`)
		require.NoError(t, migrate.Up(t.Context(), b))
	})
}
