package postgres

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWants: of runs, exactly the events at the positions from first to last are wanted, and there is room for no more than those.
func TestWants(t *testing.T) {
	t.Parallel()
	runs := []logged{{position: 1, seq: 1, n: 1, appends: 5}, {position: 6, seq: 20, n: 3, appends: 4}, {position: 18, seq: 9, n: 1, appends: 1}}
	var at []string // what is at each position
	for _, r := range runs {
		for i := range r.n * r.appends {
			at = append(at, fmt.Sprintf("%d.%d", r.seq+i/r.n, i%r.n))
		}
	}
	for first := int64(0); first <= 20; first++ {
		for last := first - 1; last <= 20; last++ {
			list := wantsOf(runs, first, last)
			room := cap(list)
			for _, r := range runs {
				list = r.wants(list, first, last)
			}
			require.Len(t, list, room, "from %d to %d", first, last)
			want := []string{}
			for p := max(first, 1); p <= min(last, int64(len(at))); p++ {
				want = append(want, at[p-1])
			}
			got := []string{}
			for _, w := range list {
				for idx := w.lo; idx <= w.hi; idx++ {
					got = append(got, fmt.Sprintf("%d.%d", w.seq, idx))
				}
			}
			require.Equal(t, want, got, "from %d to %d", first, last)
		}
	}
}
