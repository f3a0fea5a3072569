package storetest_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/storetest"
)

// TestNew: the store of a test is empty, and closed when the test ends.
func TestNew(t *testing.T) {
	t.Parallel()
	var es *store.Store
	require.Empty(t, failures(t, func(tb testing.TB) {
		es = storetest.New(tb)
		head, err := es.Head(tb.Context())
		assert.NoError(t, err)
		assert.Zero(t, head)
		_, err = es.Append(tb.Context(), "a", store.NoStream, store.Event{Type: "happened"})
		assert.NoError(t, err)
	}))
	_, err := es.Head(t.Context())
	require.ErrorIs(t, err, store.ErrClosed)
}

// TestOpenUnusable: a store without tables fails the test at once, with the reason.
func TestOpenUnusable(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(t.TempDir(), "empty.db")))
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // it only read
	got := failures(t, func(tb testing.TB) {
		storetest.Open(tb, sqlite.New(db, nil), nil)
		assert.Fail(t, "the test goes on")
	})
	assert.Contains(t, got, "storetest: the store can't be used: ")
}

// TestSQLite: each call makes a database of its own, which takes the test's own tables, too.
func TestSQLite(t *testing.T) {
	t.Parallel()
	for range 2 {
		backend, db := storetest.SQLite(t, &sqlite.Options{Prefix: "es_"})
		es := storetest.Open(t, backend, nil)
		_, err := db.ExecContext(t.Context(), `create table orders (id text primary key)`)
		require.NoError(t, err)
		res, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "happened"})
		require.NoError(t, err)
		assert.EqualValues(t, 1, res.Last)
		var mode string
		require.NoError(t, db.QueryRowContext(t.Context(), `pragma journal_mode`).Scan(&mode))
		assert.Equal(t, "wal", mode)
	}
}

// TestLogger: the log goes to that of the test, and nowhere once the test has ended.
func TestLogger(t *testing.T) {
	t.Parallel()
	f := &fake{TB: t}
	var log interface{ Debug(string, ...any) }
	f.run(func(tb testing.TB) {
		log = storetest.Logger(tb)
		log.Debug("during", "key", 1)
	})
	log.Debug("after")
	assert.Contains(t, f.log.String(), "msg=during key=1")
	assert.NotContains(t, f.log.String(), "after")
}

// TestFixed: with fixed ids and times, two stores record the same.
func TestFixed(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for range 2 {
		es := storetest.Open(t, memory.New(), &store.Options{NewID: storetest.IDs(), Now: storetest.Clock(start, time.Second)})
		_, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "first"}, store.Event{Type: "second"})
		require.NoError(t, err)
		page, err := es.Page(t.Context(), "a", nil)
		require.NoError(t, err)
		assert.Equal(t, []uuid.UUID{storetest.ID(1), storetest.ID(2)}, store.IDs(page...))
		assert.Equal(t, "00000000-0000-7000-8000-000000000002", page[1].ID.String())
		assert.Equal(t, uuid.Version(7), page[0].ID.Version())
		assert.Equal(t, uuid.RFC4122, page[0].ID.Variant())
		assert.Equal(t, start, page[0].CreatedAt)
		assert.Equal(t, start.Add(time.Second), page[1].CreatedAt)
	}
}
