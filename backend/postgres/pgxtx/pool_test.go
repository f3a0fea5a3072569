package pgxtx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestInTx: InTx commits what its function did by pgx, by the store, and by a Store over the pgx.Tx, or none of it.
func TestInTx(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 1, nil)
	place := func(id string, fails error) error {
		return InTx(t.Context(), p.es, func(tx pgx.Tx, in *store.Store) error {
			p.add(in, "a", store.Any)
			p.order(tx, id)
			p.add(WithTx(p.es, tx), "a", store.Any)
			nested, err := tx.Begin(t.Context())
			require.NoError(t, err)
			p.add(in, "undone", store.Any)
			require.NoError(t, nested.Rollback(t.Context()))
			return fails
		})
	}
	require.NoError(t, place("1", nil))
	own := errors.New("the program's own")
	require.Equal(t, own, place("2", own))
	assert.PanicsWithValue(t, "the program's own", func() {
		_ = InTx(t.Context(), p.es, func(tx pgx.Tx, in *store.Store) error {
			p.order(tx, "3")
			panic("the program's own")
		})
	})
	assert.Equal(t, []string{"1"}, p.orders())
	assert.EqualValues(t, 2, p.version(p.es, "a"))
	p.absent("undone")
}

// TestStoreEndsItsTransaction: the function of InTx can't commit or roll back, and its pgx.Tx is over after it.
func TestStoreEndsItsTransaction(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 1, nil)
	var kept pgx.Tx
	require.NoError(t, InTx(t.Context(), p.es, func(tx pgx.Tx, in *store.Store) error {
		kept = tx
		require.ErrorIs(t, tx.Commit(t.Context()), ErrManaged)
		require.ErrorIs(t, tx.Rollback(t.Context()), ErrManaged)
		p.order(tx, "1")
		large := tx.LargeObjects()
		_, err := large.Create(t.Context(), 0)
		require.NoError(t, err)
		return nil
	}))
	assert.Equal(t, []string{"1"}, p.orders())
	_, err := kept.Exec(t.Context(), "select 1")
	require.ErrorIs(t, err, pgx.ErrTxClosed)
	_, err = WithTx(p.es, kept).Append(t.Context(), "s", store.Any, placed(1))
	require.ErrorIs(t, err, ErrEnded)
}

// TestInTxCommitFails: a commit that the server refuses is an error, and an unknown one is not taken for a success.
func TestInTxCommitFails(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 2, nil)
	p.exec("alter table " + p.table.Sanitize() + " add constraint one_cents unique (cents) deferrable initially deferred")
	place := func(ids ...string) error {
		return InTx(t.Context(), p.es, func(tx pgx.Tx, in *store.Store) error {
			p.add(in, "s", store.Any)
			for _, id := range ids {
				p.order(tx, id)
			}
			return nil
		})
	}
	require.ErrorContains(t, place("1", "2"), "23505")
	require.Empty(t, p.orders())
	require.Error(t, InTx(t.Context(), p.es, func(tx pgx.Tx, in *store.Store) error {
		p.add(in, "s", store.Any)
		p.exec("select pg_terminate_backend($1)", tx.Conn().PgConn().PID())
		return nil
	}))
	p.absent("s")
	require.NoError(t, place("1"))
}

