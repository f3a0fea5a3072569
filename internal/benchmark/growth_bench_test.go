package benchmark

import (
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	upTo   = flag.Int("upto", 10_000, "how many events BenchmarkGrowth grows to, in steps of 10,000, 1,000,000 and 10,000,000")
	rounds = flag.Int("rounds", 1, "how often BenchmarkGrowth measures what has grown, its shapes in turns")
)

// grown is a shape with events.
type grown struct {
	shape string
	db    *sql.DB
	subject
}

// BenchmarkGrowth appends to and reads what has grown to a size: every event was an append of its own, in few streams or in
// many. First everything is read, then it is appended to. A reported disk-B/event is what tables and indexes take, and wal-B/event
// what an append writes to the server's log ahead.
func BenchmarkGrowth(b *testing.B) {
	for _, target := range targets(b) {
		if target.driver == "postgres" {
			continue // the database is the same for both drivers
		}
		for _, events := range []int{10_000, 1_000_000, 10_000_000} {
			for _, streams := range []int{10, 1_000_000} {
				if events > *upTo {
					continue
				}
				name := fmt.Sprintf("db=%s/driver=%s/events=%d/streams=%d", target.db, target.driver, events, streams)
				b.Run(name, func(b *testing.B) { growth(b, target, min(streams, events), events) })
			}
		}
	}
}

func growth(b *testing.B, t target, streams, events int) {
	list := make([]grown, 0, 2)
	for _, shape := range []string{"eventstore", "counter"} {
		s, db := subjectOn(b, t, shape)
		require.NoError(b, fill(b.Context(), db, t.dialect, shape, streams, events))
		g := grown{shape, db, s}
		g.settle(b, t.dialect)
		list = append(list, g)
	}
	each := func(round int, what string, run func(b *testing.B, g grown)) {
		for _, g := range list {
			b.Run(fmt.Sprintf("op=%s/round=%d/store=%s", what, round, g.shape), func(b *testing.B) { run(b, g) })
		}
	}
	each(0, "everything", func(b *testing.B, g grown) {
		g.readEverything(b, events)
		b.ReportMetric(float64(g.size(b, t.dialect))/float64(events), "disk-B/event")
	})
	for round := range *rounds {
		each(round, "tail", func(b *testing.B, g grown) {
			n := min(events, 100_000)
			for b.Loop() {
				read, _, err := g.readAll(b.Context(), int64(events-n))
				require.NoError(b, err)
				require.Equal(b, n, read)
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
		})
		each(round, "stream", func(b *testing.B, g grown) {
			n := 0
			for b.Loop() {
				read, err := g.readStream(b.Context(), streamOf(rand.IntN(streams)))
				require.NoError(b, err)
				n += read
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
	for round := range *rounds {
		for _, a := range []struct{ batch, writers int }{{1, 1}, {1, 32}, {100, 4}} {
			each(round, fmt.Sprintf("append,batch=%d,writers=%d", a.batch, a.writers), func(b *testing.B, g grown) {
				random := func(int, int64) string { return streamOf(rand.IntN(streams)) }
				appendTo(b, g, 2*a.writers, a.batch, a.writers, random) // connections and statements
				before := g.walBytes(b, t.dialect)
				b.ResetTimer()
				appendTo(b, g, b.N, a.batch, a.writers, random)
				n := float64(b.N * a.batch)
				b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
				if !t.dialect.micros {
					b.ReportMetric(float64(g.walBytes(b, t.dialect)-before)/n, "wal-B/event")
				}
			})
		}
	}
}

func streamOf(i int) string { return fmt.Sprintf("stream-%d", i) }

// readEverything reads all events once, and reports the most memory that was in use meanwhile.
func (g grown) readEverything(b *testing.B, events int) {
	for b.Loop() {
		var m runtime.MemStats
		most, n := uint64(0), 0
		look := func() {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		b.StopTimer()
		runtime.GC()
		b.StartTimer()
		if o, store := g.subject.(ours); store {
			n = o.readLooking(b, look)
		} else {
			var err error
			n, _, err = g.readAll(b.Context(), 0)
			require.NoError(b, err)
			look()
		}
		require.Equal(b, events, n)
		b.ReportMetric(float64(most)/(1<<20), "heap-MB")
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
}

// readLooking reads all events and looks around now and then.
func (o ours) readLooking(b *testing.B, look func()) (n int) {
	for _, err := range o.es.All(b.Context(), nil) {
		require.NoError(b, err)
		if n++; n%50_000 == 0 {
			look()
		}
	}
	look()
	return n
}

// settle brings the database to rest after a fill: what it would do by itself in time.
func (g grown) settle(b *testing.B, d dialect) {
	b.Helper()
	statements := []string{"vacuum (analyze)", "checkpoint"}
	if d.micros {
		statements = []string{"analyze", "pragma wal_checkpoint(truncate)"}
	}
	for _, s := range statements {
		_, err := g.db.ExecContext(b.Context(), s)
		require.NoError(b, err)
	}
}

// size returns how many bytes the database takes.
func (g grown) size(b *testing.B, d dialect) (n int64) {
	b.Helper()
	query := "select sum(pg_total_relation_size(c.oid)) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname in ('public', 'eventstore')"
	if d.micros {
		query = "select c.page_count * s.page_size from pragma_page_count as c, pragma_page_size as s"
	}
	require.NoError(b, g.db.QueryRowContext(b.Context(), query).Scan(&n))
	return n
}

// walBytes returns how many bytes the server has written to its log ahead.
func (g grown) walBytes(b *testing.B, d dialect) (n int64) {
	b.Helper()
	if !d.micros {
		require.NoError(b, g.db.QueryRowContext(b.Context(), "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&n))
	}
	return n
}
