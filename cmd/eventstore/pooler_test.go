package main

import (
	"bytes"
	"context"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/cli"
	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// TestThroughPooler: every command works through a pooler in transaction mode that changes sessions as often as it can, create of a
// database that is not there included.
func TestThroughPooler(t *testing.T) {
	t.Parallel()
	p := pgtest.StartPooler(t, pgtest.URL(t), "server_round_robin = 1", "min_pool_size = 3", "default_pool_size = 5", "server_login_retry = 1")
	u, err := url.Parse(p.URL())
	require.NoError(t, err)
	name := "pooler_" + strings.ToLower(pgtest.Schema(t))
	u.Path = "/" + name
	server := pgtest.Open(t, "pgx", pgtest.URL(t))
	t.Cleanup(func() {
		_, err := server.ExecContext(context.WithoutCancel(t.Context()), `drop database if exists "`+name+`" with (force)`)
		require.NoError(t, err)
	})
	run := func(code int, in string, args ...string) string {
		t.Helper()
		var out, errOut bytes.Buffer
		got := cli.Main(append([]string{"--db", u.String()}, args...), strings.NewReader(in), &out, &errOut)
		assert.True(t, code == -1 || code == got, "exit code %d: %s\n%s%s", got, args, out.String(), errOut.String())
		return out.String() + errOut.String()
	}
	assert.Contains(t, run(0, "", "create"), "created database "+name)
	archive := filepath.Join(t.TempDir(), "a.jsonl")
	for _, c := range []struct {
		code     int
		in, args string
		want     string
	}{
		{0, "", "create", "up to date"},
		{0, "", "migrations", "up to date"},
		{0, `{"type":"Deposited","data":{"amount":5}}`, "stream append account-7 --expected no-stream", "account-7"},
		{0, "", "stream info account-7", "account-7"},
		{0, "", "stream read account-7", "Deposited"},
		{0, "", "streams", "account-7"},
		{0, "", "all", "Deposited"},
		{0, "", "stats", "events"},
		{0, "", "subscriptions", ""},
		{0, "", "projections", ""},
		{0, "", "verify", "nothing is wrong"},
		{-1, "", "doctor", "connected through a pooler in transaction mode"}, // any: the server may have fsync off
		{0, "", "export " + archive, "exported 1 event"},
		{0, "", "init --schema copy", "created"},
		{0, "", "import " + archive + " --schema copy", "imported 1 event"},
		{0, "", "verify --schema copy", "nothing is wrong"},
		{0, "", "stream delete account-7 --expected any --hard --yes", ""},
		{0, "", "drop --schema copy --yes", "dropped"},
		{2, "", "bench --duration 10ms", "add default_query_exec_mode=exec to the connection string"}, // it measures the driver's defaults
		{0, "", "drop --yes", "dropped"},
	} {
		assert.Contains(t, run(c.code, c.in, strings.Fields(c.args)...), c.want, c.args)
	}
}

// TestCreateBeyondPooler: a pooler that reaches no other database of the server can't create one, and the error says what to do.
func TestCreateBeyondPooler(t *testing.T) {
	t.Parallel()
	p := pgtest.StartPooler(t, pgtest.URL(t), "[databases]", "* = host=127.0.0.1 port=1")
	var out, errOut bytes.Buffer
	assert.Equal(t, 5, cli.Main([]string{"--db", p.URL(), "create"}, strings.NewReader(""), &out, &errOut))
	assert.Contains(t, errOut.String(), "create it by the server's own URL")
	assert.Empty(t, out.String())
}
