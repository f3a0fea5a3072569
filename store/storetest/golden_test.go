package storetest_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/storetest"
)

// shop records some events.
func shop(t *testing.T, s store.Serializer) *store.Store {
	t.Helper()
	es := storetest.Open(t, memory.New(), &store.Options{
		Serializer: s, NewID: storetest.IDs(), Now: storetest.Clock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), time.Second),
	})
	append := func(stream string, events ...store.Event) store.Recorded {
		res, err := es.Append(t.Context(), stream, store.Any, events...)
		require.NoError(t, err)
		page, err := es.Page(t.Context(), stream, &store.ReadOptions{From: res.Last})
		require.NoError(t, err)
		return page[0]
	}
	placed := append("order-1", store.Event{Data: Placed{"ada"}, Metadata: map[string]any{"user": "ada", "ip": "192.0.2.1"}})
	append("order-2", store.Event{Data: Placed{"bob"}})
	append("order-1", store.Event{Data: Paid{1200}, CausationID: placed.ID, CorrelationID: storetest.ID(99)},
		store.Event{Data: Paid{0}, CausationID: storetest.ID(98), CorrelationID: storetest.ID(99)})
	return es
}

const shopHistory = `#1 order-1@1 order.placed
  {"Customer":"ada"}
  metadata {"ip":"192.0.2.1","user":"ada"}
#2 order-2@1 order.placed
  {"Customer":"bob"}
#3 order-1@2 order.paid
  {"Cents":1200}
  caused by #1
  correlation id-1
#4 order-1@3 order.paid
  {"Cents":0}
  caused by id-2
  correlation id-1
`

func TestHistory(t *testing.T) {
	t.Parallel()
	es := shop(t, types())
	assert.Equal(t, shopHistory, storetest.History(t, es, store.All, nil))
	assert.Equal(t, "#1 order-2@1 order.placed\n  id 00000000-0000-7000-8000-000000000002\n  at 2026-03-01T12:00:01Z\n  {\"Customer\":\"bob\"}\n",
		storetest.History(t, es, "order-2", &storetest.HistoryOptions{IDs: true, Times: true}))
	assert.Empty(t, storetest.History(t, es, "order-9", nil))
}

// TestHistoryOfOtherFormats: what is not JSON is decoded first, or shown in hex.
func TestHistoryOfOtherFormats(t *testing.T) {
	t.Parallel()
	registry := serializer.NewTypes()
	serializer.Register[Placed](registry, "order.placed")
	serializer.Register[Paid](registry, "order.paid")
	assert.Equal(t, shopHistory, storetest.History(t, shop(t, serializer.New(msgpack.Format{}, &serializer.Options{Types: registry})), store.All, nil))

	es := storetest.New(t)
	_, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "long", Data: []string{
		"an event whose data are long is shown", "over several lines, so that", "a difference is one of a line <&>"}})
	require.NoError(t, err)
	assert.Equal(t, `#1 a@1 long
  [
    "an event whose data are long is shown",
    "over several lines, so that",
    "a difference is one of a line <&>"
  ]
`, storetest.History(t, es, "a", nil))
}

// TestGolden: a history is written when that is asked for, and compared otherwise.
// Not parallel: it sets flags.
func TestGolden(t *testing.T) {
	es := shop(t, types())
	file := filepath.Join(t.TempDir(), "testdata", "shop.golden")
	golden := func(tb testing.TB) { storetest.Golden(tb, es, store.All, file, nil) }
	assert.Equal(t, "storetest: "+file+" does not exist; run the test with -storetest.update to write it", failures(t, golden))

	require.NoError(t, flag.Set("storetest.update", "true"))
	assert.Empty(t, failures(t, golden))
	require.NoError(t, flag.Set("storetest.update", "false"))
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, shopHistory, string(written))
	assert.Empty(t, failures(t, golden))

	_, err = es.Append(t.Context(), "order-2", store.Any, store.Event{Data: Paid{5}})
	require.NoError(t, err)
	got := failures(t, golden)
	assert.Contains(t, got, "(- file, + store)")
	assert.Contains(t, got, "\n  + #5 order-2@2 order.paid\n  +   {\"Cents\":5}")
	assert.NotContains(t, got, "\n  - ")

	require.NoError(t, flag.Set("update", "true"), "a flag of the test package does, too")
	assert.Empty(t, failures(t, golden))
	require.NoError(t, flag.Set("update", "false"))
	assert.Empty(t, failures(t, golden))
}

var _ = flag.Bool("update", false, "write the golden files")
