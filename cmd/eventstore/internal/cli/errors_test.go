package cli

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// told checks an error of a command: its exit code, that it has one line and one with advice, and what they contain.
func told(t *testing.T, r ran, code int, what, advice string) {
	t.Helper()
	assert.Equal(t, code, r.code, r.err)
	assert.Empty(t, r.out)
	list := splitLines(r.err)
	if assert.Len(t, list, 2, r.err) {
		assert.Contains(t, list[0]+"\n", "eventstore: "+what)
		assert.Contains(t, list[1], advice)
	}
	for _, noise := range []string{"failed to connect", "hidd3n", "SQLSTATE", "backend", "goroutine"} {
		assert.NotContains(t, r.err, noise)
	}
}

// TestServerErrors: an error of a server, or on the way to it, names the database and one next step.
func TestServerErrors(t *testing.T) {
	t.Parallel()
	d := databasetest.New(t, database.PostgreSQL)
	u, err := url.Parse(flagsOf(d)[1])
	require.NoError(t, err)
	role := "reader_" + uuid.NewString()[:8]
	if u.User.Username() == "" || os.Getenv(pgtest.EnvURL) != "" {
		t.Skip("excused: a server of somebody's may let roles in without a password")
	}
	_, err = d.ExecContext(t.Context(), `create role `+role+` login password 'hidd3n'`)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, _ = d.ExecContext(context.WithoutCancel(t.Context()), `drop owned by `+role+`; drop role `+role)
	})
	as := func(change func(u *url.URL)) ran {
		other := *u
		change(&other)
		return run("", "streams", "--db", other.String(), "--schema", d.Schema)
	}
	reader := func(u *url.URL) { u.User = url.UserPassword(role, "hidd3n") }
	where := "postgres://" + role + "@" + u.Host + u.Path

	told(t, as(reader), codeUnreachable, where+", schema \""+d.Schema+"\": permission denied for schema "+d.Schema, "connect as a user who has that right")
	_, err = d.ExecContext(t.Context(), `grant usage on schema "`+d.Schema+`" to `+role)
	require.NoError(t, err)
	told(t, as(reader), codeUnreachable, where+", schema \""+d.Schema+"\": permission denied for ", "connect as a user who has that right")

	told(t, as(func(u *url.URL) { u.RawQuery = "sslmode=require" }), codeUnreachable, "postgres://", "sslmode=disable")
	told(t, as(func(u *url.URL) { u.Path = "/nothing" }), codeUnreachable, "postgres://"+u.User.Username()+"@"+u.Host+"/nothing", "create the database with `eventstore create`")
	told(t, as(func(u *url.URL) { u.Host = "127.0.0.1:1" }), codeUnreachable, "postgres://"+u.User.Username()+"@127.0.0.1:1"+u.Path, "is the server running")
	told(t, as(func(u *url.URL) {
		u.User, u.RawQuery = url.UserPassword(role, "wrong hidd3n"), "" // TLS, if the server has it
	}), codeUnreachable, where+", schema \""+d.Schema+"\": can't connect: password authentication failed for user \""+role+"\"\n", "set the right user and password")
	told(t, run("", "streams", "--db", u.String(), "--schema", "typo"), codeUnreachable, "there is no store in postgres://", `the database has stores in: `)
}

// TestFileErrors: likewise an error of a file.
func TestFileErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	streams := func(name string) ran { return run("", "streams", "--db", path(name)) }
	told(t, streams("nothing.db"), codeUnreachable, "there is no file "+path("nothing.db"), "eventstore create")

	require.NoError(t, os.WriteFile(path("binary"), []byte(strings.Repeat("\x7fELF some binary", 1000)), 0o600))
	told(t, streams("binary"), codeUsage, path("binary")+": the file is not a SQLite database", "name a SQLite file")
	told(t, run("", "create", "--db", path("binary")), codeUsage, path("binary")+": the file is not a SQLite database", "name a SQLite file")
	binary, err := os.ReadFile(path("binary"))
	require.NoError(t, err)
	require.Len(t, binary, 16000, "it is as it was")

	require.NoError(t, os.Mkdir(path("folder"), 0o700))
	told(t, streams("folder"), codeUnreachable, path("folder")+": the file can't be opened", "may this user read and write")
	told(t, run("", "create", "--db", path("missing/e.db")), codeUnreachable, path("missing/e.db")+": ", "is the folder there")

	require.Equal(t, codeOK, run("", "create", "--db", path("e.db")).code)
	told(t, run("", "import", path("nothing"), "--db", path("e.db")), codeNotFound, path("e.db")+": open "+path("nothing"), "is the path right?")
	told(t, run("", "export", path("missing/x"), "--db", path("e.db")), codeNotFound, path("e.db")+": ", "is the path right?")
	told(t, run("", "subscriptions", "reset", "$all", "nobody", "--to", "9", "--db", path("e.db")), codeNotFound,
		path("e.db")+`: there is no subscription "nobody" on "$all"`, "list the subscriptions")
	told(t, run("", "trace", uuid.NewString(), "--db", path("e.db")), codeOther, path("e.db")+": correlations are not indexed", "eventstore trace ID --index")
	if _, err := os.Stat("/dev/full"); err == nil {
		told(t, run("", "bench", "--html", "/dev/full", "--events", "1", "--duration", "1ms", "--writers", "1", "--batch", "1", "--db", path("e.db")), codeOther, "", "the disk is full")
	}
}

// TestJudgeFile: errors of files have a method Timeout, as those of the network do, and are not taken for them.
func TestJudgeFile(t *testing.T) {
	t.Parallel()
	for errno, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "free some space", syscall.EACCES: "the right to read and write", syscall.EROFS: "the right to read and write", syscall.ENOENT: "is the path right?",
	} {
		code, advice := judge(&os.PathError{Op: "write", Path: "x", Err: errno})
		assert.Contains(t, advice, want)
		assert.NotEqual(t, codeUnreachable, code)
	}
	_, advice := judge(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
	assert.Contains(t, advice, "is the server running")
}
