package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

func schema(tb testing.TB) (*Backend, *sql.DB) {
	tb.Helper()
	db, err := sql.Open("sqlite", DSN(filepath.Join(tb.TempDir(), "events.db")))
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	b := New(db, nil)
	require.NoError(tb, migrate.Up(tb.Context(), b))
	return b, db
}

// Every statement is good SQL for the tables, and used.
func TestStatements(t *testing.T) {
	t.Parallel()
	b, db := schema(t)
	require.NoError(t, b.IndexCorrelations(t.Context()))
	require.NoError(t, b.IndexTypes(t.Context()))
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var code strings.Builder
	for _, name := range files {
		if !strings.HasSuffix(name, "_test.go") {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			code.Write(text)
		}
	}
	for name, query := range b.queries {
		if query != "" && !strings.HasPrefix(name, "migrate_") {
			prepares(t, db, name, query)
		}
		if !strings.HasPrefix(name, "migrate_") {
			assert.Contains(t, code.String(), `"`+strings.TrimSuffix(name, "_descending")+`"`, "is %s used?", name)
		}
	}
}

func prepares(t *testing.T, db *sql.DB, name, query string) {
	t.Helper()
	stmt, err := db.PrepareContext(t.Context(), query)
	if assert.NoError(t, err, name) {
		defer stmt.Close() //nolint:errcheck // it was only prepared
	}
}

// plan returns how SQLite goes about a statement.
func plan(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	args := make([]any, strings.Count(query, "?"))
	for i := range args {
		args[i] = i
	}
	rows, err := db.QueryContext(t.Context(), "explain query plan "+query, args...)
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // it was only read
	var lines strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
		fmt.Fprintln(&lines, detail)
	}
	require.NoError(t, rows.Err())
	return lines.String()
}

// The hot statements go by their indexes, and sort nothing.
func TestPlans(t *testing.T) {
	t.Parallel()
	b, db := schema(t)
	require.NoError(t, b.IndexCorrelations(t.Context()))
	require.NoError(t, b.IndexTypes(t.Context()))
	for name, want := range map[string][]string{
		"stream":                  {"SEARCH streams USING INDEX sqlite_autoindex_streams_1 (name=?)"},
		"set_version":             {"SEARCH streams USING INTEGER PRIMARY KEY (rowid=?)"},
		"append_retry":            {"SEARCH f USING INDEX sqlite_autoindex_events_2 (event_id=?)", "SEARCH n USING INTEGER PRIMARY KEY (rowid=?)"},
		"append_present":          {"SEARCH e EXISTS USING COVERING INDEX sqlite_autoindex_events_2 (event_id=?)"},
		"link_unknown":            {"SEARCH e USING COVERING INDEX sqlite_autoindex_events_2 (event_id=?)"},
		"link_present":            {"SEARCH e USING INDEX sqlite_autoindex_events_2 (event_id=?)", "(position=? AND stream_id=?)"},
		"link_events":             {"SEARCH e USING COVERING INDEX sqlite_autoindex_events_2 (event_id=?)"},
		"delete_links":            {"SEARCH e USING COVERING INDEX sqlite_autoindex_events_1 (stream_id=?)", "SEARCH l USING INDEX sqlite_autoindex_links_2 (position=?)"},
		"delete_events":           {"SEARCH events USING COVERING INDEX sqlite_autoindex_events_1 (stream_id=?)"},
		"read_stream":             {"MERGE (UNION ALL)", "SEARCH e USING INDEX sqlite_autoindex_events_1 (stream_id=? AND version>?)", "SEARCH l USING PRIMARY KEY (stream_id=? AND version>?)"},
		"read_stream_backward":    {"MERGE (UNION ALL)", "SEARCH e USING INDEX sqlite_autoindex_events_1 (stream_id=? AND version<?)", "SEARCH l USING PRIMARY KEY (stream_id=? AND version<?)"},
		"read_all":                {"SEARCH e USING INTEGER PRIMARY KEY (rowid>?)", "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"},
		"read_all_backward":       {"SEARCH e USING INTEGER PRIMARY KEY (rowid<?)", "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"},
		"read_correlation":        {"SEARCH e USING INDEX events_correlation_idx (correlation_id=? AND rowid>?)", "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"},
		"read_event":              {"SEARCH e USING INDEX sqlite_autoindex_events_2 (event_id=?)"},
		"stream_versions":         {"SEARCH s USING INDEX sqlite_autoindex_streams_1 (name=?)"},
		"read_all_filtered":       {"SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"},
		"read_stream_filtered":    {"MERGE (UNION ALL)", "SEARCH e USING INDEX sqlite_autoindex_events_1 (stream_id=? AND version>? AND version<?)", "SEARCH l USING PRIMARY KEY (stream_id=? AND version>? AND version<?)"},
		"save_checkpoint":         {"SEARCH subscriptions USING PRIMARY KEY (stream=? AND name=?)"},
		"list_subscriptions":      {"SCAN subscriptions"},
		"arrivals":                {"SEARCH e USING INTEGER PRIMARY KEY (rowid>?)", "SEARCH e USING INDEX sqlite_autoindex_events_1 (stream_id=? AND version>?)", "SEARCH l USING PRIMARY KEY (stream_id=? AND version>?)"},
		"list_by_id":              {"SEARCH streams USING INTEGER PRIMARY KEY (rowid>?)"},
		"list_by_id_descending":   {"SEARCH streams USING INTEGER PRIMARY KEY (rowid<?)"},
		"list_by_name":            {"SEARCH streams USING INDEX sqlite_autoindex_streams_1 (name>?)"},
		"list_by_name_descending": {"SEARCH streams USING INDEX sqlite_autoindex_streams_1 (name<?)"},

		"find_typed":                    {"SEARCH e USING COVERING INDEX events_type_idx (event_type=? AND rowid>? AND rowid<?)"},
		"read_places":                   {"SEARCH e USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"},
		"read_all_filtered_backward":    {"SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"},
		"read_stream_filtered_backward": {"MERGE (UNION ALL)", "SEARCH e USING INDEX sqlite_autoindex_events_1 (stream_id=? AND version>? AND version<?)", "SEARCH l USING PRIMARY KEY (stream_id=? AND version>? AND version<?)"},
	} {
		plan := plan(t, db, b.queries.Get(name))
		for _, w := range want {
			assert.Contains(t, plan, w, name)
		}
		assert.NotContains(t, plan, "SCAN events", name)
		if !strings.HasPrefix(name, "append_") && !strings.HasPrefix(name, "link_") { // these sort a list of ids
			assert.NotContains(t, plan, "TEMP B-TREE", name)
		}
	}
}

