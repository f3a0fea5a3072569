package pgserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	patience  = time.Minute          // a server that takes longer to start or stop is broken
	interval  = 5 * time.Millisecond // between two looks at it
	superuser = "postgres"
	script    = `read -r _; "$1/pg_ctl" stop -D "$2/data" -m immediate -s; rm -rf "$2"` // see [Server.watch]
)

// defaults are the settings of every server; what a test gives comes later and wins.
var defaults = []string{
	"fsync=off",
	"max_connections=200",
	"max_prepared_transactions=20",
	"listen_addresses=127.0.0.1",
	"unix_socket_directories=",
	"log_timezone=UTC",
	"timezone=<+0545>-05:45", // a zone that needs no time zone files
}

// Server is a PostgreSQL cluster of one test's own, on 127.0.0.1. A method that fails ends the test: call them from the
// test's goroutine.
type Server struct {
	tb       testing.TB // whose it is, nil for the shared one
	bin, dir string     // of the binaries; of the cluster, its log and its password
	password string
	settings []string
	port     int
	pid      int      // of the postmaster, 0 when it doesn't run
	watch    *os.File // closing it stops the server and removes dir
	watchPID int
}

// StartServer starts a cluster of the test's own, with settings such as "fsync=on", and stops it when the test ends.
// It needs the server's binaries, whatever EVENTSTORE_TEST_POSTGRES says.
func StartServer(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	return StartServerOf(tb, requireBinaries(tb), settings...)
}

// StartServerOf is [StartServer] with the binaries of a folder.
func StartServerOf(tb testing.TB, bin string, settings ...string) *Server {
	tb.Helper()
	s, err := newServer(bin, settings)
	require.NoError(tb, err)
	s.tb = tb
	tb.Cleanup(s.remove)
	return s
}

// URL returns the URL of the database "postgres", as superuser. It stays the same across restarts.
func (s *Server) URL() string { return s.DatabaseURL("postgres") }

// DatabaseURL returns the URL of a database of the server, as superuser.
func (s *Server) DatabaseURL(name string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + name,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Program returns the path of a client program of the server's version, such as pg_dump or psql. If the folder that [EnvBin] names
// does not have it, the test is excused. Elsewhere a missing program is a skip without an excuse, and a failure if CI is set.
func (s *Server) Program(tb testing.TB, name string) string {
	tb.Helper()
	switch missing := "no " + name + " in " + s.bin; {
	case holds(s.bin, name):
	case os.Getenv(EnvBin) != "":
		tb.Skip("excused: " + missing)
	case os.Getenv("CI") != "":
		tb.Fatal(missing)
	default:
		tb.Skip(missing)
	}
	return filepath.Join(s.bin, name)
}

// Bin returns the folder of the server's binaries.
func (s *Server) Bin() string { return s.bin }

// Kill ends the server as a crash does: postmaster and all its children at once by SIGKILL. It returns when all are
// gone, and does nothing to a server that doesn't run.
func (s *Server) Kill() {
	s.tb.Helper()
	if s.pid == 0 {
		return
	}
	require.NoError(s.tb, killTree(s.pid))
	s.pid = 0
}

// Stop shuts the server down in good order; connections are closed and open transactions rolled back. It does nothing
// to a server that doesn't run.
func (s *Server) Stop() {
	s.tb.Helper()
	if s.pid == 0 {
		return
	}
	require.NoError(s.tb, interrupt(s.pid)) // the server's fast shutdown
	require.NoError(s.tb, until("the server has stopped", func() (bool, error) { return exited(s.pid), nil }), s.log())
	s.pid = 0
}

// Restart starts the server again on the same port and data, after a Stop if it still runs. It returns when the server
// has recovered and takes connections.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	require.NoError(s.tb, s.start())
}

