// Package sqlitedrivers runs the suite on SQLite with drivers other than modernc.org/sqlite. It is a module of its own, so that
// the library's go.mod does not name them, and each driver has a package, that is a process, of its own: both register
// the name sqlite3, and a process must not open a file with two libraries.
package sqlitedrivers

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/conformance"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// Driver is a driver under test.
type Driver struct {
	Name string // in the output
	SQL  string // what it is registered as
	// DSN returns the data source name of a file: with all that sqlite.DSN sets, or, if deferred, with transactions that take no
	// lock when they begin.
	DSN func(path string, deferred bool) string
}

// open opens a pool of at most conns connections, or of any number if conns is 0.
func (d Driver) open(tb testing.TB, path string, deferred bool, conns int) *sql.DB {
	tb.Helper()
	db, err := sql.Open(d.SQL, d.DSN(path, deferred))
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	db.SetMaxOpenConns(conns)
	return db
}

func path(tb testing.TB) string { return filepath.Join(tb.TempDir(), "events.db") }

// backend returns a backend on db with the tables in place.
func backend(tb testing.TB, db *sql.DB) *sqlite.Backend {
	tb.Helper()
	b := sqlite.New(db, nil)
	require.NoError(tb, migrate.Up(tb.Context(), b))
	tb.Cleanup(func() { require.NoError(tb, b.Close()) })
	return b
}

// Conformance runs the suite as the tests of backend/sqlite do: on a file, with one connection, and with transactions of another
// *sql.DB that are deferred.
func (d Driver) Conformance(t *testing.T) {
	oneWriter := conformance.Excuse("SQLite has one writer at a time", conformance.NeedTwoWriters()...)
	var others sync.Map // *sqlite.Backend to another *sql.DB on its file
	for _, run := range []struct {
		name     string
		conns    int
		page     int
		deferred bool
		excused  map[string]string
	}{
		{name: "file", excused: oneWriter},
		{name: "pool=1", conns: 1, excused: conformance.Excuse("there is one connection, and the open transaction has it", conformance.NeedTwoConnections()...)},
		{name: "deferred/other-db/page=3", page: 3, deferred: true, excused: oneWriter},
	} {
		t.Run(run.name, func(t *testing.T) {
			t.Parallel()
			h := conformance.Harness{
				Name: "sqlite/" + d.Name + "/" + run.name, PageSize: run.page, Excused: run.excused,
				New: func(tb testing.TB) store.Storage {
					file := path(tb)
					b := backend(tb, d.open(tb, file, run.deferred, run.conns))
					others.Store(b, d.open(tb, file, run.deferred, run.conns))
					return b
				},
			}
			if run.deferred {
				h.Begin = func(ctx context.Context, s store.Storage) (*sql.Tx, error) {
					other, _ := others.Load(s)
					return other.(*sql.DB).BeginTx(ctx, nil)
				}
			}
			conformance.Run(t, h)
		})
	}
}

// Settings checks that the DSN sets what sqlite.DSN does.
func (d Driver) Settings(t *testing.T) {
	db := d.open(t, path(t), false, 0)
	for pragma, want := range map[string]string{"journal_mode": "wal", "busy_timeout": "10000", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		require.NoError(t, db.QueryRowContext(t.Context(), "pragma "+pragma).Scan(&got))
		assert.Equal(t, want, got, pragma)
	}
	var version string
	require.NoError(t, db.QueryRowContext(t.Context(), "select sqlite_version()").Scan(&version))
	t.Log("SQLite", version)
}

