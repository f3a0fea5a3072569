package verify

import (
	"database/sql"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/internal/longtest"
)

// fill puts 120,000 events into a store: 1,000 streams, appends of three events, and 20,000 links.
var fill = map[database.Kind]string{
	database.PostgreSQL: `insert into /*schema.*/events (append_seq, stream_id, version, created_at, idx, event_id, event_type, data)
			select a.n, a.n % 1000 + 1, (a.n - 1) / 1000 * 3 + i.idx + 1, now(), i.idx, md5(a.n || '-' || i.idx)::uuid, 'happened', convert_to(repeat('x', 200), 'UTF8')
			from generate_series(1, 40000) as a (n) cross join generate_series(0, 2) as i (idx);
		insert into /*schema.*/log (position, append_seq, n) select (n - 1) * 3 + 1, n, 3 from generate_series(1, 40000) as a (n);
		insert into /*schema.*/streams (name, version, created_at) select 's-' || n, 120, now() from generate_series(1, 1000) as a (n);
		insert into /*schema.*/streams (name, version, created_at, linked) select 'links', 20000, now(), true;
		insert into /*schema.*/links (stream_id, version, append_seq, idx) select 1001, n, n * 2, 1 from generate_series(1, 20000) as a (n);
		select setval('/*schema.*/append_seq', 40000)`,
	database.SQLite: `with recursive n (n) as (select 0 union all select n + 1 from n where n < 119999)
			insert into /*prefix*/events (position, idx, stream_id, version, created_at, event_id, event_type, data)
			select n + 1, n % 3, n / 3 % 1000 + 1, n / 3000 * 3 + n % 3 + 1, 0, unhex(printf('%032x', n)), 'happened', zeroblob(200) from n;
		update /*prefix*/head set position = 120000;
		with recursive n (n) as (select 1 union all select n + 1 from n where n < 1000)
			insert into /*prefix*/streams (name, version, created_at) select 's-' || n, 120, 0 from n;
		insert into /*prefix*/streams (name, version, created_at) values ('links', 20000, 0);
		with recursive n (n) as (select 1 union all select n + 1 from n where n < 20000)
			insert into /*prefix*/links (stream_id, version, position) select 1001, n, n * 6 from n`,
}

// TestManyEvents looks at how long it takes and, in PostgreSQL, at the plans: before the tables are analyzed, after, and with
// those that do not look at where a page is.
func TestManyEvents(t *testing.T) {
	longtest.Only(t)
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		exec(t, d, fill[d.Kind])
		for _, analyzed := range []bool{false, true} {
			if analyzed {
				exec(t, d, map[database.Kind]string{
					database.PostgreSQL: `vacuum analyze /*schema.*/events; vacuum analyze /*schema.*/log; vacuum analyze /*schema.*/links; analyze /*schema.*/streams`,
					database.SQLite:     `analyze`,
				}[d.Kind])
			}
			if d.Kind == database.PostgreSQL {
				plans(t, d)
			}
			start := time.Now()
			found, s := verify(t, d, pageSize)
			t.Logf("%s, analyzed: %v: %d events in %v", d.Kind, analyzed, s.Events, time.Since(start))
			require.Empty(t, found)
			require.Equal(t, int64(120_000), s.Events)
			require.Equal(t, int64(20_000), s.Links)
		}
	})
}

// plans requires that no statement reads a large table for each row of another one.
func plans(t *testing.T, d *database.Database) {
	t.Helper()
	q := d.Queries(postgresFile)
	conn, err := d.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // the pool's
	exec := func(statement string) {
		t.Helper()
		_, err := conn.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		exec(`set plan_cache_mode = ` + mode)
		for _, s := range postgresSteps {
			exec(`prepare explained as ` + q.Get(s.query))
			call := `execute explained`
			if s.pages != "" {
				call += map[string]string{"streams_page": `(200, 400)`, "appends_page": `(10000, 16666)`, "log_page": `(30000, 50000)`}[s.pages]
			}
			lines := explain(t, conn, call)
			exec(`deallocate explained`)
			plan := strings.Join(lines, "\n")
			require.Empty(t, scannedAgain(lines), "%s, %s\n%s", s.query, mode, plan)
			if s.query != "log_gaps" { // it reads the log from end to end
				require.NotRegexp(t, `Seq Scan on (events|streams|links|log)\b`, plan, "%s, %s", s.query, mode)
			}
			t.Logf("%s, %s\n%s", s.query, mode, plan)
		}
	}
}

// explain returns the plan of a statement.
func explain(t *testing.T, conn *sql.Conn, statement string) (lines []string) {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), `explain (costs off) `+statement)
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		lines = append(lines, line)
	}
	require.NoError(t, rows.Err())
	return lines
}

var (
	node     = regexp.MustCompile(`^( *)(?:->  )?(.*)`)
	seqScan  = regexp.MustCompile(`Seq Scan on (events|streams|links|log)\b`)
	rereader = regexp.MustCompile(`^Nested Loop`)
)

// scannedAgain returns the sequential scans of large tables on the inner sides of nested loops, and in what is run for each row.
func scannedAgain(plan []string) (bad []string) {
	type open struct {
		indent, children int
		loop, again      bool
	}
	var path []open
	for _, line := range plan {
		m := node.FindStringSubmatch(line)
		if !strings.Contains(line, "->") && line != plan[0] {
			if strings.HasPrefix(m[2], "SubPlan") && !strings.Contains(m[2], "hashed") {
				path = append(path, open{indent: len(m[1]), again: true})
			}
			continue
		}
		for len(path) > 0 && path[len(path)-1].indent >= len(m[1]) {
			path = path[:len(path)-1]
		}
		again := false
		if n := len(path); n > 0 {
			path[n-1].children++
			again = path[n-1].again || path[n-1].loop && path[n-1].children == 2
		}
		if again && seqScan.MatchString(m[2]) {
			bad = append(bad, m[2])
		}
		path = append(path, open{indent: len(m[1]), loop: rereader.MatchString(m[2]), again: again})
	}
	return bad
}

func TestScannedAgain(t *testing.T) {
	t.Parallel()
	require.Empty(t, scannedAgain(strings.Split(`Nested Loop Left Join
  ->  Seq Scan on events e
  ->  Index Scan using log_pkey on log l`, "\n")))
	require.Len(t, scannedAgain(strings.Split(`Sort
  ->  Nested Loop Left Join
        Join Filter: (a = b)
        ->  Index Scan using log_pkey on log l
        ->  Materialize
              ->  Seq Scan on events e`, "\n")), 1)
	require.Len(t, scannedAgain(strings.Split(`Index Scan using log_pkey on log l
  Filter: (NOT (SubPlan 1))
  SubPlan 1
    ->  Seq Scan on events e`, "\n")), 1)
}
