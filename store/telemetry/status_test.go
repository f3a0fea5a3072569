package telemetry_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/telemetry"
)

// TestStatus: how far a projection and a subscription have come is measured, and what is parked.
func TestStatus(t *testing.T) {
	t.Parallel()
	b := newBackplane(t)
	es := b.open(t)
	registration, err := telemetry.Status(es, b.opts)
	require.NoError(t, err)
	var last store.AppendResult
	for range 3 {
		last, err = es.Append(t.Context(), "order-1", store.Any, store.Event{Type: "happened", Data: 1})
		require.NoError(t, err)
	}
	sub, err := es.Subscribe(t.Context(), store.All, "mails", nil)
	require.NoError(t, err)
	defer sub.Close() //nolint:errcheck // it has nothing to write
	_, err = sub.Next(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- es.Project(ctx, "totals", func(_ context.Context, _ *sql.Tx, events []store.Recorded) error {
			if events[0].Number == 1 && len(events) == 1 {
				return nil
			}
			return errors.New("poison")
		}, &store.ProjectOptions{OnError: store.RetryThen(1, store.Park)})
	}()
	require.ErrorIs(t, es.WaitFor(t.Context(), "totals", last), store.ErrParked)

	var collected metricdata.ResourceMetrics
	require.NoError(t, b.reader.Collect(t.Context(), &collected))
	got, stalled := map[string]int64{}, map[string]bool{}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			gauge, ok := m.Data.(metricdata.Gauge[int64])
			if seconds, isSeconds := m.Data.(metricdata.Gauge[float64]); isSeconds {
				for _, point := range seconds.DataPoints {
					name, _ := point.Attributes.Value("messaging.destination.subscription.name")
					stalled[m.Name+" "+name.AsString()] = point.Value > 0
				}
			}
			if !ok {
				continue
			}
			for _, point := range gauge.DataPoints {
				name, _ := point.Attributes.Value("messaging.destination.subscription.name")
				got[m.Name+" "+name.AsString()] = point.Value
			}
		}
	}
	assert.Equal(t, map[string]int64{
		"eventstore.subscription.checkpoint mails": 0, "eventstore.subscription.lag mails": 3, "eventstore.subscription.held mails": 1,
		"eventstore.subscription.checkpoint totals": 3, "eventstore.subscription.lag totals": 0, "eventstore.subscription.held totals": 1,
		"eventstore.projection.parked totals": 2, "eventstore.subscription.parked mails": 0,
	}, got)
	assert.Equal(t, map[string]bool{
		"eventstore.subscription.stalled mails": true, "eventstore.subscription.stalled totals": false, "eventstore.projection.delay totals": false,
	}, stalled)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, registration.Unregister())
}
