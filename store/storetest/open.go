package storetest

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// New returns an empty Store in memory with default options. Memory has no transactions, and so no projections: see [SQLite]. It is
// [Open] of memory.New().
func New(tb testing.TB) *store.Store {
	tb.Helper()
	return Open(tb, memory.New(), nil)
}

// Open returns a Store on a backend. Options may be nil; without a Logger in them the Store writes to the log of the test, at the level
// Debug. Open fails the test if the Store can't be used, as when the tables are missing: see [store.Store.Check].
//
// When the test ends, the Store is closed, which ends its subscriptions in good order; the test fails if that fails. Calls of Consume and
// Project in goroutines must end by then: give them a context that the test cancels, such as tb.Context().
func Open(tb testing.TB, backend store.Storage, opts *store.Options) *store.Store {
	tb.Helper()
	var o store.Options
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = Logger(tb)
	}
	es := store.New(backend, &o)
	tb.Cleanup(func() {
		if err := es.Close(); err != nil {
			tb.Errorf("storetest: close the store: %v", err)
		}
	})
	if err := es.Check(tb.Context()); err != nil {
		tb.Fatalf("storetest: the store can't be used: %v", err)
	}
	return es
}

// SQLite returns a backend on an empty SQLite database with the tables of a store, and the database, for the test's own tables. Options
// may be nil. The database is a file in tb.TempDir(), in WAL mode as in production, but with synchronous off, since it need not survive a
// power failure. It is closed when the test ends. The driver is modernc.org/sqlite, which needs no C compiler.
func SQLite(tb testing.TB, opts *sqlite.Options) (*sqlite.Backend, *sql.DB) {
	tb.Helper()
	db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(tb.TempDir(), "events.db"))+"&_pragma=synchronous(OFF)")
	if err != nil {
		tb.Fatalf("storetest: open the database: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("storetest: close the database: %v", err)
		}
	})
	backend := sqlite.New(db, opts)
	if err := migrate.Up(tb.Context(), backend); err != nil {
		tb.Fatalf("storetest: create the tables: %v", err)
	}
	return backend, db
}
