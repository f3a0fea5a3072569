// Package pgtest gives tests a real PostgreSQL, without anything that must be started before.
//
//	func TestOrders(t *testing.T) {
//		backend, db := pgtest.New(t, "pgx", nil)
//		es := storetest.Open(t, backend, nil)
//		...
//	}
//
// # The server
//
// All tests of a test binary share one server:
//
//  1. the one at the URL in the variable EVENTSTORE_TEST_POSTGRES, whose user must be a superuser; else
//  2. a throwaway server, made from binaries that are installed: those of the folder in EVENTSTORE_TEST_POSTGRES_BIN, else those of initdb
//     in PATH, else the newest of the folders where distributions put them.
//
// With neither, the test is skipped with a reason that names what to install. Where the variable CI is set it fails instead, so that a
// pipeline does not pass without its tests. If EVENTSTORE_TEST_POSTGRES_VERSION is set, such as to 16, a server of another major version
// fails the test.
//
// A throwaway server listens on 127.0.0.1 and lives in the system's temporary folder. It ends with the test binary, also if that is killed,
// and leaves nothing behind. It runs without fsync, sorts text as a dictionary does if it can, and is in a time zone that is not UTC, so
// that code which relies on the C collation or on UTC fails in a test. It needs a Unix system; elsewhere, set a URL. If the tests run as
// root, the server runs as the user postgres or nobody.
//
// # Isolation
//
// Each call of [New] and [Schema] gets a schema of its own, and each call of [Database] a database, which are dropped when the test ends:
// tests may run in parallel. A test that kills, restarts or configures a server starts one of its own by [StartServer].
//
// The package registers no database/sql driver. Import the one that the program uses.
package pgtest

import (
	"database/sql"
	"slices"
	"testing"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgserver"
	"github.com/eventstore-go/eventstore/migrate"
)

// Environment variables that choose the server.
const (
	EnvURL     = pgserver.EnvURL     // EVENTSTORE_TEST_POSTGRES: the URL of a server
	EnvBin     = pgserver.EnvBin     // EVENTSTORE_TEST_POSTGRES_BIN: the folder of a server's binaries
	EnvVersion = pgserver.EnvVersion // EVENTSTORE_TEST_POSTGRES_VERSION: the major version that it must have
)

// New returns a backend whose tables are up to date, in a schema of its own, and the pool that it uses. driver is the name of a registered
// database/sql driver, such as "pgx" or "postgres". opts are the options of the backend; an empty Schema gets a fresh name. When the test
// ends, the pool is closed and the schema dropped. The test fails if a connection that it left open still holds locks in the schema.
func New(tb testing.TB, driver string, opts *postgres.Options) (*postgres.Backend, *sql.DB) {
	tb.Helper()
	var o postgres.Options
	if opts != nil {
		o = *opts
	}
	if o.Schema == "" {
		o.Schema = Schema(tb)
	}
	db := Open(tb, driver)
	backend := postgres.New(db, &o)
	if err := migrate.Up(tb.Context(), backend); err != nil {
		tb.Fatalf("pgtest: create the tables: %v", err)
	}
	return backend, db
}

// Open opens the database at [URL] with a registered database/sql driver, such as "pgx" or "postgres", and closes it when the test ends.
func Open(tb testing.TB, driver string) *sql.DB {
	tb.Helper()
	url := URL(tb)
	if !slices.Contains(sql.Drivers(), driver) {
		tb.Fatalf("pgtest: no driver %q is registered, only %q: import github.com/jackc/pgx/v5/stdlib for \"pgx\", github.com/lib/pq for \"postgres\"", driver, sql.Drivers())
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		tb.Fatalf("pgtest: open the database: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("pgtest: close the database: %v", err)
		}
	})
	if err := db.PingContext(tb.Context()); err != nil {
		tb.Fatalf("pgtest: reach the database: %v", err)
	}
	return db
}

// URL returns the URL of a database on the server that all tests of the binary share, as superuser. The first call starts the
// server, unless the environment names one. Tests that create tables there take a [Schema] or a [Database] of their own.
func URL(tb testing.TB) string {
	tb.Helper()
	return pgserver.URL(tb)
}

// Schema returns the name of a schema that no other test uses in the database at [URL], and that needs no quotes. The schema does not
// exist yet. When the test ends, it is dropped with everything in it.
func Schema(tb testing.TB) string {
	tb.Helper()
	return pgserver.Schema(tb)
}

// Database creates an empty database on the server of [URL] and returns its URL. When the test ends, the database is dropped, whether
// or not connections to it are open.
func Database(tb testing.TB) string {
	tb.Helper()
	return pgserver.Database(tb)
}

// Server is a PostgreSQL server that belongs to one test. Call its methods from the test's goroutine: one that fails ends the test.
type Server struct{ s *pgserver.Server }

// StartServer starts a server for this test alone, with settings such as "fsync=on" or "max_connections=500", and stops it when the
// test ends. It needs the binaries of a server, also if EVENTSTORE_TEST_POSTGRES is set.
func StartServer(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	return &Server{pgserver.StartServer(tb, settings...)}
}

// URL returns the URL of the database "postgres", as superuser. It stays the same across restarts.
func (s *Server) URL() string { return s.s.URL() }

// Kill ends the server as a crash does: SIGKILL for the server and all its processes. It returns when they are gone. Killing a server
// that does not run does nothing.
func (s *Server) Kill() { s.s.Kill() }

// Stop shuts the server down in good order. Connections are closed, and open transactions rolled back. Stopping a server that does not
// run does nothing.
func (s *Server) Stop() { s.s.Stop() }

// Restart stops the server if it runs, starts it again with the same port and data, and returns when it takes connections.
func (s *Server) Restart() { s.s.Restart() }
