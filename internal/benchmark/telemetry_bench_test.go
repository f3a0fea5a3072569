package benchmark

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/telemetry"
)

// nowhere is where spans go: what a program sends and where to is not what is measured.
type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []trace.ReadOnlySpan) error { return nil }
func (nowhere) Shutdown(context.Context) error                          { return nil }

// observers are none, one whose spans are not sampled, and one whose spans all are.
func observers(b *testing.B) map[string]store.Observer {
	b.Helper()
	with := func(sampler trace.Sampler) store.Observer {
		traces := trace.NewTracerProvider(trace.WithBatcher(nowhere{}), trace.WithSampler(sampler))
		meters := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
		b.Cleanup(func() {
			ctx := context.WithoutCancel(b.Context())
			require.NoError(b, traces.Shutdown(ctx))
			require.NoError(b, meters.Shutdown(ctx))
		})
		return telemetry.New(&telemetry.Options{TracerProvider: traces, MeterProvider: meters, Propagator: propagation.TraceContext{}})
	}
	return map[string]store.Observer{"off": nil, "unsampled": with(trace.NeverSample()), "on": with(trace.AlwaysSample())}
}

// BenchmarkTelemetry appends, and consumes 100,000 events, without telemetry, with metrics and spans that are not sampled,
// and with spans that are. An op is an append, or all events and the checkpoint at the end.
func BenchmarkTelemetry(b *testing.B) {
	list := observers(b)
	for _, t := range targets(b) {
		db := t.open(b)
		backend := t.backend(db, false)
		require.NoError(b, migrate.Up(b.Context(), backend))
		stores := map[string]*store.Store{}
		for name, o := range list {
			stores[name] = store.New(backend, &store.Options{Serializer: asIs{}, MetadataSerializer: asIs{}, Observer: o})
		}
		b.Cleanup(func() {
			for _, es := range stores {
				require.NoError(b, es.Close())
			}
		})
		appendAll(b, ours{stores["on"]}, backlog/100, 100, 1) // events that carry a trace context
		_, err := stores["on"].Head(b.Context())
		require.NoError(b, err)
		run := 0
		each := func(op string, events func(b *testing.B, es *store.Store) int) {
			for _, name := range []string{"off", "unsampled", "on"} {
				b.Run(fmt.Sprintf("db=%s/driver=%s/%s/telemetry=%s", t.db, t.driver, op, name), func(b *testing.B) {
					b.ReportAllocs()
					n := 0
					for b.Loop() {
						n += events(b, stores[name])
					}
					b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
				})
			}
		}
		each("op=consume", func(b *testing.B, es *store.Store) int {
			run++
			consume(b, es, fmt.Sprint("telemetry-", run), backlog)
			return backlog
		})
		for _, batch := range []int{1, 100} {
			each(fmt.Sprintf("op=append/batch=%d", batch), func(b *testing.B, es *store.Store) int {
				run++
				require.NoError(b, ours{es}.append(b.Context(), fmt.Sprintf("stream-0-%d", run%10), batch))
				return batch
			})
		}
	}
}

// consume handles so many events.
func consume(b *testing.B, es *store.Store, name string, events int) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	err := es.Consume(ctx, store.All, name, func(_ context.Context, e store.Recorded) error {
		if e.Number == int64(events) {
			cancel()
		}
		return nil
	}, nil)
	require.ErrorIs(b, err, context.Canceled)
}
