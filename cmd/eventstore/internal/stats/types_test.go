package stats_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/stats"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestRecentTypes: the types come by name, each once, and no more of them than were asked for.
func TestRecentTypes(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		names, err := stats.RecentTypes(t.Context(), d, 3)
		require.NoError(t, err)
		assert.Empty(t, names)
		es := store.New(d.Backend, nil)
		for i := range 30 {
			var events []store.Event
			for _, name := range strings.Split("b a d c", " ")[:1+i%4] {
				events = append(events, store.Event{Type: name})
			}
			_, err := es.Append(t.Context(), fmt.Sprint("s", i%3), store.Any, events...)
			require.NoError(t, err)
		}
		names, err = stats.RecentTypes(t.Context(), d, 3)
		require.NoError(t, err)
		assert.Equal(t, []string{"a", "b", "c"}, names)
		names, err = stats.RecentTypes(t.Context(), d, 100)
		require.NoError(t, err)
		assert.Equal(t, []string{"a", "b", "c", "d"}, names)
	})
}
