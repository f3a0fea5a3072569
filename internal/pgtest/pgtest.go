// Package pgtest gives the tests of this repository a real PostgreSQL: what backend/postgres/pgtest gives to everyone, with both
// drivers, poolers, standbys and daemons beside a server.
package pgtest

import (
	"database/sql"
	"fmt"
	"os"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "github.com/lib/pq"              // the driver "postgres"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/eventstore-go/eventstore/internal/pgserver"
)

// Names of environment variables: see package pgserver.
const (
	EnvURL    = pgserver.EnvURL
	EnvPooler = pgserver.EnvPooler
)

// Servers, and what runs beside them.
type (
	Server = pgserver.Server
	Pooler = pgserver.Pooler
	Folder = pgserver.Folder
	Daemon = pgserver.Daemon
)

// URL is [pgserver.URL].
func URL(tb testing.TB) string { tb.Helper(); return pgserver.URL(tb) }

// Schema is [pgserver.Schema].
func Schema(tb testing.TB) string { tb.Helper(); return pgserver.Schema(tb) }

// Database is [pgserver.Database].
func Database(tb testing.TB) string { tb.Helper(); return pgserver.Database(tb) }

// StartServer is [pgserver.StartServer].
func StartServer(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	return pgserver.StartServer(tb, settings...)
}

// StartServerOf is [pgserver.StartServerOf].
func StartServerOf(tb testing.TB, bin string, settings ...string) *Server {
	tb.Helper()
	return pgserver.StartServerOf(tb, bin, settings...)
}

// KillServer is [pgserver.KillServer].
func KillServer(tb testing.TB, data string) { tb.Helper(); pgserver.KillServer(tb, data) }

// StartPooler is [pgserver.StartPooler].
func StartPooler(tb testing.TB, server string, settings ...string) *Pooler {
	tb.Helper()
	return pgserver.StartPooler(tb, server, settings...)
}

// KeepsStatements is [pgserver.KeepsStatements].
func KeepsStatements(tb testing.TB) bool { tb.Helper(); return pgserver.KeepsStatements(tb) }

// NewFolder is [pgserver.NewFolder].
func NewFolder(tb testing.TB) *Folder { tb.Helper(); return pgserver.NewFolder(tb) }

// FreePort is [pgserver.FreePort].
func FreePort(tb testing.TB) int { tb.Helper(); return pgserver.FreePort(tb) }

// Drivers returns the names of the drivers that tests run with: pgx and lib/pq.
func Drivers() []string { return []string{"pgx", "postgres"} }

// Open opens the database at url with the driver, one of [Drivers], and closes it when the test ends.
func Open(tb testing.TB, driver, url string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driver, url)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	require.NoError(tb, db.PingContext(tb.Context()))
	return db
}

// Main runs the tests of m, looks for goroutines that were left running, and waits until the shared server is gone. It returns the
// code to exit with. Without it the server goes too, shortly after the test binary.
func Main(m *testing.M) int {
	code := m.Run()
	if code == 0 {
		if err := Leaks(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	pgserver.EndShared()
	return code
}

// Leaks returns an error that shows the goroutines which are running still, but for those of a driver that has asked a server to
// cancel a statement: it waits for the server to hang up, which on a busy machine takes a while. Others are given a while to end.
func Leaks() error {
	end := time.Now().Add(5 * time.Second)
	for {
		err := goleak.Find(
			goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgconn.(*PgConn).asyncClose.func1"),
			goleak.IgnoreAnyFunction("github.com/lib/pq.(*conn).cancel"),
		)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
