package benchmark

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// shapes are what is compared, in the order in which they run beside each other.
var shapes = []string{"eventstore", "raw", "counter"}

// target is a kind of database that subjects are measured on. Each subject has an empty one.
type target struct {
	db, driver string
	dialect    dialect
	// create creates a database and returns its URL.
	create func(b *testing.B) (url string)
	// connect opens it.
	connect func(b *testing.B, url string) *sql.DB
	// backend is the store's backend on it, with group commit or without.
	backend func(db *sql.DB, alone bool) backend
}

type backend interface {
	store.Storage
	store.SubscriptionStorage
	migrate.Backend
	IndexTypes(ctx context.Context) error
}

const connections = 40 // more than the writers there are

// targets are PostgreSQL with fsync and without anything else that a server's defaults do not have, and SQLite.
func targets(b *testing.B) []target {
	server := sync.OnceValue(func() *pgtest.Server {
		s := pgtest.StartServer(b, "fsync=on", "shared_buffers=512MB", "max_wal_size=8GB")
		warmUp(b, s)
		return s
	})
	n := 0
	list := make([]target, 0, 3)
	for _, driver := range pgtest.Drivers() {
		list = append(list, target{
			db: "postgres", driver: driver, dialect: postgresDialect,
			create: func(b *testing.B) string {
				n++
				name := fmt.Sprint("bench", n)
				admin := pgtest.Open(b, "pgx", server().URL())
				_, err := admin.ExecContext(b.Context(), "create database "+name)
				require.NoError(b, err)
				b.Cleanup(func() {
					_, err := admin.ExecContext(context.WithoutCancel(b.Context()), "drop database "+name+" with (force)")
					require.NoError(b, err)
				})
				return server().DatabaseURL(name)
			},
			connect: func(b *testing.B, url string) *sql.DB { return pgtest.Open(b, driver, url) },
			backend: func(db *sql.DB, alone bool) backend {
				return postgres.New(db, &postgres.Options{NoGroupCommit: alone})
			},
		})
	}
	return append(list, target{
		db: "sqlite", driver: "modernc", dialect: sqliteDialect,
		create: func(b *testing.B) string { return sqlite.DSN(filepath.Join(b.TempDir(), "bench.db")) },
		connect: func(b *testing.B, url string) *sql.DB {
			db, err := sql.Open("sqlite", url)
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, db.Close()) })
			return db
		},
		backend: func(db *sql.DB, alone bool) backend {
			return sqlite.New(db, &sqlite.Options{NoGroupCommit: alone})
		},
	})
}

// open creates a database and opens it.
func (t target) open(b *testing.B) *sql.DB {
	b.Helper()
	return t.pool(b, t.create(b))
}