// TestInTxContextEnds: when the context ends the server rolls back at once, whatever the function is at, and the connection goes
// back to the pool when the function has returned.
func TestInTxContextEnds(t *testing.T) {
	t.Parallel()
	for name, work := range map[string]func(ctx context.Context, tx pgx.Tx, goOn <-chan struct{}) error{
		"hangs": func(_ context.Context, _ pgx.Tx, goOn <-chan struct{}) error { <-goOn; return nil },
		"in a statement": func(ctx context.Context, tx pgx.Tx, goOn <-chan struct{}) error {
			_, err := tx.Exec(ctx, "select pg_sleep(60)")
			<-goOn
			return err
		},
		"in a statement without the context": func(_ context.Context, tx pgx.Tx, goOn <-chan struct{}) error {
			_, err := tx.Exec(context.Background(), "select pg_sleep(60)")
			<-goOn
			return err
		},
		"statement after it": func(_ context.Context, tx pgx.Tx, goOn <-chan struct{}) error {
			<-goOn
			_, err := tx.Exec(context.Background(), "select 1")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t, 2, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			begun, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			release := sync.OnceFunc(func() { close(goOn) })
			defer release()
			go func() {
				ended <- InTx(ctx, p.es, func(tx pgx.Tx, in *store.Store) error {
					_, err := in.Append(ctx, "s", store.NoStream, placed(1))
					close(begun)
					return errors.Join(err, work(ctx, tx, goOn))
				})
			}()
			<-begun
			cancel()
			within := soon(t)
			_, err := p.es.Append(within, "s", store.NoStream, placed(2)) // which the transaction held
			require.NoError(t, err)
			release()
			require.ErrorIs(t, <-ended, context.Canceled)
			eventually(t, "the connection is back", func() bool { return p.pool.Stat().AcquiredConns() == 0 })
			assert.EqualValues(t, 1, p.version(p.es, "s"))
		})
	}
}

// TestHandler: a projection's handler works by pgx, COPY and batches included, in the transaction of the checkpoint.
func TestHandler(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 4, nil)
	for i := range 30 {
		p.add(p.es, fmt.Sprint("order-", i%3), store.Any)
	}
	failed := false
	handler := Handler(func(ctx context.Context, tx pgx.Tx, events []store.Recorded) error {
		assert.Equal(t, tx, From(ctx))
		assert.NotNil(t, store.TxFrom(ctx))
		_, err := tx.CopyFrom(ctx, p.table, []string{"id", "cents"}, pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
			return []any{fmt.Sprintf("%03d", events[i].Number), i}, nil
		}))
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue("update "+p.table.Sanitize()+" set cents = $1 where id = $2", 7, fmt.Sprintf("%03d", events[0].Number))
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		if !failed { // once, when all is written
			failed = true
			return errors.New("the program's own")
		}
		_, err = WithTx(p.es, tx).Append(ctx, "audit", store.Any, placed(len(events)))
		if err == nil {
			_, err = p.es.WithTx(store.TxFrom(ctx)).Append(ctx, "audit", store.Any, placed(len(events)))
		}
		return err
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- p.es.Project(ctx, "orders", handler, &store.ProjectOptions{
			Filter: store.EventFilter{StreamPrefix: "order-"}, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
		})
	}()
	require.NoError(t, p.es.WaitForPosition(soon(t), "orders", 30))
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	ids := p.orders()
	require.Len(t, ids, 30, "each event is applied once")
	assert.Equal(t, "001", ids[0])
	assert.Positive(t, p.version(p.es, "audit"))
}

// TestRouterInHandler: the handlers of a router get the pgx.Tx by From.
func TestRouterInHandler(t *testing.T) {
	t.Parallel()
	assert.Nil(t, From(t.Context()))
	p := newProgram(t, 4, nil)
	p.add(p.es, "order-1", store.NoStream)
	router := store.NewRouter()
	router.Else(func(ctx context.Context, e store.Recorded) error {
		_, err := From(ctx).Exec(ctx, "insert into "+p.table.Sanitize()+" values ($1, 0)", e.Stream)
		return err
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- p.es.Project(ctx, "orders", Handler(func(ctx context.Context, _ pgx.Tx, events []store.Recorded) error {
			return router.HandleBatch(ctx, store.TxFrom(ctx), events)
		}), nil)
	}()
	require.NoError(t, p.es.WaitForPosition(soon(t), "orders", 1))
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	assert.Equal(t, []string{"order-1"}, p.orders())
}

// TestHandlerEndsTheTransaction: a handler that asks for the end of its transaction, and takes no notice of the refusal, ends nothing.
func TestHandlerEndsTheTransaction(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 4, nil)
	p.add(p.es, "order-1", store.NoStream)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- p.es.Project(ctx, "orders", Handler(func(ctx context.Context, tx pgx.Tx, events []store.Recorded) error {
			defer tx.Rollback(ctx) //nolint:errcheck // as programs do
			p.order(tx, events[0].Stream)
			return nil
		}), nil)
	}()
	require.NoError(t, p.es.WaitForPosition(soon(t), "orders", 1))
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	assert.Equal(t, []string{"order-1"}, p.orders())
}

