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