// Handles appends through several *sql.DB at a time, and reads it all: nothing is lost, doubled, or out of order.
func (d Driver) Handles(t *testing.T) {
	const handles, writers, appends = 3, 3, 20
	file := path(t)
	es := store.New(backend(t, d.open(t, file, false, 0)), nil)
	var wg sync.WaitGroup
	for i := range handles {
		other := store.New(sqlite.New(d.open(t, file, false, 0), nil), nil)
		for w := range writers {
			wg.Go(func() {
				for range appends {
					_, err := other.Append(t.Context(), fmt.Sprint("stream-", (i+w)%handles), store.Any, store.Event{Type: "happened"}, store.Event{Type: "happened"})
					assert.NoError(t, err)
				}
			})
		}
	}
	wg.Wait()
	versions, n := map[string]int64{}, int64(0)
	for e, err := range es.All(t.Context(), nil) {
		require.NoError(t, err)
		n++
		versions[e.Stream]++
		require.Equal(t, n, e.Number)
		require.Equal(t, versions[e.Stream], e.Version)
	}
	require.EqualValues(t, handles*writers*appends*2, n)
}

// Outrun checks that the driver's result codes are understood: a deferred transaction that has read an older state is to be run again,
// and a writer that waits longer than busy_timeout goes on waiting.
func (d Driver) Outrun(t *testing.T) {
	ctx := t.Context()
	db := d.open(t, path(t), true, 0)
	es := store.New(backend(t, db), nil)
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // it is over
	_, err = es.WithTx(tx).Head(ctx)
	require.NoError(t, err)
	_, err = es.Append(ctx, "a", store.Any, store.Event{Type: "happened"})
	require.NoError(t, err)
	_, err = es.WithTx(tx).Append(ctx, "b", store.Any, store.Event{Type: "happened"})
	require.ErrorIs(t, err, store.ErrRetryTx)
}

// Waits checks that a migrator waits for another connection's transaction, however long that takes, though the driver gives up after
// busy_timeout in words of its own.
func (d Driver) Waits(t *testing.T) {
	file := path(t)
	holder, err := d.open(t, file, false, 1).Conn(t.Context())
	require.NoError(t, err)
	defer holder.Close() //nolint:errcheck // the test's
	_, err = holder.ExecContext(t.Context(), "begin immediate")
	require.NoError(t, err)

	db := d.open(t, file, true, 1)
	_, err = db.ExecContext(t.Context(), "pragma busy_timeout = 20")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "begin immediate")
	require.Error(t, err, "the driver gives up")
	done := make(chan error, 1)
	go func() { done <- migrate.Up(t.Context(), sqlite.New(db, nil)) }()
	select {
	case err := <-done:
		require.Fail(t, "it did not wait", "%v", err)
	case <-time.After(200 * time.Millisecond): // ten times busy_timeout
	}
	_, err = holder.ExecContext(t.Context(), "commit")
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.NoError(t, sqlite.New(db, nil).Check(t.Context()))
}

// Deadlock checks that the handler of a projection that writes outside its transaction ends the projection with an error that says so.
func (d Driver) Deadlock(t *testing.T) {
	db := d.open(t, path(t), false, 0)
	db.SetMaxOpenConns(0)
	es := store.New(backend(t, db), nil)
	defer es.Close() //nolint:errcheck // that is the end
	_, err := db.ExecContext(t.Context(), "create table applied (number integer)")
	require.NoError(t, err)
	_, err = es.Append(t.Context(), "a", store.Any, store.Event{Type: "happened"})
	require.NoError(t, err)
	err = es.Project(t.Context(), "report", func(ctx context.Context, _ *sql.Tx, events []store.Recorded) error {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // back to the pool
		if _, err := conn.ExecContext(ctx, "pragma busy_timeout = 20"); err != nil {
			return err
		}
		defer conn.ExecContext(ctx, "pragma busy_timeout = 10000") //nolint:errcheck // as it was
		_, err = conn.ExecContext(ctx, "insert into applied values (?)", events[0].Number)
		return err
	}, &store.ProjectOptions{MinBackoff: time.Millisecond})
	require.ErrorIs(t, err, store.ErrSelfDeadlock)
}

// All runs all of it.
func (d Driver) All(t *testing.T) {
	t.Run("settings", d.Settings)
	t.Run("conformance", d.Conformance)
	t.Run("handles", d.Handles)
	t.Run("outrun", d.Outrun)
	t.Run("waits", d.Waits)
	t.Run("deadlock", d.Deadlock)
}
