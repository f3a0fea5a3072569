package cli

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// strange are keys that a flag might split, unquote or misread.
var strange = []string{"tenant,7", "tenant", "7", `say "hi"`, `"a","b"`, "it's", " x ", "=", "--yes"}

// parkAll appends an event to each stream, and parks all n events of the store, under their streams' names as keys, for the projection "p".
func parkAll(t *testing.T, es *store.Store, n int, streams ...string) {
	t.Helper()
	for _, s := range streams {
		_, err := es.Append(t.Context(), s, store.Any, store.Event{Type: "Deposited", Data: 1})
		require.NoError(t, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- es.Project(ctx, "p", func(context.Context, *sql.Tx, []store.Recorded) error { return errors.New("no") },
			&store.ProjectOptions{OnError: store.RetryThen(1, store.Park), MinBackoff: time.Millisecond})
	}()
	require.Eventually(t, func() bool {
		list, err := es.Parked(ctx, "p", nil)
		return err == nil && len(list) == n
	}, time.Minute, 10*time.Millisecond)
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// TestKeys: --key takes one key each time, in both forms, whatever characters it has. Other keys stay as they are.
func TestKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := store.New(d.Backend, &store.Options{PollInterval: 10 * time.Millisecond})
		defer es.Close() //nolint:errcheck // the test's
		parkAll(t, es, len(strange), strange...)
		left := func() (keys []string) {
			list, err := es.Parked(t.Context(), "p", nil)
			require.NoError(t, err)
			for _, e := range list {
				keys = append(keys, e.Key)
			}
			return keys
		}
		require.Equal(t, strange, left())
		for i, form := range [][]string{{"--key=" + strange[0]}, {"--key", strange[3]}} {
			out := must(t, d, append([]string{"projections", "parked", "list", "p", "-o", "json"}, form...)...)
			assert.Contains(t, out, `"number":`+number([]int{1, 4}[i])+`,`)
			assert.Len(t, splitLines(out), 1)
		}
		out := must(t, d, "projections", "parked", "discard", "p", "--yes", "--key", "tenant,7")
		require.Equal(t, "p: 1 event discarded\n", out)
		require.Equal(t, strange[1:], left())
		out = must(t, d, "projections", "parked", "replay", "p", "--key", `"a","b"`, "--key="+`say "hi"`)
		require.Equal(t, "p: 2 events queued for replay\n", out)
		list, err := es.Parked(t.Context(), "p", nil)
		require.NoError(t, err)
		for _, e := range list {
			assert.Equal(t, e.Key != `"a","b"` && e.Key != `say "hi"`, e.Failed, e.Key)
		}
		for _, key := range strange[2:] {
			must(t, d, "projections", "parked", "discard", "p", "--yes", "--key", key)
		}
		require.Equal(t, []string{"tenant"}, left())
	})
}

// TestTailTypes: likewise --type.
func TestTailTypes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := store.New(d.Backend, nil)
		for _, typ := range []string{"a", "b", "a,b", `"c"`} {
			_, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: typ, Data: 1})
			require.NoError(t, err)
		}
		out := must(t, d, "tail", "--from", "1", "--limit", "2", "--type", "a,b", `--type="c"`)
		assert.Contains(t, out, "s@3  a,b  1\n")
		assert.Contains(t, out, "s@4  \"c\"  1\n")
		assert.Len(t, splitLines(out), 2)
	})
}

// TestSchemas: a schema's name may have a comma, and --schema may be given several times where several make sense.
func TestSchemas(t *testing.T) {
	t.Parallel()
	where := databasetest.URL(t, database.PostgreSQL)
	comma, other := databasetest.Schema(t, database.PostgreSQL)+",x", databasetest.Schema(t, database.PostgreSQL)
	t.Cleanup(func() {
		d := databasetest.Open(t, where, comma)
		_, _ = d.Drop(context.WithoutCancel(t.Context()), true)
	})
	r := run("", "init", "--db", where, "--schema", comma, "--schema="+other)
	require.Equal(t, codeOK, r.code, r.err)
	for _, schema := range []string{comma, other} {
		s, err := migrate.StatusOf(t.Context(), databasetest.Open(t, where, schema).Backend)
		require.NoError(t, err)
		assert.Equal(t, s.Latest, s.Version, schema)
	}
	r = run("", "streams", "--db", where, "--schema", comma, "--schema", other)
	assert.Equal(t, codeUsage, r.code)
	r = run("", "drop", "--yes", "--db", where, "--schema", comma)
	require.Equal(t, codeOK, r.code, r.err)
	require.NoError(t, databasetest.Open(t, where, other).Check(t.Context()))
}

