package benchmark

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

const (
	backlog = 100_000 // events to catch up with
	history = 500_000 // the same where a rate is meant that lasts: what a subscription begins and ends with is little beside it
	kinds   = 100     // event types among them, in turns

	loadWriters = 8
)

// openStore returns a Store with the backlog, on a database of its own, and that database.
func openStore(b *testing.B, t target, events int) (*store.Store, *sql.DB) {
	b.Helper()
	return openStreams(b, t, events, 10)
}

// openStreams is openStore with the backlog in so many streams.
func openStreams(b *testing.B, t target, events, streams int) (*store.Store, *sql.DB) {
	b.Helper()
	db := t.open(b)
	backend := t.backend(db, false)
	require.NoError(b, migrate.Up(b.Context(), backend))
	es := store.New(backend, &store.Options{Serializer: asIs{}, MetadataSerializer: asIs{}})
	b.Cleanup(func() { require.NoError(b, es.Close()) })
	for from := 0; from < events; from += kinds {
		page := make([]store.Event, kinds)
		for i := range page {
			page[i] = store.Event{Type: kind(i), Data: rawJSON(data), Metadata: rawJSON(metadata)}
		}
		_, err := es.Append(b.Context(), fmt.Sprintf("stream-%d", from/kinds%streams), store.Any, page...)
		require.NoError(b, err)
	}
	_, err := es.Head(b.Context()) // every event has its position
	require.NoError(b, err)
	if t.db == "postgres" { // what the load left to do is done now, not beside what is measured first
		_, err := db.ExecContext(b.Context(), `vacuum analyze`)
		require.NoError(b, err)
	}
	return es, db
}

func kind(i int) string { return fmt.Sprintf("kind-%02d", i%kinds) }

