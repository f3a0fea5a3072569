package postgres

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// TestOutliersAreLookedUpAlone: an append that committed late stands among numbers far from its own, and must not widen
// the range that is read.
func TestOutliersAreLookedUpAlone(t *testing.T) {
	t.Parallel()
	wants := []want{{seq: 7}, {seq: 5_000_000, hi: 9}, {seq: 5_000_001}, {seq: 5_000_001 + maxStride}, {seq: 9_000_000}}
	order := []int{0, 1, 2, 3, 4}
	var ranges [][2]int
	for len(order) > 0 {
		n, events := stretch(wants, order)
		ranges = append(ranges, [2]int{n, events})
		order = order[n:]
	}
	require.Equal(t, [][2]int{{1, 1}, {3, 12}, {1, 1}}, ranges)
}

// TestLateAndForeignNumbers reads pages whose ranges hold appends that have their places elsewhere, and more of them
// than a range has room for.
func TestLateAndForeignNumbers(t *testing.T) {
	t.Parallel()
	t.Run("more than there is room for", func(t *testing.T) { lateAndForeign(t, 3*slack, 1) })
	t.Run("cut off inside an append", func(t *testing.T) { lateAndForeign(t, slack+1, 5) })
}

func lateAndForeign(t *testing.T, foreign, wanted int) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	late, big := begin(t, b), begin(t, b)
	appendTo(t, b, "a", 1)
	appendTo(t, b.WithTx(late), "late", 1)
	appendTo(t, b, "b", 1)
	appendTo(t, b.WithTx(big), "big", foreign)
	appendTo(t, b, "c", wanted)
	_, err := b.Tick(t.Context())
	require.NoError(t, err)
	require.NoError(t, big.Commit())
	_, err = b.Tick(t.Context())
	require.NoError(t, err)
	require.NoError(t, late.Commit())
	appendTo(t, b, "d", 1)

	want := []string{"a@1", "b@1"}
	for i := range wanted {
		want = append(want, fmt.Sprint("c@", i+1))
	}
	for i := range foreign {
		want = append(want, fmt.Sprint("big@", i+1))
	}
	want = append(want, "late@1", "d@1")
	es := store.New(b, nil)
	for _, size := range []int{1, 2, 3, 5, 100, 1000} {
		for _, backward := range []bool{false, true} {
			var got []string
			for e, err := range es.All(t.Context(), &store.ReadOptions{PageSize: size, Backward: backward}) {
				require.NoError(t, err)
				at := int64(len(got) + 1)
				if backward {
					at = int64(len(want) - len(got))
				}
				require.Equal(t, at, e.Number)
				require.Equal(t, want[at-1], fmt.Sprint(e.Stream, "@", e.Version))
				got = append(got, e.Stream)
			}
			require.Len(t, got, len(want))
		}
	}
	requireFiltered(t, b, want)
}

// TestNamesOfTablesMadeAnew: ids of streams start again with the tables, and a name that was cached must not.
func TestNamesOfTablesMadeAnew(t *testing.T) {
	t.Parallel()
	b := New(pgtest.Open(t, "pgx", pgtest.URL(t)), &Options{Schema: pgtest.Schema(t)})
	for _, stream := range []string{"a", "b"} {
		require.NoError(t, migrate.Up(t.Context(), b))
		appendTo(t, b, stream, 1)
		require.Equal(t, []string{stream + "@1"}, all(t, b))
		require.NoError(t, migrate.Down(t.Context(), b, latest))
	}
	require.NoError(t, b.Close())
}
