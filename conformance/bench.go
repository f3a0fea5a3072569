package conformance

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// Bench measures a backend: appends of some sizes by some writers, each to streams of its own, and reads of a stream
// and of all events. Its benchmarks are called op=append/batch=10/writers=4 and so on, so that benchstat can compare
// by any of these. Each reports events/s.
func Bench(b *testing.B, h Harness) {
	for _, batch := range []int{1, 10, 100} {
		for _, writers := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("op=append/batch=%d/writers=%d", batch, writers), func(b *testing.B) { benchAppend(b, h, batch, writers) })
		}
	}
	b.Run("op=read/stream=1000", func(b *testing.B) { benchRead(b, h, "s0", 1000, 1000) })
	b.Run("op=read/all=10000/batch=1", func(b *testing.B) { benchRead(b, h, store.All, 10_000, 1) })
	b.Run("op=read/all=10000/batch=100", func(b *testing.B) { benchRead(b, h, store.All, 10_000, 100) })
}

// benchAppend makes b.N appends, shared among the writers.
func benchAppend(b *testing.B, h Harness, batch, writers int) {
	es := store.New(h.New(b), nil)
	ctx := b.Context()
	b.ReportAllocs()
	turns := make(chan struct{})
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			stream := fmt.Sprint("s", w)
			for range turns {
				if errs[w] == nil {
					_, errs[w] = es.Append(ctx, stream, store.Any, events(batch)...)
				}
			}
		})
	}
	n := 0
	for b.Loop() {
		turns <- struct{}{}
		n++
	}
	close(turns)
	wg.Wait() // at most one append of each writer ends after the clock has stopped
	for _, err := range errs {
		require.NoError(b, err)
	}
	rate(b, n*batch)
}

// benchRead reads total events, of a stream or of all, that were appended in batches.
func benchRead(b *testing.B, h Harness, stream string, total, batch int) {
	es := store.New(h.New(b), nil)
	ctx := b.Context()
	for i := range total / batch {
		_, err := es.Append(ctx, fmt.Sprint("s", i%10), store.Any, events(batch)...)
		require.NoError(b, err)
	}
	_, err := es.Head(ctx) // gives all events their positions
	require.NoError(b, err)
	b.ReportAllocs()
	read := 0
	for b.Loop() {
		for _, err := range es.Stream(ctx, stream, &store.ReadOptions{PageSize: h.PageSize}) {
			require.NoError(b, err)
			read++
		}
	}
	require.Zero(b, read%total, "every round reads all events")
	rate(b, read)
}

// rate reports how many events went by in a second.
func rate(b *testing.B, events int) {
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
