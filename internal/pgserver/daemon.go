package pgserver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// endDaemons kills what runs in a folder, and removes the folder. Each daemon notes its process id in a file there; a PostgreSQL that
// a daemon has started notes its own in its data folder.
const endDaemons = `read -r _
for f in "$1"/*.pid "$1"/*/postmaster.pid; do [ -f "$f" ] && kill -9 "$(head -n 1 "$f")" 2>/dev/null; done
rm -rf "$1"`

// Folder is where daemons of a test run: programs beside the servers, such as a cluster manager. They run as the user whom servers run
// as. All of them are killed and the folder is removed when the test ends, or its process.
type Folder struct {
	tb   testing.TB
	Path string
}

// NewFolder makes a folder.
func NewFolder(tb testing.TB) *Folder {
	tb.Helper()
	bin := requireBinaries(tb)
	path, err := os.MkdirTemp(tempDir(), "pgtest-")
	require.NoError(tb, err)
	require.NoError(tb, giveAway(path))
	in, watch, err := os.Pipe()
	require.NoError(tb, err)
	pid, err := spawn("/", os.DevNull, in, "/bin/sh", "-c", endDaemons, bin, path)
	require.NoError(tb, errors.Join(err, in.Close()))
	tb.Cleanup(func() {
		_ = watch.Close() // of a pipe nothing was written to
		_ = until("the watch has ended", func() (bool, error) { return exited(pid), nil })
	})
	return &Folder{tb: tb, Path: path}
}

// Bin returns the folder of the server's binaries.
func (f *Folder) Bin() string {
	f.tb.Helper()
	return requireBinaries(f.tb)
}

// Write writes a file of the folder.
func (f *Folder) Write(name, text string) (path string) {
	f.tb.Helper()
	path = filepath.Join(f.Path, name)
	require.NoError(f.tb, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(f.tb, giveAway(path))
	return path
}

// Run runs a program in the folder to its end, and returns the error that holds what it printed.
func (f *Folder) Run(program string, args ...string) error { return run(f.Path, program, args...) }

// Daemon is a program that runs.
type Daemon struct {
	tb   testing.TB
	name string
	pid  int
	log  string // a file
}

// Start starts a program, which writes to name.log in the folder.
func (f *Folder) Start(name, program string, args ...string) *Daemon {
	f.tb.Helper()
	path, err := exec.LookPath(program)
	require.NoError(f.tb, err)
	d := &Daemon{tb: f.tb, name: name, log: filepath.Join(f.Path, name+".log")}
	d.pid, err = spawn(f.Path, d.log, nil, path, args...)
	require.NoError(f.tb, err)
	f.Write(name+".pid", strconv.Itoa(d.pid)+"\n")
	return d
}

// Check fails the test if the daemon has ended by itself.
func (d *Daemon) Check() {
	d.tb.Helper()
	if exited(d.pid) {
		require.Fail(d.tb, d.name+" has ended", "%s", d.Log())
	}
}

// Kill kills the daemon and its children by SIGKILL.
func (d *Daemon) Kill() {
	d.tb.Helper()
	require.NoError(d.tb, killTree(d.pid))
}

// Log returns the end of what the daemon has written.
func (d *Daemon) Log() string { return end(d.log) }

// KillServer ends the PostgreSQL with a data folder, which a daemon has started, as a crash does: see [Server.Kill].
func KillServer(tb testing.TB, data string) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	require.NoError(tb, err)
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	require.NoError(tb, err)
	require.NoError(tb, killTree(pid))
}

// FreePort returns a port of 127.0.0.1 that nobody listens on.
func FreePort(tb testing.TB) int {
	tb.Helper()
	port, err := freePort()
	require.NoError(tb, err)
	return port
}
