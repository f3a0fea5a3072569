package postgres

import (
	"database/sql"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
)

func TestStatementsPrepareAndAreUsed(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	var source strings.Builder
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		if !strings.HasSuffix(f, "_test.go") {
			source.Write(text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.queries)) {
		stem := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_desc"), "forward"), "backward")
		if !strings.HasPrefix(name, "migrate_") { // package migrate uses those
			require.Contains(t, source.String(), `"`+stem, "%s is used", name)
		}
		if strings.HasPrefix(name, "migrate_") && strings.Contains(b.queries.Get(name), ";") {
			continue // several statements in one
		}
		stmt, err := b.db.PrepareContext(t.Context(), b.queries.Get(name))
		require.NoError(t, err, name)
		require.NoError(t, stmt.Close()) //nolint:sqlclosecheck // one after the other
	}
}

// hot are the statements that must not read more than they return, the arguments they are explained with, and how they
// may reach a table. Plans are generic, as a prepared statement's are after a few runs.
var hot = []struct {
	name, args string
	want       []string
}{
	{"find_stream", `'s-7'`, []string{"Index Scan using streams_name_key"}},
	{"read_stream_forward", `'s-7', 10, 1000, 7, 4000`, []string{"Index Scan using events_version_key", "Index Scan using streams_name_key"}},
	{"read_stream_backward", `'s-7', 900, 1000, 0, 4000`, []string{"Index Scan Backward using events_version_key"}},
	{"read_linked_forward", `7, 10, 1000, 4000`, []string{"Index Scan using events_version_key", "Index Scan using links_pkey", "events_pkey"}},
	{"read_linked_backward", `7, 10, 1000, 4000`, []string{"Index Scan Backward using events_version_key", "Index Scan Backward using links_pkey"}},
	{"read_log_forward", `5000, 1000`, []string{"Index Scan using log_pkey", "Index Scan Backward using log_pkey"}},
	{"read_log_backward", `5000, 1000`, []string{"Index Scan Backward using log_pkey"}},
	{"read_events_range", `5000, 0, 6000, 0, 1256, 3000`, []string{"Index Scan using events_pkey"}},
	{"read_events_filtered", `5000, 0, 6000, 0, 1256, '{happened}', null, 5000, 0, 6000, 0, 3000`, []string{"Index Scan using events_pkey", "hashed SubPlan"}},
	{"read_events_filtered", `5000, 0, 6000, 0, 1256, null, 's-7', 5000, 0, 6000, 0, 3000`, []string{"Index Scan using events_pkey", "Index Scan using streams_pkey"}},
	{"read_stream_filtered", `7, 10, 1000, 500, '{happened}', 's-7', 4000, 10, 500`, []string{"Index Scan using events_version_key", "Index Scan using links_pkey", "Index Scan using events_pkey", "hashed SubPlan"}},
	{"read_stream_filtered_backward", `7, 10, 1000, 500, '{happened}', 's-7', 4000`, []string{"Index Scan Backward using events_version_key", "Index Scan Backward using links_pkey", "Index Scan using events_pkey", "hashed SubPlan"}},
	{"stream_versions", `'{s-1,s-2}'`, []string{"Index Scan using streams_name_key"}},
	{"save_checkpoint", `'$all', 'a', 1, 2, 0, 2, null, 0, ''`, []string{"Index Scan using subscriptions_pkey"}},
	{"arrivals", `'{$all,s-7}', '{5000,10}'`, []string{"Index Scan using log_pkey", "Index Scan Backward using log_pkey", "Index Scan using streams_name_key",
		"Index Scan using events_version_key", "Index Scan Backward using log_append_seq_key", "Index Scan using links_pkey"}},
	{"read_event", `'00000000-0000-0000-0000-000000000001'`, []string{"Index Scan using events_event_id_key"}},
	{"read_large", `'{00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002}', '{0,100}', 4000000, true`,
		[]string{"Recursive Union", "Index Scan using events_event_id_key"}},
	{"find_typed", `'{happened,none}', 1, 9000, 10001`, []string{"Index Only Scan using events_type_idx", "Index Scan Backward using log_append_seq_key"}},
	{"find_correlation", `'` + correlation + `', 1`, []string{"events_correlation_idx", "Index Scan Backward using log_append_seq_key"}},
	{"read_places", `'{1,2,3}', '{1,2,3}', '{0,0,0}', 4000, null`, []string{"Function Scan on i", "Index Scan using events_pkey", "Index Scan using streams_pkey"}},
	{"read_names", `'{1,2,3}'`, []string{"Index Scan using streams_pkey"}},
	{"judge_append", `'s', '00000000-0000-0000-0000-000000000001', '\x00000000000000000000000000000001', 1`,
		[]string{"streams_name_key", "events_event_id_key", "events_pkey", "Index Only Scan using events_event_id_key"}},
	{"find_linkable", `'\x00000000000000000000000000000001', 1`, []string{"Index Scan using events_event_id_key"}},
	{"tick_pending", `null, 5000`, []string{"Index Only Scan using events_pkey"}},
	{"list_streams_by_name", `'', '', 100, 0, true, 's-7'`, []string{"Index Scan using streams_name_key"}},
	{"list_streams_by_id_desc", `'', '', 100, 0, true, 50`, []string{"Index Scan Backward using streams_pkey"}},
}

