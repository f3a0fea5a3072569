package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// flagsOf returns the flags that name a store.
func flagsOf(d *database.Database) []string {
	where := d.Path
	if d.Kind == database.PostgreSQL {
		where = d.URL.String()
	}
	return []string{"--db", where, "--schema", d.Schema}
}

// ran is what a command has printed.
type ran struct {
	code     int
	out, err string
}

// run runs a command with an input.
func run(in string, args ...string) ran {
	var out, errOut bytes.Buffer
	code := Main(args, strings.NewReader(in), &out, &errOut)
	return ran{code, out.String(), errOut.String()}
}

// on runs a command on a store.
func on(d *database.Database, args ...string) ran { return run("", append(args, flagsOf(d)...)...) }

// must runs a command on a store, which must end well, and returns what it has printed.
func must(t *testing.T, d *database.Database, args ...string) string {
	t.Helper()
	r := on(d, args...)
	require.Equal(t, codeOK, r.code, "%v: %s", args, r.err)
	return r.out
}
