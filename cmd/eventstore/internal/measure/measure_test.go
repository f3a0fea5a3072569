package measure_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/html"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/measure"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func open(t *testing.T, d *database.Database) *store.Store {
	t.Helper()
	es := store.New(d.Backend, nil)
	t.Cleanup(func() { require.NoError(t, es.Close()) })
	return es
}

func TestRun(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := open(t, d)
		var seen []measure.Step
		r, err := measure.Run(t.Context(), es, measure.Options{
			Writers: []int{1, 3}, Batch: []int{1, 10}, Events: 25, Streams: 4, Subscribers: 2, EventSize: 50, Backend: string(d.Kind), Server: "1.2",
		}, func(s measure.Step) { seen = append(seen, s) })
		require.NoError(t, err)
		assert.Equal(t, seen, r.Steps)

		type key struct {
			name           string
			writers, batch int
			events         int64
		}
		var got []key
		for _, s := range r.Steps {
			got = append(got, key{s.Name, s.Writers, s.Batch, s.Events})
			assert.Positive(t, s.Seconds)
			assert.InEpsilon(t, float64(s.Events)/s.Seconds, s.PerSecond, 1e-9)
			assert.LessOrEqual(t, s.P50, s.P95)
			assert.LessOrEqual(t, s.P95, s.P99)
		}
		assert.Equal(t, []key{
			{measure.Append, 1, 1, 25},
			{measure.Append, 3, 1, 25},
			{measure.Append, 1, 10, 30},
			{measure.Append, 3, 10, 30},
			{measure.ReadAll, 0, 0, 25},
			{measure.ReadStream, 0, 0, 25},
			{measure.CatchUp, 0, 0, 50},
			{measure.Delivery, 0, 0, 50},
			{measure.DeliveryAfterAppend, 0, 0, 50},
		}, got)
		n := 0
		for e, err := range es.All(t.Context(), nil) {
			require.NoError(t, err)
			assert.Len(t, e.Data, 50)
			n++
		}
		assert.Equal(t, 25+25+30+30+25, n)

		text, err := json.Marshal(r)
		require.NoError(t, err)
		assert.Contains(t, string(text), `"go_version":"go`)
		assert.Contains(t, string(text), `"per_second":`)
	})
}

// TestRunCancelled is not parallel: it looks for goroutines that are left.
func TestRunCancelled(t *testing.T) {
	for _, last := range []string{"", measure.Append, measure.ReadStream, measure.CatchUp} {
		t.Run("after="+last, func(t *testing.T) {
			d := databasetest.New(t, database.SQLite)
			before := goleak.IgnoreCurrent()
			es := store.New(d.Backend, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if last == "" {
				cancel()
			}
			r, err := measure.Run(ctx, es, measure.Options{Writers: []int{2}, Batch: []int{1}, Events: 20}, func(s measure.Step) {
				if s.Name == last {
					cancel()
				}
			})
			require.ErrorIs(t, err, context.Canceled)
			if last != "" {
				assert.Equal(t, last, r.Steps[len(r.Steps)-1].Name)
			}
			require.NoError(t, es.Close())
			goleak.VerifyNone(t, before)
		})
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []measure.Options{
		{Writers: []int{0}}, {Batch: []int{1, -1}}, {EventSize: 3}, {Streams: -1}, {Subscribers: -1}, {Duration: -1}, {Events: -1},
	} {
		_, err := measure.Run(t.Context(), nil, o, nil)
		require.ErrorIs(t, err, store.ErrInvalid)
	}
}

func TestHTML(t *testing.T) {
	const hostile = `<script>alert("&")</script>`
	r := measure.Report{Backend: hostile, Server: hostile, GoVersion: hostile, Steps: []measure.Step{
		{Name: measure.Append, Writers: 4, Batch: 100, Events: 5, Seconds: 1, PerSecond: 5, P50: 1, P95: 2, P99: 3},
		{Name: hostile, Events: 5, Seconds: 1, PerSecond: 7, P50: 1, P95: 2, P99: 3},
	}}
	var page bytes.Buffer
	require.NoError(t, r.HTML(&page))
	assert.NotContains(t, page.String(), "<script")
	assert.NotContains(t, page.String(), "://")
	assert.NotContains(t, page.String(), "&amp;lt;", "escaped twice")
	text := page.String()
	root, err := html.Parse(&page)
	require.NoError(t, err)
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			assert.NotContains(t, []string{"script", "link", "img", "iframe"}, n.Data)
			for _, a := range n.Attr {
				assert.NotContains(t, []string{"src", "href", "xlink:href"}, a.Key)
				assert.NotContains(t, a.Val, "ZgotmplZ", "a style that the template refuses")
			}
		}
	}
	assert.Contains(t, text, `name="viewport"`)

	require.NoError(t, measure.Report{}.HTML(&page), "without steps")
}