var plansUpTo = flag.Int("plans", 1_000_000, "how many events TestPlans grows to: with 10,000,000 once more, tenfold, with statistics that are stale")

// TestPlans explains the hot statements on tables from empty to a million events, with statistics, without, and with stale
// ones: plans must not change as tables grow.
func TestPlans(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	conn, err := b.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // the pool's
	exec := func(query string) {
		t.Helper()
		_, err := conn.ExecContext(t.Context(), strings.NewReplacer(b.opts.replacements()...).Replace(query))
		require.NoError(t, err)
	}
	exec(`set plan_cache_mode = force_generic_plan`)
	exec(b.queries.Get("index_correlations"))
	exec(b.queries.Get("index_types"))
	for _, table := range []string{"streams", "events", "log"} {
		exec(`alter table /*schema.*/` + table + ` set (autovacuum_enabled = off)`) // statistics are as old as this test wants
	}
	size := 0
	for _, step := range []struct {
		events  int
		analyze bool
	}{{0, false}, {10_000, false}, {10_000, true}, {1_000_000, false}, {1_000_000, true}, {10_000_000, false}, {10_000_000, true}} {
		if step.events > *plansUpTo || !longtest.On() && step.events > 10_000 {
			break
		}
		if step.events > size {
			fill(exec, size+1, step.events)
			size = step.events
		}
		requireIndexes(t, b, step.events)
		if step.analyze {
			exec(`vacuum analyze /*schema.*/events`)
			exec(`vacuum analyze /*schema.*/log`)
			exec(`analyze /*schema.*/streams`)
		}
		for _, h := range hot {
			plan := explain(t, conn, b, h.name, h.args)
			for _, want := range h.want {
				require.Contains(t, plan, want, "%s on %d events, analyzed: %v\n%s", h.name, step.events, step.analyze, plan)
			}
			for _, table := range []string{"events", "log", "links"} {
				require.NotContains(t, plan, "Seq Scan on "+table, "%s on %d events, analyzed: %v\n%s", h.name, step.events, step.analyze, plan)
			}
			if step.events == 1_000_000 && step.analyze {
				t.Logf("%s\n%s", h.name, plan)
			}
		}
		requireRecorded(t, conn, b, step.events)
	}
}

