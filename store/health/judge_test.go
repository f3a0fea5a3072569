package health_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/health"
)

// TestJudge: each limit is kept to exactly.
func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	reader := func(change func(i *store.SubscriptionInfo)) store.SubscriptionInfo {
		i := store.SubscriptionInfo{
			SubscriptionID: store.SubscriptionID{Stream: "a", Name: "r"}, Checkpoint: 7, Head: 10, Held: true, Owner: "web-1/ab",
			UpdatedAt: now.Add(-time.Hour), NextAt: now.Add(-30 * time.Second), ListedAt: now,
		}
		if change != nil {
			change(&i)
		}
		return i
	}
	for name, test := range map[string]struct {
		reader store.SubscriptionInfo
		limits health.Limits
		want   []string // of a subscription
	}{
		"moves":            {reader: reader(nil)},
		"stalled":          {reader: reader(nil), limits: health.Limits{Stalled: 30 * time.Second}, want: []string{"problem stalled"}},
		"not yet":          {reader: reader(nil), limits: health.Limits{Stalled: 31 * time.Second}},
		"by default":       {reader: reader(func(i *store.SubscriptionInfo) { i.NextAt = now.Add(-time.Minute) }), want: []string{"problem stalled"}},
		"at the end":       {reader: reader(func(i *store.SubscriptionInfo) { i.Checkpoint = 10 }), limits: health.Limits{Stalled: 1, Lag: 1, Delay: 1}},
		"lags":             {reader: reader(nil), limits: health.Limits{Lag: 2}, want: []string{"problem lag"}},
		"lags little":      {reader: reader(nil), limits: health.Limits{Lag: 3}},
		"late":             {reader: reader(nil), limits: health.Limits{Delay: 29 * time.Second}, want: []string{"problem lag"}},
		"in time":          {reader: reader(nil), limits: health.Limits{Delay: 30 * time.Second}},
		"lags and late":    {reader: reader(nil), limits: health.Limits{Lag: 1, Delay: 1}, want: []string{"problem lag"}},
		"idle":             {reader: reader(func(i *store.SubscriptionInfo) { i.Held = false }), want: []string{"warning idle"}},
		"idle for long":    {reader: reader(func(i *store.SubscriptionInfo) { i.Held = false }), limits: health.Limits{Stalled: 1}, want: []string{"warning idle"}},
		"idle little":      {reader: reader(func(i *store.SubscriptionInfo) { i.Held = false }), limits: health.Limits{Idle: 3}},
		"idle at the end":  {reader: reader(func(i *store.SubscriptionInfo) { i.Held, i.Checkpoint = false, 10 })},
		"failed":           {reader: reader(func(i *store.SubscriptionInfo) { i.LastError, i.LastErrorNumber = "boom", 8 }), want: []string{"warning error"}},
		"parked":           {reader: reader(func(i *store.SubscriptionInfo) { i.Parked = 2 }), want: []string{"warning parked"}},
		"parked as it may": {reader: reader(func(i *store.SubscriptionInfo) { i.Parked = 2 }), limits: health.Limits{Parked: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range health.Judge([]store.SubscriptionInfo{test.reader}, nil, test.limits) {
				got = append(got, fmt.Sprint(f.Level, " ", f.Kind))
				assert.Equal(t, []string{"a", "r", ""}, []string{f.Stream, f.Subscription, f.Projection})
				assert.Nil(t, f.Partition)
				assert.NotEmpty(t, f.What)
				assert.NotEmpty(t, f.Advice)
				assert.NotContains(t, f.What, "boom", "it stands in Error")
			}
			assert.Equal(t, test.want, got)

			part := store.PartitionInfo{Partition: 3, SubscriptionInfo: test.reader, Parked: test.reader.Parked}
			p := store.ProjectionInfo{Name: "p", Stream: "a", Partitions: []store.PartitionInfo{part}}
			if test.reader.Held {
				p.Members = 1
			}
			var ofProjection []string
			for _, f := range health.Judge(nil, []store.ProjectionInfo{p}, test.limits) {
				ofProjection = append(ofProjection, fmt.Sprint(f.Level, " ", f.Kind))
				assert.Equal(t, []string{"a", "", "p"}, []string{f.Stream, f.Subscription, f.Projection})
				whole := f.Kind == health.KindParked || f.Kind == health.KindIdle
				assert.Equal(t, whole, f.Partition == nil)
			}
			assert.Equal(t, test.want, ofProjection)
		})
	}
}

// TestReplaced: a projection that another has replaced is not missed.
func TestReplaced(t *testing.T) {
	t.Parallel()
	assert.Empty(t, health.Judge(nil, []store.ProjectionInfo{{Name: "p", ReplacedBy: "q"}}, health.Limits{}))
}

func TestLevels(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal([]health.Level{health.Good, health.Note, health.Warning, health.Problem})
	require.NoError(t, err)
	assert.JSONEq(t, `["ok","note","warning","problem"]`, string(text))
	assert.Equal(t, "Level(7)", health.Level(7).String())
	assert.Equal(t, health.Good, health.Worst(nil))
	assert.Equal(t, health.Problem, health.Worst([]health.Finding{{Level: health.Warning}, {Level: health.Problem}, {Level: health.Note}}))
}
