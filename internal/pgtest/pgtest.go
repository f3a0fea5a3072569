package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "github.com/lib/pq"              // the driver "postgres"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// EnvURL names the variable that holds the URL of a PostgreSQL to test on.
const EnvURL = "EVENTSTORE_TEST_POSTGRES"

// install says what to do where no PostgreSQL is found.
const install = "set " + EnvURL + " to the URL of a server, or install one " +
	"(Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql)"

// Drivers returns the names of the drivers that tests run with: pgx and lib/pq.
func Drivers() []string { return []string{"pgx", "postgres"} }

// URL returns the URL of a database on the server that all tests of the binary share. It starts the server at the
// first call. Take a [Schema] or a [Database] of your own there.
func URL(tb testing.TB) string {
	tb.Helper()
	if given := os.Getenv(EnvURL); given != "" {
		require.NoError(tb, checkGiven())
		return given
	}
	return sharedServer(tb).URL()
}

// Schema returns the name of a schema that nobody else uses in the database at [URL]. It isn't created, but dropped
// with all that is in it when the test ends. The test fails if a connection it left open still holds locks there.
func Schema(tb testing.TB) string {
	tb.Helper()
	server, name := URL(tb), freshName()
	tb.Cleanup(func() {
		admin(tb, server, `set lock_timeout = '10s'`, `drop schema if exists "`+name+`" cascade`)
	})
	return name
}

// Database creates an empty database on the server of [URL] and returns its URL. It is dropped when the test ends,
// whoever is still connected to it.
func Database(tb testing.TB) string {
	tb.Helper()
	server, name := URL(tb), freshName()
	u, err := url.Parse(server)
	require.NoError(tb, err, "%s is not a URL", EnvURL)
	admin(tb, server, `create database "`+name+`"`)
	tb.Cleanup(func() { admin(tb, server, `drop database if exists "`+name+`" with (force)`) })
	u.Path = "/" + name
	return u.String()
}

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
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.remove()
		shared.server = nil
	}
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

var shared struct {
	sync.Mutex

	server *Server
	err    error // of the one attempt to start it
}

func sharedServer(tb testing.TB) *Server {
	tb.Helper()
	bin := requireBinaries(tb)
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = newServer(bin, nil)
	}
	require.NoError(tb, shared.err)
	return shared.server
}

// requireBinaries returns the folder of the server's binaries, or skips or fails the test.
func requireBinaries(tb testing.TB) string {
	tb.Helper()
	bin := findBinaries()
	switch {
	case bin != "":
	case os.Getenv(EnvBin) != "":
		tb.Fatal(EnvBin + " is not a folder with initdb, postgres and pg_ctl: " + os.Getenv(EnvBin))
	case os.Getenv("CI") != "":
		tb.Fatal("no PostgreSQL found: " + install)
	default:
		tb.Skip("no PostgreSQL found: " + install)
	}
	return bin
}

// admin runs the statements on a connection of its own, also when the test's context has ended.
func admin(tb testing.TB, url string, statements ...string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
	defer cancel()
	db, err := sql.Open("pgx", url)
	require.NoError(tb, err)
	defer func() { require.NoError(tb, db.Close()) }()
	db.SetMaxOpenConns(1)
	for _, statement := range statements {
		_, err := db.ExecContext(ctx, statement)
		for deadlocked(err) && ctx.Err() == nil {
			_, err = db.ExecContext(ctx, statement)
		}
		require.NoError(tb, err, statement)
	}
}

// deadlocked reports whether a statement met one that a test has cancelled and that is still on its way, and should be run
// again.
func deadlocked(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "40P01"
}

// freshName returns a name that needs no quotes and that no other test, in this process or another, will get.
func freshName() string { return "test_" + randomHex(8) }

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
