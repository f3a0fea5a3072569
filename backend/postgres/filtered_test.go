package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// requireFiltered requires that filtered reads of all events find those of want, which is stream@version in the order
// of positions, whatever the page size. All are of the type "happened".
func requireFiltered(t *testing.T, b *Backend, want []string) {
	t.Helper()
	for _, f := range []store.EventFilter{
		{}, {Types: []string{"happened"}}, {Types: []string{"other"}}, {StreamPrefix: "b"}, {StreamPrefix: "late"}, {StreamPrefix: "c"},
		{Types: []string{"happened", "other"}, StreamPrefix: "big"},
	} {
		var chosen []string
		for i, origin := range want {
			if strings.HasPrefix(origin, f.StreamPrefix) && (len(f.Types) == 0 || f.Types[0] == "happened") {
				chosen = append(chosen, fmt.Sprint(i+1, " ", origin))
			}
		}
		for _, limit := range []int{1, 2, 3, 5, 100, 1000} {
			var got []string
			from := int64(1)
			for {
				page, next, err := b.ReadFiltered(t.Context(), store.ReadRequest{Stream: store.All, From: from, Limit: limit}, f)
				require.NoError(t, err)
				for _, e := range page {
					if !f.Matches(&e) {
						continue // at an end of the page
					}
					got = append(got, fmt.Sprint(e.Number, " ", e.Stream, "@", e.Version))
				}
				if next == from {
					break
				}
				from = next
			}
			require.EqualValues(t, len(want)+1, from)
			require.Equal(t, chosen, got, "%+v, pages of %d", f, limit)
		}
	}
}

// TestNextPart: what is looked at grows slowly where matches are rare, and never past what the page has room for where
// they are not.
func TestNextPart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		part, looked   int64
		matched, limit int
		want           int64
	}{
		{1, 1, 0, 1, 1},
		{1, 2, 0, 1, 2},
		{1000, 1000, 0, 1000, 10_000},
		{1000, 1000, 10, 1000, 10_000},
		{1000, 1000, 400, 1000, 1500},
		{10, 10, 4, 10, 15},
		{100_000, 1_000_000, 0, 100_000, 1_000_000},
	} {
		require.Equal(t, tc.want, nextPart(tc.part, tc.looked, tc.matched, tc.limit), "%+v", tc)
	}
}

// TestSmallFilteredPage: a page with room for one chosen event passes all those that the filter leaves out before it. The
// events at the ends of the parts that it looks at take no room.
func TestSmallFilteredPage(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	for range 3 {
		appendTo(t, b, "left out", 1000)
	}
	appendTo(t, b, "chosen", 2)
	for _, tc := range []struct {
		prefix  string
		numbers []int64
		next    int64
	}{
		{"chosen", []int64{1, 3001}, 3002}, {"none", []int64{1, 3002}, 3003},
	} {
		page, next, err := b.ReadFiltered(t.Context(), store.ReadRequest{Stream: store.All, From: 1, Limit: 2}, store.EventFilter{StreamPrefix: tc.prefix})
		require.NoError(t, err)
		var got []int64
		for _, e := range page {
			got = append(got, e.Number)
		}
		require.Equal(t, tc.numbers, got, tc.prefix)
		require.Equal(t, tc.next, next, tc.prefix)
	}
}

// TestFilteredRangeStaysInOrder: a filter that leaves nearly everything out does not make the server sort, or read more
// than the range. The plans are those of values that are known, as a driver that prepares nothing sends them.
func TestFilteredRangeStaysInOrder(t *testing.T) {
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
	exec(`set plan_cache_mode = force_custom_plan`)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			exec(`analyze /*schema.*/events`)
			exec(`analyze /*schema.*/streams`)
		} else {
			fill(exec, 1, 100_000)
		}
		for _, args := range []string{
			`50000, 0, 60000, 0, 10256, '{none}', null, 50000, 0, 60000, 0`, `50000, 0, 60000, 0, 10256, '{happened}', 's-7', 50000, 0, 60000, 0`, `50000, 0, 60000, 0, 10256, null, 'none', 50000, 0, 60000, 0`,
		} {
			plan := explain(t, conn, b, "read_events_filtered", args)
			require.Contains(t, plan, "Index Scan using events_pkey", "%s\n%s", args, plan)
			require.NotContains(t, plan, "Sort", "%s\n%s", args, plan)
			require.NotContains(t, plan, "Seq Scan", "%s\n%s", args, plan)
		}
	}
}
