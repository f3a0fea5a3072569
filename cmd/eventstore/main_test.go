package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/cli"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/pgtest"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts, and docs/cli.md")

// binary runs the tests with a server for them.
type binary struct{ *testing.M }

func (b binary) Run() int { return pgtest.Main(b.M) }

func TestMain(m *testing.M) {
	testscript.Main(binary{m}, map[string]func(){"eventstore": main})
}

// TestScripts runs each script against an empty PostgreSQL database and against a SQLite file that is not there yet. What is
// the same for both stands once in a script; [postgres], [throwaway] and [sqlite] are conditions.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/script/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	source, err := os.Getwd()
	require.NoError(t, err)
	for _, file := range files {
		for _, kind := range []database.Kind{database.PostgreSQL, database.SQLite} {
			t.Run(filepath.Base(file)+"/"+string(kind), func(t *testing.T) {
				if !*update {
					t.Parallel()
				}
				elsewhere := ""
				if strings.HasPrefix(filepath.Base(file), "commanded") {
					elsewhere = pgtest.Database(t)
				}
				where := filepath.Join(t.TempDir(), "events.db")
				if kind == database.PostgreSQL {
					where = pgtest.Database(t)
				}
				testscript.Run(t, testscript.Params{
					Files:               []string{file},
					UpdateScripts:       *update,
					RequireExplicitExec: true,
					RequireUniqueNames:  true,
					Setup: func(env *testscript.Env) error {
						env.Setenv("EVENTSTORE_DB", where)
						env.Setenv("COMMANDED_DB", elsewhere)
						env.Setenv("SOURCE", source)
						env.Setenv("EVENTSTORE_COMPLETION_TIMEOUT", "1m")
						for _, name := range []string{"PGPASSWORD", "GORACE"} {
							env.Setenv(name, os.Getenv(name))
						}
						return nil
					},
					Condition: func(c string) (bool, error) {
						switch c {
						case "postgres":
							return kind == database.PostgreSQL, nil
						case "throwaway": // without fsync
							return kind == database.PostgreSQL && os.Getenv(pgtest.EnvURL) == "", nil
						}
						return kind == database.SQLite, nil
					},
					Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
						"populate": populate,
						"elixir":   elixir,
						"tidy":     tidy,
						"killed":   killed,
						"killwhen": killwhen,
						"half":     half,
						"alike":    alike,
						"many":     many, "park": park,
						"code": code, "keys": keys,
						"run": runSQL,
					},
				})
			})
		}
	}
}

// changing is what differs from run to run.
var changing = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`20(2[6-9]|[3-9]\d)-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"}, // those given in scripts are older
	{regexp.MustCompile(`[0-9a-f]{64}`), "SUM"},
	{regexp.MustCompile(`("archive_id":")[^"]*`), "${1}ID"},
	{regexp.MustCompile(`("(seconds|delay_seconds|stalled_seconds|rate|bytes)":)[0-9.e+-]+`), "${1}N"},
	{regexp.MustCompile(`("database":")[^"]*`), "${1}NAME"},
	{regexp.MustCompile(`("identity":)\{[^}]*\}`), "${1}IDENTITY"},
	{regexp.MustCompile(`("seen":)\d+,"seen_id":"[^"]*"`), "${1}SEEN"},
	{regexp.MustCompile(`("owner":")[^"]*`), "${1}OWNER"},
	{regexp.MustCompile(`("source":")[^"]*`), "${1}KIND"},
}

// tidy writes what the last command has printed to the file "out", without what differs from run to run.
func tidy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: tidy stdout|stderr|FILE")
	}
	text := ts.ReadFile(args[0])
	for _, c := range changing {
		text = c.what.ReplaceAllString(text, c.by)
	}
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(text), 0o600))
}

// code runs a command, which must end with an exit code: code 3 eventstore event ID
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command...")
	}
	err := ts.Exec(args[1], args[2:]...)
	var ended *exec.ExitError
	got := 0
	if errors.As(err, &ended) {
		got = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s\n%s", got, args[0], ts.ReadFile("stderr"))
	}
}

// TestDocs: docs/cli.md is what the commands say of themselves.
func TestDocs(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "cli.md")
	text := cli.Markdown(cli.New())
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, text, string(have), "run: go test ./cmd/eventstore -run TestDocs -update")
}
