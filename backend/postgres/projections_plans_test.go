package postgres

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// TestProjectionPlans looks at the plans of projections' statements when 100,000 events are parked, most of them behind
// another one, and as many events are recorded.
func TestProjectionPlans(t *testing.T) {
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
	id := `'00000000-0000-0000-0000-000000000001'`
	for _, analyze := range []bool{false, true} {
		if !analyze {
			fill(exec, 1, 100_000)
			exec(`insert into /*schema.*/parked (reader, reader_stream, number, hash, version, attempts, failed, parked_at, event_id, key, stream, event_type, error)
				select 'p-' || i.n % 2, case when i.n % 4 < 2 then '' else '$all' end, i.n, i.n % 1000, i.n, 0, i.n <= 500, now(), md5(i.n::text)::uuid, 'k-' || i.n % 1000, 's', 't', ''
				from generate_series(1, 100000) as i (n)`)
			exec(`insert into /*schema.*/projections (generation, replay_until, changes, created_at, updated_at, partitions, by_stream, name, stream)
				select 1, 0, 0, now(), now(), 4, true, 'p-' || i.n, '$all' from generate_series(1, 100) as i (n)`)
		} else {
			exec(`vacuum analyze /*schema.*/parked`)
			exec(`vacuum analyze /*schema.*/projections`)
			exec(`vacuum analyze /*schema.*/events`)
			exec(`vacuum analyze /*schema.*/log`)
			exec(`analyze /*schema.*/streams`)
		}
		// The condition is part of what is wanted: an index whose first columns alone are of use reads all that a reader has parked. Without
		// statistics PostgreSQL takes that for a few events, and looks for a list of ids among them.
		byID, notByID := `Index Scan using parked_pkey on parked k\S*\n +Index Cond: .*reader = `, `parked_number_idx|Seq Scan on parked`
		if analyze {
			byID += `.*event_id = `
		}
		for _, s := range []struct{ name, args, want, not string }{
			{"unpark", `'p-1', '{00000000-0000-0000-0000-000000000001}'`, byID, notByID},
			{"release_parked", `'p-1', '{00000000-0000-0000-0000-000000000001}'`, byID, notByID},
			{"discard_parked", `'p-1', '{00000000-0000-0000-0000-000000000001}', '$all'`, byID, notByID},
			{"replay_parked", `'p-1', '{00000000-0000-0000-0000-000000000001}', '$all'`, byID, notByID},
			{"save_parked", `'p-1', '{1}', '{1}', '{1}', '{1}', '{true}', '{0}', '{00000000-0000-0000-0000-000000000001}', '{k}', '{s}', '{t}', '{e}', '$all', '{00000000-0000-0000-0000-000000000002}', 7, 0, false`,
				byID + `(?s:.*)` + byID, notByID},
			{"save_parked", `'p-1', '{1}', '{1}', '{1}', '{1}', '{true}', '{0}', '{00000000-0000-0000-0000-000000000001}', '{k}', '{s}', '{t}', '{e}', 's-7', '{}', 7, 7, true`,
				"events_event_id_key(?s:.*)streams_pkey", "Seq Scan on (events|streams)"},
			{"read_parked", `'p-1', 50000, ` + id + `, null, null, 1000, 90000, '$all'`,
				`parked_number_idx.*\n +Index Cond: .*\(number, event_id\) > .*number <= `, "Seq Scan on parked"},
			{"read_parked_ready", `'p-1', 0, 4, 1000, '', -1, ` + id + `, '{k-1,k-2}'`,
				`parked_number_idx.*\n +Index Cond: .*\(number, event_id\) > (?s:.*)parked_failed_idx on parked f\n +Index Cond: .*key = .*number < `, "Seq Scan on parked"},
			{"read_parked_ready", `'p-1', 0, 4, 1000, '', -1, ` + id + `, '{k-1,k-2}'`,
				"hashed SubPlan", "Nested Loop Left Join"},
			{"places", `'s-7', 3, 3`, "log_append_seq_key", "Seq Scan on events"},
			{"advance", `'$all', '$p/1/0', 1, 10, 0, 10, null, 0, '', 1, 1, 1`, "subscriptions_pkey", ""},
		} {
			plan := explain(t, conn, b, s.name, s.args)
			require.Regexp(t, s.want, plan, "%s, analyzed: %v\n%s", s.name, analyze, plan)
			if s.not != "" {
				require.NotRegexp(t, s.not, plan, "%s, analyzed: %v\n%s", s.name, analyze, plan)
			}
			t.Logf("%s, analyzed: %v\n%s", s.name, analyze, plan)
		}
	}
}