// pool opens a database.
func (t target) pool(b *testing.B, url string) *sql.DB {
	b.Helper()
	db := t.connect(b, url)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// warmUp keeps a fresh server busy for a while: the first to be measured would pay for what all find done.
func warmUp(b *testing.B, s *pgtest.Server) {
	b.Helper()
	db := pgtest.Open(b, "pgx", s.URL())
	r, err := newRaw(b.Context(), db, postgresDialect)
	require.NoError(b, err)
	appendAll(b, r, 5_000, 1, 1)
	_, err = db.ExecContext(b.Context(), "drop table raw_events")
	require.NoError(b, err)
}

// Shapes that some benchmarks have besides.
const (
	alone  = "alone" // the store without group commit
	copies = "copy"  // COPY into the store's table of events
)

// each runs a benchmark for every target and shape.
func each(b *testing.B, name string, run func(b *testing.B, s subject), more ...string) {
	for _, target := range targets(b) {
		for _, shape := range slices.Concat(shapes, more) {
			if shape == copies && target.driver != "pgx" {
				continue // others have none, or a way of their own
			}
			b.Run(fmt.Sprintf("db=%s/driver=%s/%sstore=%s", target.db, target.driver, name, shape), func(b *testing.B) {
				run(b, newSubject(b, target, shape))
			})
		}
	}
}

func newSubject(b *testing.B, t target, shape string) subject {
	b.Helper()
	s, _ := subjectOn(b, t, shape)
	return s
}

// subjectOn returns a shape and its database.
func subjectOn(b *testing.B, t target, shape string) (s subject, db *sql.DB) {
	b.Helper()
	db = t.open(b)
	var err error
	switch shape {
	case copies:
		s, err = newCopied(b.Context(), db)
	case "raw":
		s, err = newRaw(b.Context(), db, t.dialect)
	case "counter":
		s, err = newCounter(b.Context(), db, t.dialect)
	default:
		s, err = subjectOver(b, t.backend(db, shape == alone))
	}
	require.NoError(b, err)
	return s, db
}

// subjectOver returns the store over a backend on an empty database.
func subjectOver(b *testing.B, over backend) (subject, error) {
	b.Helper()
	err := migrate.Up(b.Context(), over)
	return ours{store.New(over, &store.Options{Serializer: asIs{}, MetadataSerializer: asIs{}})}, err
}

// BenchmarkAppend appends to ten streams for each writer. An op is one append.
func BenchmarkAppend(b *testing.B) {
	for _, batch := range []int{1, 10, 100, 1000} {
		more := []string{alone}
		if batch >= 100 {
			more = append(more, copies)
		}
		for _, writers := range []int{1, 4, 16, 32, 128} {
			each(b, fmt.Sprintf("batch=%d/writers=%d/", batch, writers), func(b *testing.B, s subject) {
				appendAll(b, s, 2*writers, batch, writers) // connections and statements
				b.ReportAllocs()
				b.ResetTimer()
				appendAll(b, s, b.N, batch, writers)
				b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
			}, more...)
		}
	}
}

// BenchmarkContended appends to one stream with 16 writers: nothing can be committed together.
func BenchmarkContended(b *testing.B) {
	each(b, "", func(b *testing.B, s subject) {
		appendTo(b, s, 32, 1, 16, func(int, int64) string { return "one" })
		b.ResetTimer()
		appendTo(b, s, b.N, 1, 16, func(int, int64) string { return "one" })
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	}, alone)
}

// appendAll makes n appends with so many writers, to ten streams each.
func appendAll(b *testing.B, s subject, n, batch, writers int) {
	b.Helper()
	appendTo(b, s, n, batch, writers, func(w int, i int64) string { return fmt.Sprintf("stream-%d-%d", w, i%10) })
}

// appendTo makes n appends with so many writers, the i-th of them to the stream that its writer chooses.
func appendTo(b *testing.B, s subject, n, batch, writers int, stream func(w int, i int64) string) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := s.append(b.Context(), stream(w, i), batch); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkReadStream reads a stream of 1,000 events among ten. An op is the whole stream.
func BenchmarkReadStream(b *testing.B) {
	each(b, "", func(b *testing.B, s subject) {
		appendAll(b, s, 100, 100, 1) // in turns
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			var err error
			n, err = s.readStream(b.Context(), "stream-0-3")
			require.NoError(b, err)
			require.Equal(b, 1000, n)
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
	})
}

// BenchmarkReadAll reads 100,000 events that were appended one by one or in hundreds. An op is all of them.
func BenchmarkReadAll(b *testing.B) {
	const events = 100_000
	for _, batch := range []int{1, 100} {
		each(b, fmt.Sprintf("appended=%d/", batch), func(b *testing.B, s subject) {
			if _, store := s.(ours); store {
				appendAll(b, s, events/batch, batch, 16)
			} else {
				appendAll(b, s, events/100, 100, 1) // their rows are the same however they came
			}
			_, _, err := s.readAll(b.Context(), 0) // every event has its position
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				n, _, err := s.readAll(b.Context(), 0)
				require.NoError(b, err)
				require.Equal(b, events, n)
			}
			b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkVisible appends an event and reads all events behind the last one seen, until it is there. An op is both.
func BenchmarkVisible(b *testing.B) {
	each(b, "", func(b *testing.B, s subject) {
		appendAll(b, s, 1000, 1, 1)
		_, last, err := s.readAll(b.Context(), 0)
		require.NoError(b, err)
		times := make([]time.Duration, 0, b.N)
		for b.Loop() {
			start := time.Now()
			require.NoError(b, s.append(b.Context(), "stream-0-0", 1))
			n := 0
			for n == 0 {
				n, last, err = s.readAll(b.Context(), last)
				require.NoError(b, err)
			}
			require.Equal(b, 1, n)
			times = append(times, time.Since(start))
		}
		b.ReportMetric(percentile(times, 50), "p50-ms")
		b.ReportMetric(percentile(times, 99), "p99-ms")
	})
}

// percentile returns the p-th percentile of times in milliseconds.
func percentile(times []time.Duration, p int) float64 {
	slices.Sort(times)
	return float64(times[(len(times)-1)*p/100]) / float64(time.Millisecond)
}
