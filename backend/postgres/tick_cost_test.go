package postgres

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// TestTickCost: a tick looks at as many pages of the tables however many events were placed before. With -v it shows the
// plans of its statements, with what they read; with -plans 10000000 also on so many events.
func TestTickCost(t *testing.T) {
	t.Parallel()
	none, plans := tickCost(t, 0)
	t.Logf("on no events: %d pages\n%s", none, plans)
	for _, events := range []int{10_000, 10_000_000} {
		if events > max(*plansUpTo, 10_000) {
			break
		}
		pages, plans := tickCost(t, events)
		t.Logf("on %d events: %d pages\n%s", events, pages, plans)
		require.LessOrEqual(t, pages, none+none/10, "a tick on %d events looks at more pages than on none", events)
	}
}

// tickCost returns how many pages a tick of 10,000 appends looks at where so many events were placed before, and its plans.
func tickCost(t *testing.T, events int) (pages int, plans string) {
	t.Helper()
	const pending = 10_000
	b := setup(t, pgtest.URL(t))
	exec := func(query string) {
		t.Helper()
		_, err := b.db.ExecContext(t.Context(), strings.NewReplacer(b.opts.replacements()...).Replace(query))
		require.NoError(t, err)
	}
	for _, table := range []string{"streams", "events", "log"} {
		exec(`alter table /*schema.*/` + table + ` set (autovacuum_enabled = off)`) // it makes index-only scans of others
	}
	fill(exec, 1, events)
	fillEvents(exec, events+1, events+pending)
	exec(`select setval('/*schema.*/append_seq', ` + itoa(events+pending) + `)`)
	nested := nestedPlans(t, pgtest.URL(t), b, `select /*schema.*/tick/*of*/(`+itoa(pending)+`, true, null)`,
		`set auto_explain.log_analyze = on`, `set auto_explain.log_buffers = on`)
	for _, plan := range nested {
		// The first line counts for the whole statement.
		if buffers := regexp.MustCompile(`Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?`).FindStringSubmatch(plan); buffers != nil {
			for _, n := range buffers[1:] {
				if n != "" {
					read, err := strconv.Atoi(n)
					require.NoError(t, err)
					pages += read
				}
			}
		}
	}
	require.Positive(t, pages)
	return pages, strings.Join(nested, "\n")
}
