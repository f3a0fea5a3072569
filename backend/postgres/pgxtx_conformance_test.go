package postgres_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/postgres/pgxtx"
	"github.com/eventstore-go/eventstore/conformance"
	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestConformancePgxTx runs the suite where the caller's transactions are those of pgx, plain and nested, and where the store's own are.
func TestConformancePgxTx(t *testing.T) {
	t.Parallel()
	transactional := []string{"append/", "cancel/", "delete/", "event/", "link/", "open-tx/", "read/", "retry/", "snapshot/", "tx/"}
	if longtest.On() {
		transactional = append(transactional, "checkpoint/", "filter/", "lease/", "limits/", "matrix/", "streams/", "undelete/")
	}
	for _, run := range []struct {
		name   string
		driver string // of the store, beside the pool of the caller
		from   bool   // the store is on the caller's pool
		caller bool   // the caller begins transactions by pgx
		nested bool
		only   []string
	}{
		{name: "pgx.Tx", driver: "pgx", caller: true, only: transactional},
		{name: "pgx.Tx/nested", driver: "pgx", caller: true, nested: true, only: longtest.Share("tx/", "open-tx/", "link/", "delete/")},
		{name: "pgx.Tx/other-driver", driver: "postgres", caller: true, only: longtest.Share("tx/", "append/")},
		{name: "OpenDB", driver: "pgx", from: true, only: longtest.Share("append/", "tx/", "read/", "cancel/", "project/")},
	} {
		t.Run(run.name, func(t *testing.T) {
			t.Parallel()
			pool := openPool(t, pgtest.URL(t))
			at := &places{t: t, driver: run.driver, conns: 8}
			if run.from {
				at.connect = func(url string) *sql.DB {
					db := pgxtx.OpenDB(openPool(t, url))
					t.Cleanup(func() { require.NoError(t, db.Close()) })
					return db
				}
			}
			h := conformance.Harness{
				Name: "postgres/" + run.name,
				Only: run.only,
				New:  func(tb testing.TB) store.Storage { return at.open(tb) },
			}
			if run.caller {
				h.New = func(tb testing.TB) store.Storage { return &joined{Backend: at.open(tb)} }
				h.Begin = func(ctx context.Context, s store.Storage) (*sql.Tx, error) {
					return s.(*joined).begin(ctx, pool, run.nested)
				}
			}
			conformance.Run(t, h)
		})
	}
}

// openPool returns a pool that is closed when the test ends.
func openPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	config.MaxConns = 8
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// joined is a backend that joins the transactions of pgx that its begin has begun.
type joined struct {
	*postgres.Backend
	natives sync.Map // *sql.Tx, for the suite, to pgx.Tx
}

// WithTx implements [store.Transactional].
func (s *joined) WithTx(tx *sql.Tx) (bound store.Storage) {
	native, ok := s.natives.Load(tx)
	if !ok { // the store's own
		return s.Backend.WithTx(tx)
	}
	pgxtx.WithTx(store.New(s.Backend, nil), native.(pgx.Tx)).Bind(func(s store.Storage) (store.Storage, error) {
		bound = s
		return s, nil
	})
	return bound
}

// begin begins a transaction, and returns the *sql.Tx that stands for it.
func (s *joined) begin(ctx context.Context, pool *pgxpool.Pool, nested bool) (*sql.Tx, error) {
	outer, err := pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	native := &nativeTx{levels: []pgx.Tx{outer}}
	if nested {
		inner, err := outer.Begin(ctx)
		if err != nil {
			return nil, errors.Join(err, native.Rollback())
		}
		native.levels = append(native.levels, inner)
	}
	db := sql.OpenDB(native)
	defer db.Close()                                       //nolint:errcheck // it leaves the connection alone
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil) // pgx does not roll back when the context ends
	if err == nil {
		s.natives.Store(tx, native.inner())
	}
	return tx, err
}

// nativeTx is the driver of a *sql.Tx that stands for a transaction of pgx, and those around it: it ends them, and takes queries.
type nativeTx struct{ levels []pgx.Tx }

func (n *nativeTx) inner() pgx.Tx { return n.levels[len(n.levels)-1] }

func (n *nativeTx) Connect(context.Context) (driver.Conn, error) { return n, nil }
func (n *nativeTx) Driver() driver.Driver                        { return nil }
func (n *nativeTx) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (n *nativeTx) Close() error                                 { return nil }
func (n *nativeTx) Begin() (driver.Tx, error)                    { return n, nil }

func (n *nativeTx) Commit() error {
	for i := len(n.levels) - 1; i >= 0; i-- {
		if err := n.levels[i].Commit(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

func (n *nativeTx) Rollback() (err error) {
	for i := len(n.levels) - 1; i >= 0; i-- {
		err = n.levels[i].Rollback(context.Background())
	}
	return err
}

func (n *nativeTx) QueryContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	rows, err := n.inner().Query(ctx, query)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	return &nativeRows{list}, err
}

type nativeRows struct{ left [][]any }

func (r *nativeRows) Columns() []string { return []string{"one"} }
func (r *nativeRows) Close() error      { return nil }

func (r *nativeRows) Next(dest []driver.Value) error {
	if len(r.left) == 0 {
		return io.EOF
	}
	for i, v := range r.left[0] {
		dest[i] = v
	}
	r.left = r.left[1:]
	return nil
}
