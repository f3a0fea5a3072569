package benchmark

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// BenchmarkFilter reads 500,000 events with a filter. An op is the whole read; events/s are those that the database had to choose from. One
// event, in the middle, is of the type "rare". Each type of "kind" has one in a hundred events, and the prefix one in ten.
func BenchmarkFilter(b *testing.B) {
	for _, t := range targets(b) {
		b.Run(fmt.Sprintf("db=%s/driver=%s", t.db, t.driver), func(b *testing.B) {
			es, db := openStore(b, t, history/2)
			_, err := es.Append(b.Context(), "stream-0", store.Any, store.Event{Type: "rare", Data: rawJSON(data)})
			require.NoError(b, err)
			for from := 0; from < history/2; from += kinds {
				page := make([]store.Event, kinds)
				for i := range page {
					page[i] = store.Event{Type: kind(i), Data: rawJSON(data), Metadata: rawJSON(metadata)}
				}
				_, err := es.Append(b.Context(), fmt.Sprintf("stream-%d", from/kinds%10), store.Any, page...)
				require.NoError(b, err)
			}
			if t.db == "postgres" {
				_, err := db.ExecContext(b.Context(), `vacuum analyze`)
				require.NoError(b, err)
			}
			for _, indexed := range []bool{false, true} {
				if indexed {
					require.NoError(b, t.backend(db, false).IndexTypes(b.Context()))
				}
				for _, c := range []struct {
					name string
					opts store.ReadOptions
					want int
				}{
					{"types=rare", store.ReadOptions{Filter: store.EventFilter{Types: []string{"rare"}}}, 1},
					{"types=rare/backward=1", store.ReadOptions{Filter: store.EventFilter{Types: []string{"rare"}}, Backward: true, Limit: 1}, 1},
					{"types=1%", store.ReadOptions{Filter: store.EventFilter{Types: []string{kind(7)}}}, history / kinds},
					{"types=10%", store.ReadOptions{Filter: store.EventFilter{Types: []string{kind(0), kind(1), kind(2), kind(3), kind(4), kind(5), kind(6), kind(7), kind(8), kind(9)}}}, history / 10},
					{"prefix=10%", store.ReadOptions{Filter: store.EventFilter{StreamPrefix: "stream-7"}}, history / 10},
					{"prefix=none", store.ReadOptions{Filter: store.EventFilter{StreamPrefix: "none"}}, 0},
				} {
					b.Run(fmt.Sprintf("%s/index=%v", c.name, indexed), func(b *testing.B) {
						for b.Loop() {
							n := 0
							for _, err := range es.All(b.Context(), &c.opts) {
								require.NoError(b, err)
								n++
							}
							require.Equal(b, c.want, n)
						}
						b.ReportMetric(float64(history*b.N)/b.Elapsed().Seconds(), "events/s")
					})
				}
			}
			b.Run("types=list", func(b *testing.B) {
				for b.Loop() {
					list, err := es.Types(b.Context())
					require.NoError(b, err)
					require.Len(b, list, kinds+1)
				}
				b.ReportMetric(float64(history*b.N)/b.Elapsed().Seconds(), "events/s")
			})
		})
	}
}

// BenchmarkAppendTyped is BenchmarkAppend with an index of types and without.
func BenchmarkAppendTyped(b *testing.B) {
	for _, t := range targets(b) {
		for _, batch := range []int{1, 100} {
			for _, writers := range []int{1, 16} {
				for _, indexed := range []bool{false, true} {
					b.Run(fmt.Sprintf("db=%s/driver=%s/batch=%d/writers=%d/index=%v", t.db, t.driver, batch, writers, indexed), func(b *testing.B) {
						backend := t.backend(t.open(b), false)
						require.NoError(b, migrate.Up(b.Context(), backend))
						es := store.New(backend, &store.Options{Serializer: asIs{}, MetadataSerializer: asIs{}})
						b.Cleanup(func() { require.NoError(b, es.Close()) })
						if indexed {
							require.NoError(b, backend.IndexTypes(b.Context()))
						}
						s := manyTyped{ours{es}, new(atomic.Int64)}
						appendAll(b, s, 2*writers, batch, writers)
						b.ResetTimer()
						appendAll(b, s, b.N, batch, writers)
						b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
					})
				}
			}
		}
	}
}

// manyTyped appends events of a hundred types, in turns.
type manyTyped struct {
	ours
	next *atomic.Int64
}

func (m manyTyped) append(ctx context.Context, stream string, n int) error {
	events := make([]store.Event, n)
	for i := range events {
		events[i] = store.Event{Type: kind(int(m.next.Add(1))), Data: rawJSON(data), Metadata: rawJSON(metadata)}
	}
	_, err := m.es.Append(ctx, stream, store.Any, events...)
	return err
}
