package benchmark

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/store"
)

func open(b testing.TB, kind, driver string) subject {
	ctx := context.Background()
	db, err := sql.Open(driver, os.Getenv("PGURL"))
	if err != nil { b.Fatal(err) }
	db.SetMaxOpenConns(64); db.SetMaxIdleConns(64)
	b.Cleanup(func() { db.Close() })
	db.Exec(`drop schema if exists public cascade; create schema public`)
	var s subject
	switch kind {
	case "raw":
		s, err = newRaw(ctx, db, postgresDialect)
	case "counter":
		s, err = newCounter(ctx, db, postgresDialect)
	default:
		be := postgres.New(db, nil)
		db.Exec(be.MigrationQuery("migrate_prepare"))
		up, _ := fs.ReadFile(be.Migrations(), "0001_init.up.sql")
		db.Exec(string(up))
		db.Exec(be.MigrationQuery("migrate_set_version"), 1)
		s = ours{store.New(be, &store.Options{Serializer: asIs{}, MetadataSerializer: asIs{}})}
	}
	if err != nil { b.Fatal(err) }
	return s
}

var kinds = []string{"eventstore", "raw", "counter"}

func BenchmarkAppend(b *testing.B) {
	for _, driver := range []string{"pgx", "postgres"} {
	for _, batch := range []int{1, 10, 100, 1000} {
		for _, writers := range []int{1, 4, 16, 32} {
			for _, kind := range kinds {
				b.Run(fmt.Sprintf("driver=%s/batch=%d/writers=%d/store=%s", driver, batch, writers, kind), func(b *testing.B) {
					s := open(b, kind, driver)
					run(b, s, batch, writers)
				})
			}
		}
	}
	}
}

func run(b *testing.B, s subject, batch, writers int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	start := time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := 0; left.Add(-1) >= 0; i++ {
				if err := s.append(context.Background(), fmt.Sprintf("stream-%d-%d", w, i%10), batch); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N*batch)/time.Since(start).Seconds(), "events/s")
}

func BenchmarkReadAll(b *testing.B) {
	for _, driver := range []string{"pgx", "postgres"} {
	for _, batch := range []int{100, 1} {
			for _, kind := range kinds {
				b.Run(fmt.Sprintf("driver=%s/batch=%d/store=%s", driver, batch, kind), func(b *testing.B) {
					s := open(b, kind, driver)
					fill(b, s, 100_000, batch)
					s.readAll(context.Background(), 0)
					for b.Loop() {
						n, _, err := s.readAll(context.Background(), 0)
						if err != nil || n != 100_000 { b.Fatal(n, err) }
					}
					b.ReportMetric(float64(b.N*100_000)/b.Elapsed().Seconds(), "events/s")
				})
			}
	}
	}
}

func BenchmarkReadStream(b *testing.B) {
	for _, driver := range []string{"pgx", "postgres"} {
			for _, kind := range kinds {
				b.Run(fmt.Sprintf("driver=%s/store=%s", driver, kind), func(b *testing.B) {
					s := open(b, kind, driver)
					fill(b, s, 20_000, 100)
					for b.Loop() {
						n, err := s.readStream(context.Background(), "stream-3")
						if err != nil || n != 1000 { b.Fatal(n, err) }
					}
					b.ReportMetric(float64(b.N*1000)/b.Elapsed().Seconds(), "events/s")
				})
			}
	}
}

func fill(b *testing.B, s subject, total, batch int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for {
				i := int(next.Add(int64(batch))) - batch
				if i >= total { return }
				_ = w
				if err := s.append(context.Background(), fmt.Sprintf("stream-%d", i/batch%20), batch); err != nil { b.Error(err); return }
			}
		})
	}
	wg.Wait()
}
