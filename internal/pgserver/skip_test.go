package pgserver

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder is a test that only notes how it was ended.
type recorder struct {
	testing.TB

	ended string
}

func (r *recorder) Helper()          {}
func (r *recorder) Skip(why ...any)  { r.end("skipped", why) }
func (r *recorder) Fatal(why ...any) { r.end("failed", why) }

func (r *recorder) end(how string, why []any) {
	r.ended = how
	if strings.HasPrefix(fmt.Sprint(why...), "excused: ") {
		r.ended = "excused"
	}
	runtime.Goexit()
}

// outcome returns how a test that does what f does ends, "" if it goes on.
func outcome(t *testing.T, f func(tb testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.ended
}

// binaries makes a folder with programs of these names, which do nothing.
func binaries(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o700)) //nolint:gosec // a program
	}
	return dir
}

// Not parallel: it changes the environment and the folders searched.
func TestNoPostgreSQLIsASkipButAFailureInCI(t *testing.T) {
	before := folders
	folders = nil
	t.Cleanup(func() { folders = before })
	t.Setenv("PATH", t.TempDir())
	t.Setenv(EnvURL, "")
	t.Setenv(EnvBin, "")
	for ci, want := range map[string]string{"": "skipped", "true": "failed"} {
		t.Setenv("CI", ci)
		assert.Equal(t, want, outcome(t, func(tb testing.TB) { URL(tb) }), "CI=%q", ci)
	}
}

// Not parallel: it changes the environment.
func TestTheGivenFolderIsTakenOrNone(t *testing.T) {
	whole := binaries(t, "initdb", "postgres", "pg_ctl")
	t.Setenv(EnvBin, whole)
	require.Equal(t, whole, requireBinaries(t))
	for _, ci := range []string{"", "true"} {
		t.Setenv("CI", ci)
		t.Setenv(EnvBin, binaries(t, "initdb", "postgres"))
		assert.Equal(t, "failed", outcome(t, func(tb testing.TB) { requireBinaries(tb) }), "pg_ctl is missing, CI=%q", ci)
		t.Setenv(EnvBin, filepath.Join(whole, "absent"))
		assert.Equal(t, "failed", outcome(t, func(tb testing.TB) { requireBinaries(tb) }), "no folder, CI=%q", ci)
	}
}

// Not parallel: it changes the environment.
func TestAMissingProgramIsExcusedInAGivenFolderOnly(t *testing.T) {
	s := &Server{bin: binaries(t, "psql")}
	for _, test := range []struct{ given, ci, name, want string }{
		{s.bin, "true", "psql", ""},
		{s.bin, "true", "pg_dump", "excused"},
		{s.bin, "", "pg_dump", "excused"},
		{"", "", "psql", ""},
		{"", "", "pg_dump", "skipped"},
		{"", "true", "pg_dump", "failed"},
	} {
		t.Setenv(EnvBin, test.given)
		t.Setenv("CI", test.ci)
		assert.Equal(t, test.want, outcome(t, func(tb testing.TB) { s.Program(tb, test.name) }), "%+v", test)
	}
}

// Not parallel: it changes the environment.
func TestAServerOfAnotherVersionIsRefused(t *testing.T) {
	t.Setenv(EnvVersion, "")
	server := URL(t)
	require.NoError(t, checkVersion(server))
	text, err := value(t.Context(), server, `select current_setting('server_version_num')::int / 10000`)
	require.NoError(t, err)
	major, err := strconv.Atoi(text)
	require.NoError(t, err)
	t.Setenv(EnvVersion, strconv.Itoa(major))
	require.NoError(t, checkVersion(server))
	t.Setenv(EnvVersion, strconv.Itoa(major+1))
	require.ErrorContains(t, checkVersion(server), fmt.Sprintf("the server is PostgreSQL %d", major))
}

func TestVersionOfAFolder(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]int{
		"/usr/lib/postgresql/9.6/bin":             9,
		"/usr/lib/postgresql/15/bin":              15,
		"/usr/pgsql-17/bin":                       17,
		"/opt/homebrew/opt/postgresql@18/bin":     18,
		"/usr/local/pgsql/bin":                    0,
		"/Applications/Postgres.app/V/14/bin/bin": 14,
	} {
		assert.Equal(t, want, version(dir), dir)
	}
}