// TestNotOpenedByOpenDB: InTx and Handler refuse a store over another *sql.DB, for good, and send nothing.
func TestNotOpenedByOpenDB(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 4, nil)
	p.add(p.es, "order-1", store.NoStream)
	native := stdlib.OpenDBFromPool(p.pool)
	defer native.Close() //nolint:errcheck // it holds nothing
	for name, db := range map[string]*sql.DB{
		"sql.Open": pgtest.Open(t, "pgx", pgtest.URL(t)), "OpenDBFromPool": native, "lib/pq": pgtest.Open(t, "postgres", pgtest.URL(t)),
	} {
		t.Run(name, func(t *testing.T) {
			backend := postgres.New(db, &postgres.Options{Schema: p.table[0]})
			defer backend.Close() //nolint:errcheck // the statements end with their connections
			es := store.New(backend, nil)
			defer es.Close() //nolint:errcheck // it has no subscriber left
			err := InTx(t.Context(), es, func(pgx.Tx, *store.Store) error { t.Error("there is no pgx.Tx"); return nil })
			require.ErrorIs(t, err, store.ErrNoTransactions)
			require.ErrorContains(t, err, "pgxtx.OpenDB")
			err = es.Project(soon(t), "p-"+name, Handler(func(context.Context, pgx.Tx, []store.Recorded) error { t.Error("there is no pgx.Tx"); return nil }), nil)
			require.ErrorIs(t, err, store.ErrNoTransactions)

			tx := p.begin() // but any store can join one
			p.add(WithTx(es, tx), "joined-"+name, store.NoStream)
			require.NoError(t, tx.Commit(t.Context()))
			require.EqualValues(t, 1, p.version(p.es, "joined-"+name))
		})
	}
}

// TestOpenDB: it is a *sql.DB like any other, with levels, prepared statements and the driver's connection.
func TestOpenDB(t *testing.T) {
	t.Parallel()
	pool := newPool(t, 3, nil)
	db := OpenDB(pool)
	defer db.Close() //nolint:errcheck // the test has ended
	require.NoError(t, db.PingContext(t.Context()))
	assert.Equal(t, 3, db.Stats().MaxOpenConnections)
	for level, want := range map[sql.IsolationLevel]string{
		sql.LevelDefault: "read committed", sql.LevelReadCommitted: "read committed", sql.LevelRepeatableRead: "repeatable read",
		sql.LevelSnapshot: "repeatable read", sql.LevelSerializable: "serializable", sql.LevelReadUncommitted: "read uncommitted",
	} {
		tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level, ReadOnly: level == sql.LevelSerializable})
		require.NoError(t, err)
		var got, readOnly string
		require.NoError(t, tx.QueryRowContext(t.Context(), "select current_setting('transaction_isolation'), current_setting('transaction_read_only')").Scan(&got, &readOnly))
		assert.Equal(t, want, got)
		assert.Equal(t, level == sql.LevelSerializable, readOnly == "on")
		require.NoError(t, tx.Rollback())
	}
	_, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelLinearizable})
	require.Error(t, err)

	stmt, err := db.PrepareContext(t.Context(), "select $1::int + 1")
	require.NoError(t, err)
	var n int
	for range 3 {
		require.NoError(t, stmt.QueryRowContext(t.Context(), 1).Scan(&n))
		require.Equal(t, 2, n)
	}
	_, err = stmt.ExecContext(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, stmt.Close()) //nolint:sqlclosecheck // before the pool is looked at

	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(driverConn any) error {
		return driverConn.(interface{ Conn() *pgx.Conn }).Conn().Ping(t.Context())
	}))
	require.NoError(t, conn.Close())
	assert.Zero(t, pool.Stat().AcquiredConns())
}
