package benchmark

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

const (
	followWriters = 32
	followStreams = 10 // of each writer
)

// BenchmarkFollow appends single events with 32 writers, alone, and beside a subscriber that gets them all. An op is one append; it
// is over when the last event was delivered. It reports the rate of the appends, the rate at which they were delivered,
// and how long it took from an append's return until the subscriber had the event. Run it for 50,000 appends and more.
func BenchmarkFollow(b *testing.B) {
	for _, t := range targets(b) {
		for _, how := range []string{"alone", "followed"} {
			b.Run(fmt.Sprintf("db=%s/driver=%s/how=%s/store=eventstore", t.db, t.driver, how), func(b *testing.B) {
				es, _ := openStore(b, t, kinds)
				follow(b, es, how == "followed")
			})
		}
	}
}

// passage is when an event was there: nanoseconds since the benchmark began, 0 for not yet.
type passage struct{ appended, delivered atomic.Int64 }

func follow(b *testing.B, es *store.Store, followed bool) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	f := &follower{begin: time.Now(), all: make(chan struct{}), left: int64(b.N)}
	for i := range f.events {
		f.events[i] = make([]passage, b.N/len(f.events)*2+100)
	}
	appendAll(b, ours{es}, 2*followWriters, 1, followWriters) // connections and statements
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if followed {
		sub, err := es.Subscribe(ctx, store.All, "follower", &store.SubscribeOptions{Start: store.StartCurrent, WaitForLease: true})
		require.NoError(b, err)
		defer sub.Close() //nolint:errcheck // the benchmark is over
		wg.Go(func() { f.take(ctx, sub) })
	}
	b.ReportAllocs()
	b.ResetTimer()
	f.begin = time.Now()
	f.append(b, es, b.N)
	b.ReportMetric(float64(b.N)/time.Since(f.begin).Seconds(), "appends/s")
	if followed {
		<-f.all
		b.ReportMetric(float64(b.N)/time.Since(f.begin).Seconds(), "delivered/s")
		times := f.times()
		b.ReportMetric(percentile(times, 50), "p50-ms")
		b.ReportMetric(percentile(times, 99), "p99-ms")
	}
}

// follower notes when events were appended and delivered.
type follower struct {
	begin  time.Time
	events [followWriters * followStreams][]passage // by stream and version
	left   int64
	all    chan struct{} // closed when none is left
}

// append makes n appends. The follower must have begun.
func (f *follower) append(b *testing.B, es *store.Store, n int) {
	b.Helper()
	event := store.Event{Type: "followed", Data: rawJSON(data), Metadata: rawJSON(metadata)}
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range followWriters {
		wg.Go(func() {
			for i := 0; next.Add(1) <= int64(n); i++ {
				at := w*followStreams + i%followStreams
				res, err := es.Append(b.Context(), followed(at), store.Any, event)
				if err != nil {
					b.Error(err)
					return
				}
				if version := int(res.Last); version < len(f.events[at]) {
					f.events[at][version].appended.Store(int64(time.Since(f.begin)))
				}
			}
		})
	}
	wg.Wait()
}

// followed is the name of a stream: three digits, so that the follower reads it at once.
func followed(n int) string { return fmt.Sprintf("followed-%03d", n) }

// take takes the events that are appended until all were delivered.
func (f *follower) take(ctx context.Context, sub *store.Subscriber) {
	const digits = len("followed-")
	for e, err := range sub.Events(ctx) {
		if err != nil {
			return
		}
		if e.Type != "followed" {
			continue
		}
		at := int(e.Stream[digits]-'0')*100 + int(e.Stream[digits+1]-'0')*10 + int(e.Stream[digits+2]-'0')
		if int(e.Version) < len(f.events[at]) {
			f.events[at][e.Version].delivered.Store(int64(time.Since(f.begin)))
		}
		if f.left--; f.left == 0 {
			close(f.all)
			return
		}
	}
}

// times returns how long events took from the append's return on: 0 for those that were faster.
func (f *follower) times() (list []time.Duration) {
	for _, stream := range f.events {
		for i := range stream {
			if at := stream[i].delivered.Load(); at > 0 {
				list = append(list, time.Duration(max(0, at-stream[i].appended.Load())))
			}
		}
	}
	return list
}

// BenchmarkFirstRead appends events with 32 writers, and then reads those that came since the last read. An op is one event read; the
// appends are not counted, but all that is left to do about them is: in PostgreSQL the store gives them their positions.
func BenchmarkFirstRead(b *testing.B) {
	for _, batch := range []int{1, 100} {
		each(b, fmt.Sprintf("batch=%d/", batch), func(b *testing.B, s subject) {
			appendAll(b, s, 2*followWriters, batch, followWriters)
			_, last, err := s.readAll(b.Context(), 0)
			require.NoError(b, err)
			appendAll(b, s, max(b.N/batch, 1), batch, followWriters)
			b.ResetTimer()
			n, _, err := s.readAll(b.Context(), last)
			require.NoError(b, err)
			require.Equal(b, max(b.N/batch, 1)*batch, n)
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkTick gives positions to a backlog of appends by 32 writers. An op is one event.
func BenchmarkTick(b *testing.B) {
	for _, t := range targets(b) {
		for _, batch := range []int{1, 100} {
			b.Run(fmt.Sprintf("db=%s/driver=%s/batch=%d/store=eventstore", t.db, t.driver, batch), func(b *testing.B) {
				db := t.open(b)
				backend := t.backend(db, false)
				ticker, ok := backend.(store.Ticker)
				if !ok {
					b.Skip("excused: positions are given by the appends")
				}
				s, err := subjectOver(b, backend)
				require.NoError(b, err)
				appendAll(b, s, 2*followWriters, batch, followWriters)
				_, err = ticker.Tick(b.Context())
				require.NoError(b, err)
				appendAll(b, s, max(b.N/batch, 1), batch, followWriters)
				b.ResetTimer()
				placed, err := ticker.Tick(b.Context())
				require.NoError(b, err)
				require.EqualValues(b, max(b.N/batch, 1), placed)
				b.ReportMetric(float64(int(placed)*batch)/b.Elapsed().Seconds(), "positions/s")
			})
		}
	}
}
