package benchmark

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/postgres/pgxtx"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// ways are the ways from a program on pgx to the server: a *sql.DB of its own, one on the program's pool by either function, and none.
var ways = []string{"sql", "fromPool", "OpenDB", "native"}

// paged is the backend, read page by page: a Store reads ahead, which native does not.
type paged struct {
	ours
	backend *postgres.Backend
}

func (p paged) readStream(ctx context.Context, stream string) (n int, err error) {
	for {
		part, err := p.backend.ReadStream(ctx, store.ReadRequest{Stream: stream, From: int64(n + 1), Limit: pageSize})
		n += len(part.Events)
		p.backend.Recycle(part.Events)
		if err != nil || len(part.Events) < pageSize {
			return n, err
		}
	}
}

func (p paged) readAll(ctx context.Context, after int64) (n int, last int64, err error) {
	for last = after; ; {
		part, err := p.backend.ReadAll(ctx, store.ReadRequest{Stream: store.All, From: last + 1, Limit: pageSize})
		if len(part.Events) > 0 {
			last = part.Events[len(part.Events)-1].Number
		}
		n += len(part.Events)
		p.backend.Recycle(part.Events)
		if err != nil || len(part.Events) < pageSize {
			return n, last, err
		}
	}
}

// eachWay runs a benchmark for every way, on a database of its own. All but native are the backend, without group commit: native has none.
func eachWay(b *testing.B, name string, run func(b *testing.B, s subject, backend *postgres.Backend)) {
	pgxTarget := targets(b)[0]
	require.Equal(b, "pgx", pgxTarget.driver)
	for _, way := range ways {
		b.Run(name+"how="+way, func(b *testing.B) {
			url := pgxTarget.create(b)
			config, err := pgxpool.ParseConfig(url)
			require.NoError(b, err)
			config.MaxConns = connections
			pool, err := pgxpool.NewWithConfig(b.Context(), config)
			require.NoError(b, err)
			b.Cleanup(pool.Close)
			var db *sql.DB
			switch way {
			case "fromPool":
				db = stdlib.OpenDBFromPool(pool)
			case "OpenDB":
				db = pgxtx.OpenDB(pool)
			default:
				db = pgxTarget.pool(b, url)
			}
			backend := postgres.New(db, &postgres.Options{NoGroupCommit: true})
			require.NoError(b, migrate.Up(b.Context(), backend))
			var s subject = paged{ours{store.New(backend, &store.Options{Serializer: asIs{}, MetadataSerializer: asIs{}})}, backend}
			if way == "native" {
				s = newNative(pool, backend)
			}
			run(b, s, backend)
			require.NoError(b, backend.Close())
			if way == "fromPool" || way == "OpenDB" {
				require.NoError(b, db.Close())
			}
		})
	}
}

// BenchmarkNativeAppend appends events one by one. An op is one append.
func BenchmarkNativeAppend(b *testing.B) {
	for _, writers := range []int{1, 32} {
		eachWay(b, fmt.Sprintf("writers=%d/", writers), func(b *testing.B, s subject, _ *postgres.Backend) {
			appendAll(b, s, 10*writers, 1, writers)
			b.ReportAllocs()
			b.ResetTimer()
			appendAll(b, s, b.N, 1, writers)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkNativeReadStream reads a stream of 1,000 events among ten. An op is the whole stream.
func BenchmarkNativeReadStream(b *testing.B) {
	eachWay(b, "", func(b *testing.B, s subject, backend *postgres.Backend) {
		fillNative(b, backend, 100, 100)
		readBest(b, 1_000, func() (n int, err error) { return s.readStream(b.Context(), "stream-0-3") })
	})
}

// readBest reads again and again, and reports the mean rate and that of the fastest read, which is what is left to compare on a busy machine.
func readBest(b *testing.B, events int, read func() (int, error)) {
	b.Helper()
	b.ReportAllocs()
	best := time.Hour
	for b.Loop() {
		start := time.Now()
		n, err := read()
		best = min(best, time.Since(start))
		require.NoError(b, err)
		require.Equal(b, events, n)
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(events)/best.Seconds(), "best-events/s")
}

// BenchmarkNativeReadAll reads 10,000 events that were appended one by one or in hundreds, page by page. An op is all of them.
func BenchmarkNativeReadAll(b *testing.B) {
	const events = 10_000
	for _, batch := range []int{1, 100} {
		eachWay(b, fmt.Sprintf("appended=%d/", batch), func(b *testing.B, s subject, backend *postgres.Backend) {
			fillNative(b, backend, events/batch, batch)
			readBest(b, events, func() (n int, err error) {
				n, _, err = s.readAll(b.Context(), 0)
				return n, err
			})
		})
	}
}

// fillNative makes so many appends, in one process that has group commit, and gives them positions.
func fillNative(b *testing.B, on *postgres.Backend, appends, batch int) {
	b.Helper()
	grouped := postgres.New(on.DB(), nil)
	defer grouped.Close() //nolint:errcheck // its statements end with their connections
	s := ours{store.New(grouped, &store.Options{Serializer: asIs{}, MetadataSerializer: asIs{}})}
	writers := 1
	if batch == 1 {
		writers = 16
	}
	appendAll(b, s, appends, batch, writers)
	_, err := grouped.Head(b.Context())
	require.NoError(b, err)
}
