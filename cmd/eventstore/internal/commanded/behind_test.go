package commanded_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
)

// TestFollowBehind: a run says how far behind it is during the first copy, too, and has caught up although the source's last events are
// of a stream that is left out. These are counted once.
func TestFollowBehind(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
		require.NoError(t, then(from.Append(t.Context(), "a", ids(20)...), from.Append(t.Context(), "skipped", ids(2)...)))
		s := open(t.Context(), t, from, commanded.Options{Skip: []string{"skipped"}})
		defer func() { require.NoError(t, s.Close()) }()
		var said [][2]int64
		r, err := transfer.Follow(t.Context(), d, s, transfer.FollowOptions{Batch: 5, Behind: func(position, head int64) {
			said = append(said, [2]int64{position, head})
		}})
		require.NoError(t, err)
		for _, position := range []int64{0, 5, 10, 15, 20} {
			assert.Contains(t, said, [2]int64{position, 22})
		}
		assert.Equal(t, [2]int64{22, 22}, said[len(said)-1])
		assert.EqualValues(t, 2, r.LeftOut["events_skipped"], "though they are read twice")
	})
}