// TestNoFlagSplits: no flag splits what it is given at commas, but for lists of numbers.
func TestNoFlagSplits(t *testing.T) {
	t.Parallel()
	seen := 0
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			seen++
			assert.NotContains(t, []string{"stringSlice", "stringToString"}, f.Value.Type(), "%s --%s", c.CommandPath(), f.Name)
		})
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(New())
	assert.Greater(t, seen, 50)
}

// TestReset: the statement that empties a read model runs in the transaction of the reset. Without it, nothing is done.
func TestReset(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		table := `balance_` + uuid.NewString()[:8]
		if d.Kind == database.PostgreSQL {
			t.Cleanup(func() { _, _ = d.ExecContext(context.WithoutCancel(t.Context()), `drop table if exists `+table) })
		}
		_, err := d.ExecContext(t.Context(), `create table `+table+` (sum bigint not null)`)
		require.NoError(t, err)
		es := store.New(d.Backend, &store.Options{PollInterval: 10 * time.Millisecond})
		defer es.Close() //nolint:errcheck // the test's
		for range 5 {
			_, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: "Deposited", Data: 50})
			require.NoError(t, err)
		}
		project := func() {
			t.Helper()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() {
				ended <- es.Project(ctx, "p", func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
					for range events {
						if _, err := tx.ExecContext(ctx, `insert into `+table+` values (50)`); err != nil {
							return err
						}
					}
					return nil
				}, nil)
			}()
			require.Eventually(t, func() bool {
				p, err := es.Projection(ctx, "p")
				return err == nil && p.Checkpoint() == 5
			}, time.Minute, 10*time.Millisecond)
			stop()
			require.ErrorIs(t, <-ended, context.Canceled)
		}
		state := func() (sum, checkpoint int64) {
			t.Helper()
			require.NoError(t, d.QueryRowContext(t.Context(), `select coalesce(sum(sum), 0) from `+table).Scan(&sum))
			p, err := es.Projection(t.Context(), "p")
			require.NoError(t, err)
			return sum, p.Checkpoint()
		}
		same := func(args ...string) ran {
			t.Helper()
			r := on(d, append([]string{"projections", "reset", "p", "--yes"}, args...)...)
			sum, checkpoint := state()
			assert.Equal(t, [2]int64{250, 5}, [2]int64{sum, checkpoint}, "%v: %s", args, r.err)
			assert.Equal(t, codeUsage, r.code, r.err)
			return r
		}
		project()
		assert.Contains(t, same().err, "--tables-are-empty")
		same("--sql", "delete from "+table, "--tables-are-empty")
		assert.Contains(t, same("--sql", "delete from "+table, "--sql", "delete from nothing").err, "nothing was changed")
		for _, end := range []string{"commit", "delete from " + table + "; commit", "/* ; */ ROLLBACK", "begin", "end"} {
			same("--sql", end)
		}
		empty := "delete from " + table
		if d.Kind == database.PostgreSQL {
			empty = "truncate " + table
		}
		assert.Equal(t, "p: begins anew, after 2 statements of SQL\n", must(t, d, "projections", "reset", "p", "--yes", "--sql", empty, "--sql", "select ';'"))
		sum, checkpoint := state()
		require.Equal(t, [2]int64{0, 0}, [2]int64{sum, checkpoint})
		project()
		sum, _ = state()
		require.EqualValues(t, 250, sum, "each event counts once")
		require.Equal(t, "p: begins anew\n", must(t, d, "projections", "reset", "p", "--yes", "--tables-are-empty"))
	})
}
