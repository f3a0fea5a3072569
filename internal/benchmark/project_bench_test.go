package benchmark

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// model is a read model: its table, and how a batch of events is applied to it.
type model struct {
	name, table string
	apply       func(table string) store.BatchHandler
}

// models are one that has a row for each event, as most have about one, and one that has one for each batch, beside which
// everything else shows.
var models = []model{
	{name: "rows", table: `create table %s (position bigint primary key, stream text not null, version bigint not null)`,
		apply: func(table string) store.BatchHandler {
			insert := fmt.Sprintf(`insert into %s (position, stream, version) values ($1, $2, $3)`, table)
			return func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				stmt, err := tx.PrepareContext(ctx, insert)
				if err != nil {
					return err
				}
				defer stmt.Close() //nolint:errcheck // the transaction ends
				for i := range events {
					if _, err := stmt.ExecContext(ctx, events[i].Number, events[i].Stream, events[i].Version); err != nil {
						return err
					}
				}
				return nil
			}
		}},
	{name: "count", table: `create table %s (n bigint not null)`,
		apply: func(table string) store.BatchHandler {
			insert := fmt.Sprintf(`insert into %s (n) values ($1)`, table)
			return func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				_, err := tx.ExecContext(ctx, insert, len(events))
				return err
			}
		}},
}

// handler makes a table of the model and returns what applies events to it.
func (m model) handler(b *testing.B, db *sql.DB, table string) store.BatchHandler {
	b.Helper()
	_, err := db.ExecContext(b.Context(), fmt.Sprintf(m.table, table))
	require.NoError(b, err)
	return m.apply(table)
}

// loop is what is written by hand instead of a projection: pages of 1,000, each in a transaction with its checkpoint. It
// knows of no other process, and nothing of errors.
func loop(b *testing.B, es *store.Store, db *sql.DB, name string, apply store.BatchHandler) {
	b.Helper()
	_, err := db.ExecContext(b.Context(), `insert into checkpoints (name, position) values ($1, 0)`, name)
	require.NoError(b, err)
	for after := int64(0); ; {
		page, err := es.Page(b.Context(), store.All, &store.ReadOptions{After: after, PageSize: 1000})
		require.NoError(b, err)
		if len(page) == 0 {
			return
		}
		after = page[len(page)-1].Number
		tx, err := db.BeginTx(b.Context(), nil)
		require.NoError(b, err)
		require.NoError(b, apply(b.Context(), tx, page))
		_, err = tx.ExecContext(b.Context(), `update checkpoints set position = $1 where name = $2`, after, name)
		require.NoError(b, err)
		require.NoError(b, tx.Commit())
	}
}

// project runs a new projection until it has applied so many events.
func project(b *testing.B, es *store.Store, name string, apply store.BatchHandler, events, partitions int) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- es.Project(ctx, name, apply, &store.ProjectOptions{Partitions: partitions})
	}()
	for {
		if err := es.WaitForPosition(b.Context(), name, int64(events)); err == nil {
			break
		} else {
			require.ErrorIs(b, err, store.ErrProjectionNotFound)
		}
	}
	cancel()
	require.ErrorIs(b, <-ended, context.Canceled)
}

// BenchmarkProject applies 100,000 events of a thousand streams to a read model, by a projection and by a loop written by
// hand. An op is all of them, with a table of its own.
func BenchmarkProject(b *testing.B) {
	for _, t := range targets(b) {
		b.Run(fmt.Sprintf("db=%s/driver=%s", t.db, t.driver), func(b *testing.B) {
			es, db := openStreams(b, t, backlog, 1000)
			_, err := db.ExecContext(b.Context(), `create table checkpoints (name text primary key, position bigint)`)
			require.NoError(b, err)
			n := 0
			for _, m := range models {
				run := func(title string, f func(name string, apply store.BatchHandler)) {
					b.Run(fmt.Sprintf("model=%s/%s", m.name, title), func(b *testing.B) {
						for b.Loop() {
							n++
							name := fmt.Sprint("p", n)
							f(name, m.handler(b, db, name))
						}
						b.ReportMetric(float64(backlog*b.N)/b.Elapsed().Seconds(), "events/s")
					})
				}
				run("store=raw", func(name string, apply store.BatchHandler) { loop(b, es, db, name, apply) })
				for _, partitions := range []int{1, 2, 4} {
					if t.db == "sqlite" && partitions > 1 {
						continue // it has one writer
					}
					run(fmt.Sprintf("partitions=%d/store=eventstore", partitions), func(name string, apply store.BatchHandler) {
						project(b, es, name, apply, backlog, partitions)
					})
				}
			}
		})
	}
}

// BenchmarkRebuild applies 1,000,000 events to a read model that counts them.
func BenchmarkRebuild(b *testing.B) {
	const events = 1_000_000
	for _, t := range targets(b) {
		b.Run(fmt.Sprintf("db=%s/driver=%s/store=eventstore", t.db, t.driver), func(b *testing.B) {
			es, db := openStreams(b, t, events, 1000)
			n := 0
			for b.Loop() {
				n++
				name := fmt.Sprint("p", n)
				project(b, es, name, models[1].handler(b, db, name), events, 1)
			}
			b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