// newServer makes a cluster and starts it.
func newServer(bin string, settings []string) (s *Server, err error) {
	dir, err := os.MkdirTemp(tempDir(), "pgtest-")
	if err != nil {
		return nil, err
	}
	s = &Server{bin: bin, dir: dir, password: randomHex(16), settings: settings}
	if s.watch, s.watchPID, err = startWatch(bin, dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err = s.initialise(); err == nil {
		err = s.startSomewhere()
	}
	if err == nil {
		err = checkVersion(s.URL())
	}
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// initialise runs initdb.
func (s *Server) initialise() error {
	pwfile := filepath.Join(s.dir, "password")
	if err := os.WriteFile(pwfile, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if err := giveAway(s.dir, pwfile); err != nil {
		return err
	}
	initdb := func(more ...string) error {
		args := append([]string{"-D", s.data(), "-U", superuser, "-E", "UTF8", "--pwfile", pwfile, "-A", "password", "--no-sync"}, more...)
		return run(s.dir, filepath.Join(s.bin, "initdb"), args...)
	}
	// Versions before 15, and builds without ICU, can't have the first.
	if initdb("--locale-provider=icu", "--icu-locale=en", "--locale=C") == nil {
		return nil
	}
	return initdb("--locale=C")
}

// startSomewhere starts the server on a port that is free. Somebody may take it between the look and the start: then
// it tries another.
func (s *Server) startSomewhere() error {
	var err error
	for range 10 {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.start(); err == nil || !errors.Is(err, errExited) {
			return err
		}
	}
	return err
}

var errExited = errors.New("pgtest: the server ended while starting")

// start starts the postmaster and waits until it takes connections.
func (s *Server) start() error {
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port)}
	for _, setting := range append(append([]string(nil), defaults...), s.settings...) {
		args = append(args, "-c", setting)
	}
	pid, err := spawn(s.dir, s.logFile(), nil, filepath.Join(s.bin, "postgres"), args...)
	if err != nil {
		return err
	}
	s.pid = pid
	return until("the server has started", func() (bool, error) {
		if exited(pid) {
			s.pid = 0
			return false, fmt.Errorf("%w:\n%s", errExited, s.log())
		}
		return s.ready(), nil
	})
}

// ready reports whether the postmaster says so, in the eighth line of its pid file. The file may still be that of an
// earlier one that was killed.
func (s *Server) ready() bool {
	b, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(b), "\n")
	return len(lines) >= 8 && lines[0] == strconv.Itoa(s.pid) && strings.TrimSpace(lines[7]) == "ready"
}

// remove stops the server at once and removes its files.
func (s *Server) remove() {
	_ = s.watch.Close() // of a pipe nothing was written to
	_ = until("the watch has ended", func() (bool, error) { return exited(s.watchPID), nil })
	if s.pid != 0 {
		_ = until("the server has ended", func() (bool, error) { return exited(s.pid), nil })
		s.pid = 0
	}
}

func (s *Server) data() string    { return filepath.Join(s.dir, "data") }
func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// log returns the end of the server's log.
func (s *Server) log() string { return end(s.logFile()) }

// end returns the end of a file.
func end(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// startWatch starts the shell that stops the server in dir, if one runs, and removes dir, when the returned file is
// closed or this process ends.
func startWatch(bin, dir string) (*os.File, int, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = in.Close() }()
	pid, err := spawn("/", os.DevNull, in, "/bin/sh", "-c", script, "pgtest", bin, dir)
	if err != nil {
		return nil, 0, errors.Join(err, out.Close())
	}
	return out, pid, nil
}

// freePort returns a port of 127.0.0.1 below those that outgoing connections are given, so that a restarted server
// finds it free again.
func freePort() (int, error) {
	for range 100 {
		port := 15000 + rand.IntN(17000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("pgtest: no free port found")
}

// until waits until done reports true or fails.
func until(what string, done func() (bool, error)) error {
	deadline := time.After(patience)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("pgtest: waited %v in vain until %s", patience, what)
		}
	}
}
