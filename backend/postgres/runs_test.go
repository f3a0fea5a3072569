package postgres

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// runs returns the rows of the log: position, first append, number of appends, and events in each.
func runs(t *testing.T, b *Backend) (list []string) {
	t.Helper()
	rows, err := b.db.QueryContext(t.Context(), `select format('%s: %s+%s of %s', position, append_seq, appends, n) from `+quote(b.opts.Schema)+`.log order by position`)
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	for rows.Next() {
		var row string
		require.NoError(t, rows.Scan(&row))
		list = append(list, row)
	}
	require.NoError(t, rows.Err())
	return list
}

// TestRuns: neighbours with as many events are one row of the log, also those that come late; a hole ends a run.
func TestRuns(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	for i, n := range []int{1, 1, 1, 3, 3, 1} {
		appendTo(t, b, fmt.Sprint("s-", i%2), n)
	}
	tick(t, b)
	require.Equal(t, []string{"1: 1+3 of 1", "4: 4+2 of 3", "10: 6+1 of 1"}, runs(t, b))
	first, second, third := begin(t, b), begin(t, b), begin(t, b)
	appendTo(t, b.WithTx(first), "first", 1)   // 7
	appendTo(t, b.WithTx(first), "first-2", 1) // 8
	appendTo(t, b.WithTx(second), "second", 1) // 9
	appendTo(t, b, "s-0", 1)                   // 10
	appendTo(t, b.WithTx(third), "third", 1)   // 11
	appendTo(t, b, "s-0", 1)                   // 12
	tick(t, b)
	require.Equal(t, []string{"11: 10+1 of 1", "12: 12+1 of 1"}, runs(t, b)[3:])
	appendTo(t, b.WithTx(second), "second", 1) // 13
	appendTo(t, b, "s-0", 1)                   // 14
	require.NoError(t, first.Commit())
	tick(t, b)
	require.Equal(t, []string{"13: 7+2 of 1", "15: 14+1 of 1"}, runs(t, b)[5:])
	require.NoError(t, second.Commit())
	require.NoError(t, third.Rollback())
	tick(t, b)
	require.Equal(t, []string{"16: 9+1 of 1", "17: 13+1 of 1"}, runs(t, b)[7:], "they were in two holes")
	noHoles(t, b)
}

// TestNeighboursInTwoHoles: neighbours that were found missing at different times are in two holes, and both are filled.
func TestNeighboursInTwoHoles(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "a", 1) // 1
	tx := begin(t, b)
	appendTo(t, b.WithTx(tx), "tx", 1)   // 2
	appendTo(t, b.WithTx(tx), "tx-2", 1) // 3
	appendTo(t, b, "a", 1)               // 4
	tick(t, b)
	_, err := b.db.ExecContext(t.Context(), strings.NewReplacer(b.opts.replacements()...).Replace(
		`update /*schema.*/holes set last_seq = 2; insert into /*schema.*/holes (first_seq, last_seq, fence) select 3, 3, fence from /*schema.*/holes`))
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	tick(t, b)
	require.Equal(t, []string{"1: 1+1 of 1", "2: 4+1 of 1", "3: 2+1 of 1", "4: 3+1 of 1"}, runs(t, b))
	require.Zero(t, holes(t, b), "both were filled")
}

// TestHardDeleteInARun: of a run, what is hard deleted is taken out; the rows that tell the head, and how far the tick has looked, stay.
func TestHardDeleteInARun(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	es := store.New(b, &store.Options{HardDelete: true})
	for _, stream := range []string{"a", "gone", "gone", "a", "gone", "a"} {
		appendTo(t, b, stream, 2)
	}
	tick(t, b)
	for range 3 {
		appendTo(t, b, "gone", 1)
	}
	tick(t, b)
	require.Equal(t, []string{"1: 1+6 of 2", "13: 7+3 of 1"}, runs(t, b))
	require.NoError(t, es.Delete(t.Context(), "gone", store.Any, store.HardDelete))
	require.Equal(t, []string{"1: 1+1 of 2", "7: 4+1 of 2", "11: 6+1 of 2", "13: 7+3 of 1"}, runs(t, b))
	appendTo(t, b, "a", 1)
	tick(t, b)
	require.Equal(t, "16: 10+1 of 1", runs(t, b)[4])
	for _, limit := range []int{1, 2, 3, 5, 100} {
		require.Equal(t, []int64{1, 2, 7, 8, 11, 12, 16}, positions(t, b, limit, false), "pages of %d", limit)
		require.Equal(t, []int64{16, 12, 11, 8, 7, 2, 1}, positions(t, b, limit, true), "pages of %d", limit)
	}
}

