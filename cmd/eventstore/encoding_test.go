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

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/cli"
	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// TestCreateEncoding: `create` refuses a database that is not in UTF-8, says what to do, and creates nothing.
func TestCreateEncoding(t *testing.T) {
	t.Parallel()
	const name = "create_encoding"
	db := pgtest.Open(t, "pgx", pgtest.URL(t))
	exec := func(statement string) {
		_, err := db.ExecContext(context.WithoutCancel(t.Context()), statement)
		require.NoError(t, err)
	}
	exec("drop database if exists " + name)
	exec("create database " + name + " encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0")
	t.Cleanup(func() { exec("drop database " + name + " with (force)") })
	at, err := url.Parse(pgtest.URL(t))
	require.NoError(t, err)
	at.Path = "/" + name
	file := filepath.Join(t.TempDir(), "events.db")
	wide := pgtest.Open(t, "sqlite", sqlite.DSN(file))
	_, err = wide.ExecContext(t.Context(), "pragma encoding = 'UTF-16'; create table other (n int)")
	require.NoError(t, err)
	for where, want := range map[string]string{at.String(): "template template0", file: "create another file"} {
		var out, errOut bytes.Buffer
		code := cli.Main([]string{"create", "--db", where}, strings.NewReader(""), &out, &errOut)
		assert.NotZero(t, code, out.String())
		assert.Contains(t, errOut.String(), want)
	}
}