// requireRecorded looks at the plans of what shows events to people: a stream through the view, positions through recorded_from.
func requireRecorded(t *testing.T, conn *sql.Conn, b *Backend, events int) {
	t.Helper()
	b = &Backend{shared: &shared{opts: b.opts, queries: map[string]string{
		"recorded": strings.NewReplacer(b.opts.replacements()...).Replace(`select * from /*schema.*/recorded where stream = $1 order by version`),
	}}}
	plan := explain(t, conn, b, "recorded", `'s-7'`)
	for _, want := range []string{"Index Scan using streams_name_key", "events_version_key", "Index Scan Backward using log_append_seq_key"} {
		require.Contains(t, plan, want, "recorded on %d events\n%s", events, plan)
	}
	looked := false
	for _, plan := range nestedPlans(t, pgtest.URL(t), b, `select count(*) from /*schema.*/recorded_from(5000, 1000)`) {
		if !strings.Contains(plan, "CTE wanted") {
			continue
		}
		looked = true
		for _, want := range []string{"log_pkey", "events_pkey", "streams_pkey"} {
			require.Contains(t, plan, want, "recorded_from on %d events\n%s", events, plan)
		}
		for _, not := range []string{"Seq Scan", "JIT:", "Hash Join"} {
			require.NotContains(t, plan, not, "recorded_from on %d events\n%s", events, plan)
		}
	}
	require.True(t, looked)
}

// TestPlansOutliveATinyTable: a session that has planned while the tables had one page, and statistics that say so, keeps those plans
// when they have grown.
func TestPlansOutliveATinyTable(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	exec := func(query string) {
		t.Helper()
		_, err := b.db.ExecContext(t.Context(), strings.NewReplacer(b.opts.replacements()...).Replace(query))
		require.NoError(t, err)
	}
	fill(exec, 1, 10)
	for _, table := range []string{"events", "log", "links", "streams"} {
		exec(`vacuum analyze /*schema.*/` + table)
	}
	require.LessOrEqual(t, number(t, b, `select pg_relation_size('/*schema.*/events') / current_setting('block_size')::int`), int64(1))
	requireIndexes(t, b, 10)
}

// requireIndexes looks at the plans of the statements in functions that append and tick.
func requireIndexes(t *testing.T, b *Backend, events int) {
	t.Helper()
	for _, call := range []string{
		`select /*schema.*/tick/*of*/(100, true, null)`,
		`select /*schema.*/append/*of*/('s-7', null, true, 1, true, '\x00000000000000000000000000009999', null, null, '{{t},{null}}', 'd', '', '{{1},{1},{1},{1},{-1}}', null, null, null, null, 0)`,
		`select /*schema.*/append_one/*of*/('s-8', null, true, true, '00000000-0000-0000-0000-000000009998', null, null, 't', null, 'd', null, null)`,
		`select /*schema.*/append_group/*of*/('{s-7,s-9,new}', '{null,null,null}', '{t,t,t}', null, '{t,f,f}', '{1,1,1}',
			'\x000000000000000000000000000099970000000000000000000000000000999600000000000000000000000000009995', null, null, '{{t},{null}}', 'ddd', '',
			'{{1,1,1},{1,2,3},{1,1,1},{1,1,1},{-1,-1,-1},{1,2,3},{0,0,0}}', null)`,
		`select /*schema.*/append_all/*of*/('{s-7,s-9,another}', '{-1,-1,-1}', '{t,t,t}', null, '\x000000000000000000000000000099940000000000000000000000000000999300000000000000000000000000009992', '{1,1,1}',
			'\x000000000000000000000000000099940000000000000000000000000000999300000000000000000000000000009992', null, null, '{{t},{""}}', 'ddd', '',
			'{{1,1,1},{1,2,3},{1,1,1},{1,1,1},{-1,-1,-1},{1,2,3},{0,0,0}}', null)`,
		`select /*schema.*/await_stream/*of*/('s-7')`,
		`select /*schema.*/link/*of*/('linked', null, true, '{1,2}', '{0,0}')`,
	} {
		for _, plan := range nestedPlans(t, pgtest.URL(t), b, call) {
			require.NotContains(t, plan, "JIT:", "%s on %d events", call, events)
			require.NotContains(t, plan, "HashAggregate", "%s on %d events: it would look at all that is behind the log", call, events)
			for _, table := range []string{"events", "log", "links", "streams"} {
				require.NotContains(t, plan, "Seq Scan on "+table, "%s on %d events", call, events)
			}
		}
	}
}

