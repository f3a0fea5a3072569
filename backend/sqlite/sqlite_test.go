package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/conformance"
	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/store"
)

// oneStream is a backend with transactions that appends to one stream at a time.
type oneStream struct {
	store.Storage
	store.Transactional
}

// TestConformanceOneStream runs the cases of AppendAll over a backend that is no store.MultiAppender: the Store makes a transaction.
func TestConformanceOneStream(t *testing.T) {
	t.Parallel()
	conformance.Run(t, conformance.Harness{
		Name: "sqlite/one-stream", NotInTx: true, Only: []string{"append-all/", "concurrent/append-all"},
		New: func(tb testing.TB) store.Storage {
			b := backend(tb, handle(tb, file(tb), 0), nil)
			return oneStream{b, b}
		},
	})
}

// TestAppendAllInTxOneStream: in a caller's transaction such a backend could not take back what it has written.
func TestAppendAllInTxOneStream(t *testing.T) {
	t.Parallel()
	b := backend(t, handle(t, file(t), 0), nil)
	es := store.New(oneStream{b, onlyOneStream{b}}, nil)
	err := es.InTx(t.Context(), func(tx *sql.Tx) error {
		_, err := es.WithTx(tx).AppendAll(t.Context(), store.To("a", store.Any, store.Event{Type: "t"}), store.To("b", store.Any, store.Event{Type: "t"}))
		return err
	})
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// onlyOneStream binds to a transaction what is no store.MultiAppender either.
type onlyOneStream struct{ store.Transactional }

func (o onlyOneStream) WithTx(tx *sql.Tx) store.Storage {
	return struct{ store.Storage }{o.Transactional.WithTx(tx)}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	oneWriter := conformance.Excuse("SQLite has one writer at a time", conformance.NeedTwoWriters()...)
	oneConn := conformance.Excuse("there is one connection, and the open transaction has it", conformance.NeedTwoConnections()...)
	inMemory := conformance.Excuse("in memory, readers and the writer wait for each other", conformance.NeedTwoConnections()...)
	memory := func(testing.TB) string { return sqlite.Memory() }
	var others sync.Map // storage to another *sql.DB on its database, not in use before a transaction begins there
	for _, run := range []struct {
		name     string
		dsn      func(tb testing.TB) string
		conns    int // 0: no limit
		pageSize int
		begin    func(ctx context.Context, s store.Storage) (*sql.Tx, error)
		excused  map[string]string
		only     []string
		without  []string
		notInTx  bool
		opts     *sqlite.Options
	}{
		{name: "file", dsn: file, excused: oneWriter},
		{name: "file/pool=1", dsn: file, conns: 1, excused: oneConn, only: longtest.Share("all/", "append/", "read/", "tx/", "cancel/"), notInTx: !longtest.On()},
		{name: "file/deferred/other-db/page=3", only: longtest.Share("append/", "link/", "delete/", "retry/", "tx/", "all/"), pageSize: 3, dsn: deferred, excused: oneWriter, opts: &sqlite.Options{NoGroupCommit: true}, begin: func(ctx context.Context, s store.Storage) (*sql.Tx, error) {
			other, _ := others.Load(s) // of the application's own, on the same file, with its own DSN
			return other.(*sql.DB).BeginTx(ctx, nil)
		}},
		{name: "memory", dsn: memory, excused: inMemory, only: longtest.Share("append/", "all/", "read/", "concurrent/"), without: []string{"project/"}, notInTx: true}, // as the file
	} {
		t.Run(run.name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, conformance.Harness{
				Name:    "sqlite/modernc/" + run.name,
				NotInTx: run.notInTx,
				New: func(tb testing.TB) store.Storage {
					dsn := run.dsn(tb)
					b := backend(tb, handle(tb, dsn, run.conns), run.opts)
					others.Store(b, handle(tb, dsn, run.conns))
					return b
				},
				Begin:    run.begin,
				PageSize: run.pageSize,
				Excused:  run.excused,
				Only:     run.only,
				Without:  run.without,
			})
		})
	}
}
