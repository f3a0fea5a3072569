package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// file returns the DSN of a new database.
func file(tb testing.TB) string {
	tb.Helper()
	return sqlite.DSN(filepath.Join(tb.TempDir(), "events.db"))
}

// handle opens a pool of at most conns connections, or of any number if conns is 0.
func handle(tb testing.TB, dsn string, conns int) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite", dsn)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	db.SetMaxOpenConns(conns)
	return db
}

// backend returns a backend on db with the tables in place.
func backend(tb testing.TB, db *sql.DB, opts *sqlite.Options) *sqlite.Backend {
	tb.Helper()
	b := sqlite.New(db, opts)
	require.NoError(tb, migrate.Up(tb.Context(), b))
	tb.Cleanup(func() { require.NoError(tb, b.Close()) })
	return b
}

// newStore returns a store in a new file.
func newStore(tb testing.TB) (*store.Store, *sql.DB) {
	tb.Helper()
	db := handle(tb, file(tb), 0)
	return store.New(backend(tb, db, nil), &store.Options{HardDelete: true}), db
}

// events returns n events.
func events(n int) []store.Event {
	out := make([]store.Event, n)
	for i := range out {
		out[i] = store.Event{Type: "test.happened", Data: i}
	}
	return out
}