// fill adds events by the numbers from … to, one per append, to a thousand streams. It does so in short transactions: a long one keeps
// holes open in the stores of other tests on the same server.
func fill(exec func(string), from, to int) {
	const most = 50_000
	for ; from+most <= to; from += most {
		fillChunk(exec, from, from+most-1)
	}
	fillChunk(exec, from, to)
	exec(`update /*schema.*/streams set version = ` + itoa(to/1000+1))
}

// correlation is one that every fourth event of fill has; others are short.
const correlation = "00000000-0000-0000-0000-000000000007"

func fillChunk(exec func(string), from, to int) {
	fillEvents(exec, from, to)
	exec(`insert into /*schema.*/log (position, append_seq, n) select i.n, i.n, 1` + bounds(from, to))
}

func bounds(from, to int) string {
	return ` from generate_series(` + itoa(from) + `, ` + itoa(to) + `) as i (n)`
}

// fillEvents is fillChunk without positions.
func fillEvents(exec func(string), from, to int) {
	exec(`insert into /*schema.*/streams (name, version, created_at) select 's-' || i.n, 0, now() from generate_series(1, 1000) as i (n) on conflict do nothing`)
	exec(`insert into /*schema.*/events (append_seq, stream_id, version, created_at, idx, event_id, correlation_id, event_type, data)
		select i.n, i.n % 1000 + 1, i.n / 1000 + 1, now(), 0, md5(i.n::text)::uuid, case i.n % 4 when 0 then '` + correlation + `'::uuid when 1 then md5((i.n / 100)::text)::uuid end,
		'happened', convert_to(repeat('x', 200), 'UTF8')` + bounds(from, to))
}

func itoa(n int) string { return string(appendInt(nil, int64(n))[1:]) }

// jitAboveCost is PostgreSQL's default of jit_above_cost: a plan that is expected to cost more is compiled at each call, which takes
// longer than most statements do.
const jitAboveCost = 100_000

// explain prepares a statement on conn and returns its plan, one that is not compiled.
func explain(t *testing.T, conn *sql.Conn, b *Backend, name, args string) string {
	t.Helper()
	call := `execute "explained"`
	if args != "" {
		call += "(" + args + ")"
	}
	_, err := conn.ExecContext(t.Context(), `prepare "explained" as `+b.queries.Get(name))
	require.NoError(t, err, name)
	rows, err := conn.QueryContext(t.Context(), `explain `+call)
	require.NoError(t, err, name)
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	var plan strings.Builder
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		plan.WriteString(line + "\n")
	}
	require.NoError(t, rows.Err())
	cost := regexp.MustCompile(`cost=[\d.]+\.\.([\d.]+)`).FindStringSubmatch(plan.String()) // of the whole
	require.NotNil(t, cost, plan.String())
	total, err := strconv.ParseFloat(cost[1], 64)
	require.NoError(t, err)
	require.LessOrEqual(t, total, float64(jitAboveCost), "%s would be compiled at each call:\n%s", name, plan.String())
	_, err = conn.ExecContext(t.Context(), `deallocate "explained"`)
	require.NoError(t, err)
	return regexp.MustCompile(`  \(cost=[^)]*\)`).ReplaceAllString(plan.String(), "")
}

// nestedPlans runs a call of a function in a transaction that is rolled back, and returns the plans of its statements.
func nestedPlans(t *testing.T, url string, b *Backend, call string, settings ...string) (plans []string) {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { plans = append(plans, n.Message) }
	db := stdlib.OpenDB(*config)
	defer db.Close() //nolint:errcheck // nothing is kept
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // that is the point
	for _, q := range slices.Concat([]string{
		`load 'auto_explain'`, `set auto_explain.log_min_duration = 0`, `set auto_explain.log_nested_statements = on`,
		`set client_min_messages = log`, `set plan_cache_mode = force_generic_plan`,
	}, settings, []string{call}) {
		_, err := tx.ExecContext(t.Context(), strings.NewReplacer(b.opts.replacements()...).Replace(q))
		require.NoError(t, err, q)
	}
	require.NotEmpty(t, plans)
	return plans
}
