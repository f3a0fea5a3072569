package pgserver

import (
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// EnvURL names the variable that holds the URL of a PostgreSQL to test on.
const EnvURL = "EVENTSTORE_TEST_POSTGRES"

// install is the advice where no PostgreSQL is found.
const install = "set " + EnvURL + " to the URL of a server, or install one " +
	"(Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql)"

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

// Schema returns the name of a schema that no other test uses in the database at [URL]. The caller creates it. It is dropped
// with all that is in it when the test ends. The test fails if a connection that it left open still holds locks there.
func Schema(tb testing.TB) string {
	tb.Helper()
	server, name := URL(tb), freshName()
	tb.Cleanup(func() {
		require.NoError(tb, admin(tb.Context(), server, `set lock_timeout = '10s'; drop schema if exists "`+name+`" cascade`))
	})
	return name
}

// Database creates an empty database on the server of [URL] and returns its URL. It is dropped when the test ends,
// whether or not connections to it are open.
func Database(tb testing.TB) string {
	tb.Helper()
	server, name := URL(tb), freshName()
	u, err := url.Parse(server)
	require.NoError(tb, err, "%s is not a URL", EnvURL)
	require.NoError(tb, admin(tb.Context(), server, `create database "`+name+`"`))
	tb.Cleanup(func() {
		require.NoError(tb, admin(tb.Context(), server, `drop database if exists "`+name+`" with (force)`))
	})
	u.Path = "/" + name
	return u.String()
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

// EndShared stops the server of [URL], if it was started here, and waits until it is gone. Without it the server ends shortly after the
// test binary.
func EndShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.remove()
		shared.server = nil
	}
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

// freshName returns a name that needs no quotes and that no other test, in this process or another, will get.
func freshName() string { return "test_" + randomHex(8) }

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
