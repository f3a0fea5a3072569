package stats_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
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

// want counts the types of all events by reading them.
func want(t *testing.T, es *store.Store) []stats.TypeSpan {
	t.Helper()
	byType := map[string]*stats.TypeSpan{}
	for e, err := range es.All(t.Context(), nil) {
		require.NoError(t, err)
		s := byType[e.Type]
		if s == nil {
			s = &stats.TypeSpan{Type: e.Type, First: e.Number, FirstAt: e.CreatedAt}
			byType[e.Type] = s
		}
		s.Events, s.Last, s.LastAt = s.Events+1, e.Number, e.CreatedAt
	}
	var list []stats.TypeSpan
	for _, s := range byType {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b stats.TypeSpan) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Type, b.Type))
	})
	return list
}

// TestTypes: counts, positions and times are those that a reader of all events finds, with appends of several sizes, links, a hard
// delete, and an append that was committed behind later ones.
func TestTypes(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := store.New(d.Backend, &store.Options{HardDelete: true})
		got, err := stats.Types(t.Context(), d)
		require.NoError(t, err)
		assert.Empty(t, got)
		add := func(es *store.Store, stream string, types ...string) {
			t.Helper()
			var events []store.Event
			for _, name := range types {
				events = append(events, store.Event{Type: name})
			}
			_, err := es.Append(t.Context(), stream, store.Any, events...)
			require.NoError(t, err)
		}
		for i := range 30 {
			add(es, fmt.Sprint("s", i%3), strings.Split("a b a c", " ")[:1+i%4]...)
		}
		add(es, "gone", "first", "a")
		tx, err := d.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		add(es.WithTx(tx), "late", "late", "a", "b")
		if d.Kind == database.PostgreSQL { // which lets others go on
			add(es, "s1", "between", "b")
			_, err = es.Head(t.Context())
			require.NoError(t, err)
		}
		require.NoError(t, tx.Commit())
		add(es, "s2", "last")
		page, err := es.Page(t.Context(), "s1", nil)
		require.NoError(t, err)
		_, err = es.Link(t.Context(), "links", store.Any, store.IDs(page...)...)
		require.NoError(t, err)
		require.NoError(t, es.Delete(t.Context(), "gone", store.Any, store.HardDelete))

		got, err = stats.Types(t.Context(), d)
		require.NoError(t, err)
		assert.Equal(t, want(t, es), got)

		names, err := stats.RecentTypes(t.Context(), d, 3)
		require.NoError(t, err)
		assert.Len(t, names, 3)
		names, err = stats.RecentTypes(t.Context(), d, 100)
		require.NoError(t, err)
		assert.Len(t, names, len(got))
		assert.True(t, slices.IsSorted(names))
	})
}