// BenchmarkCatchUp lets a new subscription catch up with 500,000 events. An op is all of them, the checkpoint at the end
// included. Beside it stand a plain read of the same events, and loops that poll the baselines' tables and write their
// checkpoint once per page of 1,000. Between two ops stands a read as well: of-read is their rate as a part of its rate, so
// that a machine that is slow for a while is slow for both.
func BenchmarkCatchUp(b *testing.B) {
	for _, t := range targets(b) {
		b.Run(fmt.Sprintf("db=%s/driver=%s", t.db, t.driver), func(b *testing.B) {
			es, _ := openStore(b, t, history)
			rate := func(b *testing.B) { b.ReportMetric(float64(history*b.N)/b.Elapsed().Seconds(), "events/s") }
			b.Run("how=read/store=eventstore", func(b *testing.B) {
				_, _, err := ours{es}.readAll(b.Context(), 0) // as below
				require.NoError(b, err)
				b.ReportAllocs()
				for b.Loop() {
					n, _, err := ours{es}.readAll(b.Context(), 0)
					require.NoError(b, err)
					require.Equal(b, history, n)
				}
				rate(b)
			})
			n := 0
			for _, c := range []struct {
				name string
				opts store.SubscribeOptions
				want int
				open bool // the first event stays unacknowledged
			}{
				{name: "buffer=default", want: history},
				{name: "buffer=default/checkpoint=none", opts: store.SubscribeOptions{Transient: true}, want: history},
				{name: "buffer=1", opts: store.SubscribeOptions{BufferSize: 1}, want: history},
				{name: "buffer=1000", opts: store.SubscribeOptions{BufferSize: 1000}, want: history},
				{name: "buffer=1000/checkpoint=10000", opts: store.SubscribeOptions{BufferSize: 1000, CheckpointThreshold: 10_000}, want: history},
				{name: "buffer=1000/first=open", opts: store.SubscribeOptions{BufferSize: 1000, ConcurrencyLimit: 2}, want: history, open: true},
				{name: "buffer=1000/selector=50%", opts: store.SubscribeOptions{BufferSize: 1000, Selector: every(2)}, want: history / 2},
				{name: "buffer=1000/selector=99%", opts: store.SubscribeOptions{BufferSize: 1000, Selector: every(100)}, want: history / 100},
				{name: "buffer=1000/filter=50%", opts: store.SubscribeOptions{BufferSize: 1000, Filter: types(50)}, want: history / 2},
				{name: "buffer=1000/filter=99%", opts: store.SubscribeOptions{BufferSize: 1000, Filter: types(1)}, want: history / 100},
			} {
				b.Run("how=subscribe/"+c.name+"/store=eventstore", func(b *testing.B) {
					n++
					catchUp(b, es, fmt.Sprint("catch-up-", n), c.opts, c.want, c.open) // connections, statements, what the load left to do
					b.ReportAllocs()
					var read time.Duration
					for b.Loop() {
						b.StopTimer()
						begin := time.Now()
						_, _, err := ours{es}.readAll(b.Context(), 0)
						require.NoError(b, err)
						read += time.Since(begin)
						b.StartTimer()
						n++
						catchUp(b, es, fmt.Sprint("catch-up-", n), c.opts, c.want, c.open)
					}
					rate(b)
					b.ReportMetric(read.Seconds()/b.Elapsed().Seconds(), "of-read")
				})
			}
		})
		for _, shape := range shapes[1:] {
			b.Run(fmt.Sprintf("db=%s/driver=%s/how=poll/store=%s", t.db, t.driver, shape), func(b *testing.B) {
				s, db := newBaseline(b, t, shape)
				appendAll(b, s, history/100, 100, 1)
				_, err := db.ExecContext(b.Context(), `create table checkpoints (name text primary key, position bigint)`)
				require.NoError(b, err)
				n := 0
				for b.Loop() {
					n++
					poll(b, s, db, fmt.Sprint("poll-", n))
				}
				b.ReportMetric(float64(history*b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// every selects one event of n.
func every(n int64) func(store.Recorded) bool {
	return func(e store.Recorded) bool { return e.Number%n == 0 }
}

// types chooses n of the hundred types.
func types(n int) (f store.EventFilter) {
	for i := range n {
		f.Types = append(f.Types, kind(i))
	}
	return f
}

// catchUp subscribes, acknowledges so many events page by page, and closes.
func catchUp(b *testing.B, es *store.Store, name string, opts store.SubscribeOptions, want int, open bool) {
	b.Helper()
	if open {
		one := opts
		one.BufferSize = 1
		slow, err := es.Subscribe(b.Context(), store.All, name, &one)
		require.NoError(b, err)
		_, err = slow.Next(b.Context())
		require.NoError(b, err)
		want--
		defer slow.Close() //nolint:errcheck // what counts is the other
	}
	fast, err := es.Subscribe(b.Context(), store.All, name, &opts)
	require.NoError(b, err)
	for n := 0; n < want; {
		events, err := fast.Next(b.Context())
		require.NoError(b, err)
		require.NoError(b, fast.Ack(b.Context(), events...))
		n += len(events)
	}
	require.NoError(b, fast.Close())
}

// newBaseline is newSubject for a baseline, with its database.
func newBaseline(b *testing.B, t target, shape string) (s subject, db *sql.DB) {
	b.Helper()
	db = t.open(b)
	var err error
	if shape == "raw" {
		s, err = newRaw(b.Context(), db, t.dialect)
	} else {
		s, err = newCounter(b.Context(), db, t.dialect)
	}
	require.NoError(b, err)
	return s, db
}

// poll reads all pages of a baseline, and writes a checkpoint after each.
func poll(b *testing.B, s subject, db *sql.DB, name string) {
	b.Helper()
	_, err := db.ExecContext(b.Context(), `insert into checkpoints values ($1, 0)`, name)
	require.NoError(b, err)
	total := 0
	err = s.(poller).poll(b.Context(), func(n int, last int64) error {
		total += n
		_, err := db.ExecContext(b.Context(), `update checkpoints set position = $2 where name = $1`, name, last)
		return err
	})
	require.NoError(b, err)
	require.Equal(b, history, total)
}

// BenchmarkDelivery appends one event after the other and waits each time until its handler has it. An op is both. The
// append goes through the subscriber's own Store (notify=in-process), or through another with a pool of its own, which
// the subscriber hears of by LISTEN, or by polling. With load=2000 eight
// writers append to other streams, up to 2,000 events a second together.
func BenchmarkDelivery(b *testing.B) {
	for _, t := range targets(b) {
		for _, notify := range []string{"in-process", "listen", "polling"} {
			if notify == "listen" && t.db != "postgres" {
				continue
			}
			for _, load := range []int{0, 2000} {
				b.Run(fmt.Sprintf("db=%s/driver=%s/notify=%s/load=%d/store=eventstore", t.db, t.driver, notify, load), func(b *testing.B) {
					delivery(b, t, notify, load)
				})
			}
		}
	}
}

// openPair returns the subscriber's Store and the one that appends, on a new database.
func openPair(b *testing.B, t target, notify string) (subscribes, appends *store.Store) {
	b.Helper()
	url := t.create(b)
	open := func(notifier store.Notifier) *store.Store {
		backend := t.backend(t.pool(b, url), false)
		require.NoError(b, migrate.Up(b.Context(), backend))
		es := store.New(backend, &store.Options{Serializer: asIs{}, MetadataSerializer: asIs{}, Notifier: notifier})
		b.Cleanup(func() { require.NoError(b, es.Close()) })
		return es
	}
	switch notify {
	case "in-process":
		subscribes = open(nil)
		return subscribes, subscribes
	case "polling":
		return open(nil), open(nil)
	}
	listener := func() store.Notifier { return listen(b, t.driver, url) }
	return open(listener()), open(listener())
}

func delivery(b *testing.B, t target, notify string, load int) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	es, other := openPair(b, t, notify)
	sub, err := es.Subscribe(ctx, store.All, "delivery", &store.SubscribeOptions{Start: store.StartCurrent, WaitForLease: true})
	require.NoError(b, err)
	defer sub.Close() //nolint:errcheck // the benchmark is over
	got := make(chan struct{}, 1)
	wg.Go(func() {
		for e, err := range sub.Events(ctx) {
			if err != nil {
				return
			}
			if e.Type == "measured" {
				got <- struct{}{}
			}
		}
	})
	if load > 0 {
		for writer := range loadWriters {
			wg.Go(func() {
				tick := time.NewTicker(loadWriters * time.Second / time.Duration(load))
				defer tick.Stop()
				for n := 0; ; n++ {
					select {
					case <-tick.C:
					case <-ctx.Done():
						return
					}
					_ = ours{other}.append(ctx, fmt.Sprintf("load-%d-%d", writer, n%50), 1)
				}
			})
		}
	}
	times := make([]time.Duration, 0, b.N)
	for b.Loop() {
		start := time.Now()
		_, err := other.Append(ctx, "measured", store.Any, store.Event{Type: "measured", Data: rawJSON(data)})
		require.NoError(b, err)
		<-got
		times = append(times, time.Since(start))
	}
	b.ReportMetric(percentile(times, 50), "p50-ms")
	b.ReportMetric(percentile(times, 99), "p99-ms")
}

// BenchmarkLive appends 1,000 events, one after the other, and waits until each of n live subscriptions in the process
// has all of them. It reports how many calls of the backend were made to read, and to write checkpoints, per event.
func BenchmarkLive(b *testing.B) {
	for _, t := range targets(b) {
		for _, n := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("db=%s/driver=%s/subscriptions=%d/store=eventstore", t.db, t.driver, n), func(b *testing.B) {
				live(b, t, n)
			})
		}
	}
}

func live(b *testing.B, t target, n int) {
	b.Helper()
	const events = 1000
	backend := t.backend(t.open(b), false)
	require.NoError(b, migrate.Up(b.Context(), backend))
	calls := &counted{backend: backend}
	es := store.New(calls, &store.Options{Serializer: asIs{}, MetadataSerializer: asIs{}})
	defer func() { require.NoError(b, es.Close()) }()
	subs := make([]*store.Subscriber, n)
	for i := range subs {
		var err error
		subs[i], err = es.Subscribe(b.Context(), store.All, fmt.Sprint("live-", i), &store.SubscribeOptions{WaitForLease: true})
		require.NoError(b, err)
	}
	calls.reads.Store(0)
	calls.checkpoints.Store(0)
	for b.Loop() {
		var wg sync.WaitGroup
		for _, sub := range subs {
			wg.Go(func() {
				for got := 0; got < events; {
					page, err := sub.Next(b.Context())
					if err == nil {
						err = sub.Ack(b.Context(), page...)
					}
					if err != nil {
						b.Error(err)
						return
					}
					got += len(page)
				}
			})
		}
		for i := range events {
			require.NoError(b, ours{es}.append(b.Context(), fmt.Sprint("stream-", i%10), 1))
		}
		wg.Wait()
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(calls.reads.Load())/float64(events*b.N), "reads/event")
	b.ReportMetric(float64(calls.checkpoints.Load())/float64(events*b.N), "checkpoints/event")
}

// counted counts calls of a backend.
type counted struct {
	backend
	reads, checkpoints atomic.Int64
}

func (c *counted) ReadAll(ctx context.Context, r store.ReadRequest) (store.Part, error) {
	c.reads.Add(1)
	return c.backend.ReadAll(ctx, r)
}

func (c *counted) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
	c.reads.Add(1)
	return c.backend.ReadFiltered(ctx, r, f)
}

func (c *counted) Head(ctx context.Context) (int64, error) {
	c.reads.Add(1)
	return c.backend.Head(ctx)
}

func (c *counted) SaveCheckpoints(ctx context.Context, list []store.CheckpointRequest) (refused []error, err error) {
	if batcher, ok := c.backend.(store.CheckpointBatcher); ok {
		c.checkpoints.Add(1)
		return batcher.SaveCheckpoints(ctx, list)
	}
	for _, r := range list {
		if err := c.SaveCheckpoint(ctx, r); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (c *counted) SaveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	c.checkpoints.Add(1)
	return c.backend.SaveCheckpoint(ctx, r)
}
