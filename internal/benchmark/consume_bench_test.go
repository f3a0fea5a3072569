package benchmark

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// BenchmarkConsume lets handlers that do nothing consume 10,000 events from memory: what handing out costs. An op is all of them.
func BenchmarkConsume(b *testing.B) {
	const events = 10_000
	for _, c := range []struct{ handlers, keys int }{{1, 0}, {1, 100}, {4, 0}, {4, 1}, {4, 100}} {
		b.Run(fmt.Sprintf("handlers=%d/keys=%d/store=eventstore", c.handlers, c.keys), func(b *testing.B) {
			es := store.New(memory.New(), &store.Options{Serializer: asIs{}, MetadataSerializer: asIs{}})
			defer es.Close() //nolint:errcheck // the benchmark is over
			for from := 0; from < events; from += 1000 {
				page := make([]store.Event, 1000)
				for i := range page {
					page[i] = store.Event{Type: kind((from + i) % max(c.keys, 1)), Data: rawJSON(data)}
				}
				_, err := es.Append(b.Context(), "stream", store.Any, page...)
				require.NoError(b, err)
			}
			opts := &store.ConsumeOptions{Handlers: c.handlers}
			if c.keys > 0 {
				opts.PartitionBy = func(e store.Recorded) string { return e.Type }
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				ctx, cancel := context.WithCancel(b.Context())
				var handled atomic.Int64
				err := es.Consume(ctx, "stream", fmt.Sprint("consume-", n), func(context.Context, store.Recorded) error {
					if handled.Add(1) == events {
						cancel()
					}
					return nil
				}, opts)
				require.ErrorIs(b, err, context.Canceled)
			}
			b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
