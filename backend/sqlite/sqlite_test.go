package sqlite_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/conformance"
	"github.com/eventstore-go/eventstore/store"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	oneWriter := conformance.Excuse("SQLite has one writer at a time", conformance.NeedTwoWriters()...)
	oneConn := conformance.Excuse("there is one connection, and the open transaction has it", conformance.NeedTwoConnections()...)
	inMemory := conformance.Excuse("in memory, readers and the writer wait for each other", conformance.NeedTwoConnections()...)
	memory := func(testing.TB) string { return sqlite.Memory() }
	for _, run := range []struct {
		name     string
		dsn      func(tb testing.TB) string
		conns    int // 0: no limit
		pageSize int
		begin    func(ctx context.Context, s store.Storage) (*sql.Tx, error)
		excused  map[string]string
		without  []string
		opts     *sqlite.Options
	}{
		{name: "file", dsn: file, excused: oneWriter},
		{name: "file/pool=1", dsn: file, conns: 1, excused: oneConn},
		{name: "file/deferred/page=3", pageSize: 3, dsn: deferred, excused: oneWriter, opts: &sqlite.Options{NoGroupCommit: true}, begin: func(ctx context.Context, s store.Storage) (*sql.Tx, error) {
			return s.(*sqlite.Backend).DB().BeginTx(ctx, nil) // as an application's own DSN would have it
		}},
		{name: "memory", dsn: memory, excused: inMemory, without: []string{"project/"}}, // as the file
	} {
		t.Run(run.name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, conformance.Harness{
				Name:    "sqlite/modernc/" + run.name,
				NotInTx: run.name == "memory",
				New: func(tb testing.TB) store.Storage {
					return backend(tb, handle(tb, run.dsn(tb), run.conns), run.opts)
				},
				Begin:    run.begin,
				PageSize: run.pageSize,
				Excused:  run.excused,
				Without:  run.without,
			})
		})
	}
}