type modernc struct{ code int }

func (e modernc) Error() string { return "a modernc error" }
func (e modernc) Code() int     { return e.code }

type mattn struct{ Code mattnCode }
type mattnCode int

func (e mattn) Error() string { return "a mattn error" }

type postgres struct{ Code string }

func (e *postgres) Error() string { return "another database's" }

func TestErrorCodes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{modernc{5}, true},
		{modernc{517}, true}, // SQLITE_BUSY_SNAPSHOT
		{modernc{262}, true}, // SQLITE_LOCKED_SHAREDCACHE
		{modernc{1}, false},
		{mattn{5}, true},
		{&mattn{6}, true},
		{mattn{19}, false},
		{&postgres{"5"}, false},
		{errors.New("busy"), false},
		{nil, false},
		{fmt.Errorf("x: %w", mattn{5}), true},
		{fmt.Errorf("%w: %w", errors.New("x"), modernc{5}), true},
	} {
		assert.Equal(t, tc.want, busy(tc.err), "%v", tc.err)
	}

	pool := New(nil, nil)
	inTx := &Backend{shared: pool.shared, tx: new(sql.Tx)}
	ctx, cancel := context.WithCancel(t.Context())
	assert.NotErrorIs(t, pool.fail(ctx, "x", modernc{5}), store.ErrRetryTx)
	assert.ErrorIs(t, inTx.fail(ctx, "x", modernc{5}), store.ErrRetryTx)
	cancel()
	assert.ErrorIs(t, inTx.fail(ctx, "x", modernc{9}), context.Canceled)
	var driver modernc
	assert.ErrorAs(t, inTx.fail(ctx, "x", modernc{9}), &driver)
	assert.NoError(t, inTx.fail(ctx, "x", nil))
}

// The down migration leaves nothing behind.
func TestDown(t *testing.T) {
	t.Parallel()
	b, db := schema(t)
	require.NoError(t, migrate.Down(t.Context(), b, latest))
	rows, err := db.QueryContext(t.Context(), "select name from sqlite_master where name not like 'sqlite_%'")
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // it was only read
	var left []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		left = append(left, name)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{"eventstore_migrations"}, left)
}

// TestNoGroupCommit: with the option a leader takes one write at a time, the first.
func TestNoGroupCommit(t *testing.T) {
	t.Parallel()
	b := New(nil, &Options{NoGroupCommit: true})
	jobs := []*job{{}, {}, {}}
	for _, j := range jobs {
		b.writer.add(j)
	}
	for _, j := range jobs {
		taken := b.writer.take()
		require.Len(t, taken, 1)
		require.Same(t, j, taken[0])
	}
	require.True(t, b.writer.empty())
}
