package page_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/internal/page"
	"github.com/eventstore-go/eventstore/store"
)

func TestAdd(t *testing.T) {
	t.Parallel()
	for _, most := range []int{0, 1, 15, 16, 17, 1000} { // more than most is no reason to fail
		var list []store.Recorded
		grown := 0
		for n := range most + 3 {
			before := cap(list)
			var e *store.Recorded
			list, e = page.Add(list, most)
			require.Zero(t, *e)
			e.Number = int64(n + 1)
			if cap(list) != before && n < most {
				grown++
			}
		}
		require.LessOrEqual(t, grown, 3)
		for i, e := range list {
			require.Equal(t, int64(i+1), e.Number)
		}
	}
}

// TestRecycle: what is made of a page that was recycled is as empty as what is new, and not much larger than asked for. Pages
// of about the same size are made of each other, whatever others are recycled in between.
func TestRecycle(t *testing.T) {
	full := func(n int) []store.Recorded {
		var list []store.Recorded
		for range n {
			var e *store.Recorded
			list, e = page.Add(list, n)
			*e = store.Recorded{Number: 1, Type: "t"}
		}
		return list
	}
	reused := 0
	for range 100 {
		old := full(1000)
		at := &old[0]
		page.Recycle(old[:10])
		page.Recycle(page.Make(500))
		made := page.Make(1001)
		if &made[0] == at {
			reused++
		}
		for _, e := range made[:cap(made)] {
			require.Zero(t, e)
		}
		page.Recycle(made)
		for _, n := range []int{1, 128, 129, 200, 256, 257, 4096, 4097} {
			require.Less(t, cap(full(n)), 2*n)
			require.Less(t, cap(page.Make(n)), 2*n)
			require.Len(t, page.Make(n), n)
		}
	}
	require.Positive(t, reused) // not always: the collector takes some, and the race detector has some dropped
}