// TestHTMLWords: the page has words and units where the report has names and bare numbers, and each chart has an axis of its own.
func TestHTMLWords(t *testing.T) {
	r := measure.Report{Backend: "PostgreSQL", Server: "15.8", CPUs: 2, Subscribers: 1, EventSize: 300, Streams: 100, Steps: []measure.Step{
		{Name: measure.Append, Writers: 1, Batch: 1, Events: 1234, Seconds: 1, PerSecond: 1234, AppendsPerSecond: 1234, P50: 0.8123, P95: 1.5, P99: 12.345},
		{Name: measure.Append, Writers: 16, Batch: 1, Events: 2468, Seconds: 1, PerSecond: 2468, AppendsPerSecond: 2468, P50: 2, P95: 5, P99: 1500},
		{Name: measure.Append, Writers: 1, Batch: 100, Events: 80_000, Seconds: 1, PerSecond: 80_000, AppendsPerSecond: 800, P50: 2, P95: 5, P99: 30},
		{Name: measure.ReadAll, Events: 1_000_000, Seconds: 2, PerSecond: 500_000},
		{Name: measure.CatchUp, Events: 80_000, Seconds: 1, PerSecond: 80_000},
		{Name: measure.Delivery, Events: 90, Seconds: 1, PerSecond: 90, P50: 4, P95: 6, P99: 9},
	}}
	var page bytes.Buffer
	require.NoError(t, r.HTML(&page))
	for _, want := range []string{
		"<b>80,000</b>events/s appended<small>1 writer, 100 events per append</small>", "<b>500,000</b>events/s read", "<b>812 µs</b>to append an event",
		"<b>4 ms</b>to deliver an event",
		"<h3>Appends, one event each</h3>", "<h3>Appends of 100 events each</h3>", "<h3>Reads</h3>",
		`<span>1 writer</span><div class="track"><span style="width: 50%"></span></div><span class="value">1,234 events/s</span>`,
		`<span>16 writers</span><div class="track"><span style="width: 100%"></span></div><span class="value">2,468 events/s</span>`,
		`<span>Read all events, one reader</span><div class="track"><span style="width: 100%">`, "Catch up, 1 subscription",
		"812 µs · 1.5 ms · 12.3 ms", "2 ms · 5 ms · 1.5 s",
		`<u style="left: 0%">100 µs</u><u style="left: 20%">1 ms</u>`, `<u style="left: 100%">10 s</u>`,
	} {
		assert.Contains(t, page.String(), want)
	}
	assert.NotContains(t, page.String(), "Deliver, from the start of the append</span><div class=\"track\"", "a delivery has no rate")
}

func TestRunByTime(t *testing.T) {
	d := databasetest.New(t, database.SQLite)
	r, err := measure.Run(t.Context(), open(t, d), measure.Options{Duration: 1}, nil)
	require.NoError(t, err)
	assert.Len(t, r.Steps, 3*2+5)
	assert.Equal(t, 300, r.EventSize)
	var page bytes.Buffer
	require.NoError(t, r.HTML(&page))
}