// TestHardDeletesSideBySide: hard deletes of streams that share rows of the log do not wait for each other, in whatever order they
// come to them.
func TestHardDeletesSideBySide(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	for _, stream := range []string{"a", "b", "z"} {
		appendTo(t, b, stream, 1)
	}
	tick(t, b)
	for _, stream := range []string{"c", "d", "z"} {
		appendTo(t, b, stream, 2)
	}
	tick(t, b)
	appendTo(t, b, "z", 3)
	tick(t, b)
	one, two := begin(t, b), begin(t, b)
	for _, step := range []struct {
		tx     *sql.Tx
		stream string
	}{{one, "a"}, {two, "c"}, {one, "d"}, {two, "b"}} {
		es := store.New(b.WithTx(step.tx), &store.Options{HardDelete: true})
		require.NoError(t, es.Delete(t.Context(), step.stream, store.Any, store.HardDelete), "%s", step.stream)
	}
	require.NoError(t, one.Commit())
	require.NoError(t, two.Commit())
	want := []int64{3, 8, 9, 10, 11, 12}
	require.Equal(t, want, positions(t, b, 1, false), "a place that stays in a run has no event")
	require.Equal(t, want, positions(t, b, 100, false))
}

// positions returns the positions of all events as they are read in pages.
func positions(t *testing.T, b *Backend, limit int, backward bool) (list []int64) {
	t.Helper()
	r := store.ReadRequest{From: 1, Limit: limit, Backward: backward}
	if backward {
		r.From = 1 << 62
	}
	for {
		part, err := b.ReadAll(t.Context(), r)
		require.NoError(t, err)
		for _, e := range part.Events {
			list = append(list, e.Number)
		}
		if len(part.Events) < limit {
			return list
		}
		if r.From = list[len(list)-1] + 1; backward {
			r.From -= 2
		}
	}
}

// TestRandomRuns: whatever is appended, committed late, rolled back and hard deleted, ticked in steps of any size, an event has one
// position for ever, by each way to ask for it, and each stream is in order.
func TestRandomRuns(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := setup(t, pgtest.URL(t))
	es := store.New(b, &store.Options{HardDelete: true})
	known := map[uuid.UUID]int64{}
	var open []*sql.Tx
	for step := range 300 {
		switch k := random.IntN(12); {
		case k < 6:
			appendTo(t, b, fmt.Sprint("s-", random.IntN(5)), 1+random.IntN(12)/9*2)
		case k < 8 && len(open) < 4:
			tx := begin(t, b)
			for range 1 + random.IntN(3) {
				appendTo(t, b.WithTx(tx), fmt.Sprint("tx-", step), 1)
			}
			open = append(open, tx)
		case k < 10 && len(open) > 0:
			n := random.IntN(len(open))
			if random.IntN(3) == 0 {
				require.NoError(t, open[n].Rollback())
			} else {
				require.NoError(t, open[n].Commit())
			}
			open = slices.Delete(open, n, n+1)
		case k == 10 && random.IntN(3) == 0:
			if err := es.Delete(t.Context(), fmt.Sprint("s-", random.IntN(5)), store.Any, store.HardDelete); err != nil {
				require.ErrorIs(t, err, store.ErrStreamNotFound)
			}
		default:
			_, err := b.db.ExecContext(t.Context(), b.queries.Get("tick"), 1+random.IntN(10), true, nil)
			require.NoError(t, err)
		}
		if step%30 == 29 {
			checkPlaces(t, b, known)
		}
	}
	for _, tx := range open {
		require.NoError(t, tx.Commit())
	}
	_, err := b.Tick(t.Context())
	require.NoError(t, err)
	checkPlaces(t, b, known)
	require.EqualValues(t, number(t, b, `select count(*) from /*schema.*/events`), len(positions(t, b, 1000, false)))
	noHoles(t, b)
}

// checkPlaces checks what is placed against what was known.
func checkPlaces(t *testing.T, b *Backend, known map[uuid.UUID]int64) {
	t.Helper()
	part, err := b.ReadAll(t.Context(), store.ReadRequest{From: 1, Limit: 100_000})
	require.NoError(t, err)
	versions := map[string]int64{}
	last := int64(0)
	var want []int64
	for _, e := range part.Events {
		require.Greater(t, e.Number, last)
		last = e.Number
		require.Greater(t, e.Version, versions[e.Stream], "%s", e.Stream)
		versions[e.Stream] = e.Version
		if at, ok := known[e.ID]; ok {
			require.Equal(t, at, e.Number)
		}
		known[e.ID] = e.Number
		want = append(want, e.Number)
		var there string
		query := strings.NewReplacer(b.opts.replacements()...).Replace(`select /*schema.*/event_at/*of*/('$all', 0, $1)::text`)
		require.NoError(t, b.db.QueryRowContext(t.Context(), query, e.Number).Scan(&there))
		require.Equal(t, e.ID.String(), there)
	}
	for _, limit := range []int{3, 7} {
		require.Equal(t, want, positions(t, b, limit, false))
		back := positions(t, b, limit, true)
		slices.Reverse(back)
		require.Equal(t, want, back)
	}
	for stream, version := range versions {
		places, err := b.Places(t.Context(), stream, 1, version)
		require.NoError(t, err)
		var got, of []int64
		for _, p := range places {
			got = append(got, p.Position)
		}
		for _, e := range part.Events {
			if e.Stream == stream {
				of = append(of, e.Number)
			}
		}
		require.Equal(t, of, got, "%s", stream)
	}
}
