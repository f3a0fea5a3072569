package migrate_test

import (
	"context"
	"database/sql"
	"io/fs"
	"maps"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachDatabase runs a test on every database and driver. open returns one more handle on the same store.
func eachDatabase(t *testing.T, test func(t *testing.T, open func(table string) migrate.Backend)) {
	for _, driver := range pgtest.Drivers() {
		t.Run("postgres/"+driver, func(t *testing.T) {
			t.Parallel()
			schema := pgtest.Schema(t)
			test(t, func(table string) migrate.Backend {
				db := pgtest.Open(t, driver, pgtest.URL(t))
				db.SetMaxOpenConns(1)
				return postgres.New(db, &postgres.Options{Schema: schema, VersionTable: table})
			})
		})
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "events.db")
		test(t, func(table string) migrate.Backend {
			db, err := sql.Open("sqlite", sqlite.DSN(path))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			db.SetMaxOpenConns(1)
			return sqlite.New(db, &sqlite.Options{VersionTable: table})
		})
	})
}

// with is a backend with other migrations.
type with struct {
	migrate.Backend
	files fstest.MapFS
}

func (w with) Migrations() fs.FS { return w.files }

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func status(t *testing.T, b migrate.Backend) migrate.Status {
	t.Helper()
	s, err := migrate.StatusOf(t.Context(), b)
	require.NoError(t, err)
	return s
}

func TestUpStatusDown(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, open func(string) migrate.Backend) {
		b := open("")
		es := store.New(b.(store.Storage), nil)
		_, err := es.Head(t.Context())
		require.ErrorIs(t, err, store.ErrSchema, "before")
		require.Equal(t, migrate.Status{Latest: 1, Pending: []string{"0001_init.up.sql"}}, status(t, b))

		require.NoError(t, migrate.Up(t.Context(), b))
		require.Equal(t, migrate.Status{Version: 1, Latest: 1}, status(t, b))
		require.NoError(t, migrate.Up(t.Context(), b), "nothing to do is no error")
		_, err = es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "happened"})
		require.NoError(t, err)

		require.Error(t, migrate.Down(t.Context(), b, 0))
		require.NoError(t, migrate.Down(t.Context(), b, 1))
		require.Equal(t, migrate.Status{Latest: 1, Pending: []string{"0001_init.up.sql"}}, status(t, b))
		require.Error(t, migrate.Down(t.Context(), b, 1), "nothing is left to undo")
		require.NoError(t, migrate.Up(t.Context(), b), "and up again")
	})
}

func TestManyMigratorsAtOnce(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, open func(string) migrate.Backend) {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			b := open("")
			wg.Go(func() { errs[i] = migrate.Up(t.Context(), b) })
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, 1, status(t, open("")).Version)
	})
}

func TestFailedMigrationLeavesWhatWas(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, open func(string) migrate.Backend) {
		b := with{open(""), fstest.MapFS{
			"0001_one.up.sql":   file(`create temporary table one (n int);`),
			"0002_two.up.sql":   file(`create temporary table two (n int); create temporary table one (n int);`),
			"0003_three.up.sql": file(`create temporary table three (n int);`),
		}}
		require.ErrorContains(t, migrate.Up(t.Context(), b), "one")
		s := status(t, b)
		require.Equal(t, 1, s.Version, "the migrations before it stay, it has done nothing")
		require.Equal(t, []string{"0002_two.up.sql", "0003_three.up.sql"}, s.Pending)

		b.files = maps.Clone(b.files)
		b.files["0002_two.up.sql"] = file(`create temporary table two (n int);`)
		require.NoError(t, migrate.Up(t.Context(), b), "nothing is dirty")
		require.Equal(t, migrate.Status{Version: 3, Latest: 3}, status(t, b))
	})
}

func TestNewerTables(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, open func(string) migrate.Backend) {
		b := with{open(""), fstest.MapFS{"0001_one.up.sql": file(`select 1;`), "0002_two.up.sql": file(`select 2;`)}}
		require.NoError(t, migrate.Up(t.Context(), b))
		b.files = fstest.MapFS{"0001_one.up.sql": b.files["0001_one.up.sql"]}
		require.ErrorIs(t, migrate.Up(t.Context(), b), migrate.ErrNewer)
		require.Equal(t, 2, status(t, b).Version)
	})
}

func TestVersionTableOfAnotherName(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, open func(string) migrate.Backend) {
		mine := open("my_versions")
		require.NoError(t, migrate.Up(t.Context(), mine))
		require.Equal(t, 1, status(t, mine).Version)
		require.Zero(t, status(t, open("")).Version, "the default name was not used")
	})
}

func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, open func(string) migrate.Backend) {
		holder, err := open("").DB().Conn(t.Context())
		require.NoError(t, err)
		defer holder.Close() //nolint:errcheck // the test's
		b := open("")
		_, err = holder.ExecContext(t.Context(), b.MigrationQuery("migrate_lock"))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- migrate.Up(ctx, b) }()
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		_, err = holder.ExecContext(t.Context(), b.MigrationQuery("migrate_unlock"))
		require.NoError(t, err)
		require.NoError(t, migrate.Up(t.Context(), b), "the connection is fine, or another")
	})
}
