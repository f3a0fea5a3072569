package pgxtx

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestEventsAndRowsAreOne: what the store and the program wrote in a pgx.Tx is committed or rolled back together.
func TestEventsAndRowsAreOne(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 2, nil)
	tx := p.begin()
	p.add(WithTx(p.es, tx), "order-1", store.NoStream)
	p.order(tx, "1")
	p.absent("order-1")
	require.NoError(t, tx.Commit(t.Context()))
	assert.Equal(t, []string{"1"}, p.orders())
	assert.EqualValues(t, 1, p.version(p.es, "order-1"))

	tx = p.begin()
	p.add(WithTx(p.es, tx), "order-2", store.NoStream)
	p.order(tx, "2")
	require.NoError(t, tx.Rollback(t.Context()))
	assert.Equal(t, []string{"1"}, p.orders())
	p.absent("order-2")
}

// TestConflictLeavesTheTransactionUsable: a conflict is data, so the pgx.Tx goes on and commits.
func TestConflictLeavesTheTransactionUsable(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 2, nil)
	p.add(p.es, "order-1", store.NoStream)
	known, err := p.es.Page(t.Context(), "order-1", nil)
	require.NoError(t, err)
	tx := p.begin()
	in := WithTx(p.es, tx)
	_, err = in.Append(t.Context(), "order-1", store.NoStream, placed(1))
	require.ErrorIs(t, err, store.ErrStreamExists)
	_, err = in.Append(t.Context(), "order-2", store.NoStream, store.Event{ID: known[0].ID, Type: "t", Data: 1})
	require.ErrorIs(t, err, store.ErrDuplicateEvent)
	p.add(in, "order-1", store.Version(1))
	p.order(tx, "1")
	require.NoError(t, tx.Commit(t.Context()))
	assert.EqualValues(t, 2, p.version(p.es, "order-1"))
	assert.Equal(t, []string{"1"}, p.orders())
}

// TestPoolOfOne: everything that a Store does in a pgx.Tx runs on its connection, the first call on a new backend included.
func TestPoolOfOne(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 1, nil)
	ctx := soon(t)
	p.add(p.es, "source", store.NoStream)
	source, err := p.es.Page(ctx, store.All, nil) // which gives it its position
	require.NoError(t, err)
	backend := postgres.New(p.backend.DB(), &postgres.Options{Schema: p.table[0]})
	defer backend.Close() //nolint:errcheck // it has prepared nothing
	tx := p.begin()
	in := WithTx(store.New(backend, &store.Options{HardDelete: true}), tx)
	_, err = in.Append(ctx, "s", store.NoStream, placed(1), placed(2))
	require.NoError(t, err)
	_, err = in.Link(ctx, "links", store.NoStream, source[0].ID)
	require.NoError(t, err)
	require.NoError(t, in.RecordSnapshot(ctx, store.Snapshot{SourceID: "s", Version: 2, Type: "t", Data: 1}))
	_, err = in.ReadSnapshot(ctx, "s")
	require.NoError(t, err)
	require.NoError(t, in.DeleteSnapshot(ctx, "s"))
	page, err := in.Page(ctx, store.All, nil)
	require.NoError(t, err)
	assert.Len(t, page, 1, "what the transaction wrote has no position yet")
	_, err = in.Head(ctx)
	require.NoError(t, err)
	_, err = in.Streams(ctx, nil)
	require.NoError(t, err)
	_, err = in.Event(ctx, source[0].ID)
	require.NoError(t, err)
	require.NoError(t, in.Delete(ctx, "source", store.Any, store.SoftDelete))
	require.NoError(t, in.Undelete(ctx, "source", store.Any))
	require.NoError(t, in.Delete(ctx, "source", store.Any, store.HardDelete))
	require.NoError(t, tx.Commit(ctx))
	assert.EqualValues(t, 2, p.version(p.es, "s"))
}

// TestSecondConnection: the driver of a pgx.Tx has one connection.
func TestSecondConnection(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 1, nil)
	c := &connector{tx: p.begin()}
	conn, err := connect(c)
	require.NoError(t, err)
	_, err = connect(c)
	require.ErrorIs(t, err, errSecond)
	_, err = conn.BeginTx(t.Context(), nil)
	require.ErrorIs(t, err, errDriver, "it begins no transaction")
	_, err = conn.PrepareContext(t.Context(), "select 1") //nolint:sqlclosecheck // it fails
	require.ErrorIs(t, err, errDriver)
	_, err = c.Driver().Open("name")
	require.ErrorIs(t, err, errDriver)
}

// TestNestedTransactions: a rollback to a savepoint undoes what the store wrote since, and only that.
func TestNestedTransactions(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 2, nil)
	tx := p.begin()
	outer := WithTx(p.es, tx)
	p.add(outer, "s", store.NoStream)

	nested, err := tx.Begin(t.Context())
	require.NoError(t, err)
	in := WithTx(p.es, nested)
	p.add(in, "s", store.Version(1))
	p.add(outer, "s", store.Version(2)) // on the same connection, and so within the savepoint
	deeper, err := nested.Begin(t.Context())
	require.NoError(t, err)
	p.add(WithTx(p.es, deeper), "s", store.Version(3))
	require.NoError(t, deeper.Commit(t.Context()))
	assert.EqualValues(t, 4, p.version(in, "s"))
	require.NoError(t, nested.Rollback(t.Context()))

	assert.EqualValues(t, 1, p.version(outer, "s"))
	_, err = in.Append(t.Context(), "s", store.Any, placed(1))
	require.ErrorIs(t, err, ErrEnded)
	p.add(outer, "s", store.Version(1))
	second, err := tx.Begin(t.Context())
	require.NoError(t, err)
	p.add(WithTx(p.es, second), "s", store.Version(2))
	require.NoError(t, second.Commit(t.Context()))
	require.NoError(t, tx.Commit(t.Context()))
	assert.EqualValues(t, 3, p.version(p.es, "s"))
}

// TestLargeAppendIsUndone: an append in several statements that meets a known id leaves nothing behind in a pgx.Tx.
func TestLargeAppendIsUndone(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 2, nil)
	p.add(p.es, "known", store.NoStream)
	known, err := p.es.Page(t.Context(), "known", nil)
	require.NoError(t, err)
	list := make([]store.Event, 6_001)
	for i := range list {
		list[i] = placed(i)
	}
	list[6_000].ID = known[0].ID
	tx := p.begin()
	in := WithTx(p.es, tx)
	_, err = in.Append(t.Context(), "s", store.NoStream, list...)
	require.ErrorIs(t, err, store.ErrDuplicateEvent)
	_, err = in.Append(t.Context(), "s", store.NoStream, list[:6_000]...)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	assert.EqualValues(t, 6_000, p.version(p.es, "s"))
}

// TestEnded: a Store is refused after the end of its pgx.Tx, whatever ended it, and writes nothing in another transaction on the same
// connection.
func TestEnded(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ctx context.Context, outer, inner pgx.Tx) error{
		"commit":          func(ctx context.Context, _, inner pgx.Tx) error { return inner.Commit(ctx) },
		"rollback":        func(ctx context.Context, _, inner pgx.Tx) error { return inner.Rollback(ctx) },
		"outer commit":    func(ctx context.Context, outer, _ pgx.Tx) error { return outer.Commit(ctx) },
		"outer rollback":  func(ctx context.Context, outer, _ pgx.Tx) error { return outer.Rollback(ctx) },
		"statement":       func(ctx context.Context, outer, _ pgx.Tx) error { _, err := outer.Exec(ctx, "commit"); return err },
		"connection lost": func(ctx context.Context, outer, _ pgx.Tx) error { return outer.Conn().Close(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t, 1, nil)
			outer := p.begin()
			inner, err := outer.Begin(t.Context())
			require.NoError(t, err)
			in := WithTx(p.es, inner)
			p.add(in, "s", store.NoStream)
			refused := func() {
				t.Helper()
				_, appended := in.Append(t.Context(), "t", store.Any, placed(1))
				_, read := in.Page(t.Context(), "s", nil)
				for _, err := range []error{appended, read, in.Delete(t.Context(), "s", store.Any, store.SoftDelete)} {
					require.ErrorIs(t, err, ErrEnded)
					require.ErrorIs(t, err, sql.ErrTxDone)
					require.ErrorIs(t, err, pgx.ErrTxClosed)
				}
			}
			require.NoError(t, end(t.Context(), outer, inner))
			refused()
			_ = outer.Rollback(t.Context())
			refused()
			another := p.begin() // on the pool's one connection
			refused()
			require.NoError(t, another.Commit(t.Context()))
			p.absent("t")
		})
	}
}

// TestContextEndsInAStatement: the call returns the context's error, the transaction is over, and nothing of it stays.
func TestContextEndsInAStatement(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 4, nil)
	holder := p.begin()
	p.add(WithTx(p.es, holder), "held", store.NoStream)

	tx := p.begin()
	in := WithTx(p.es, tx)
	p.add(in, "s", store.NoStream)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := in.Append(ctx, "held", store.Any, placed(1))
		done <- err
	}()
	pid := tx.Conn().PgConn().PID()
	eventually(t, "the append waits for the stream", func() (waits bool) {
		require.NoError(t, p.pool.QueryRow(t.Context(), "select coalesce(max(wait_event_type) = 'Lock', false) from pg_stat_activity where pid = $1", pid).Scan(&waits))
		return waits
	})
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	_, err := in.Append(t.Context(), "s", store.Any, placed(1))
	require.ErrorIs(t, err, ErrEnded)
	require.Error(t, tx.Commit(t.Context()))
	require.NoError(t, holder.Commit(t.Context()))
	p.absent("s")
	assert.EqualValues(t, 1, p.version(p.es, "held"))
}

// TestContextEndedBefore: a call whose context has ended does nothing, and the transaction goes on.
func TestContextEndedBefore(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 2, nil)
	tx := p.begin()
	in := WithTx(p.es, tx)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := in.Append(ended, "s", store.NoStream, placed(1))
	require.ErrorIs(t, err, context.Canceled)
	p.add(in, "s", store.NoStream)
	require.NoError(t, tx.Commit(t.Context()))
	assert.EqualValues(t, 1, p.version(p.es, "s"))
}

// TestReadLeftEarly: a loop over a stream may use the transaction, and may end early: no rows are open.
func TestReadLeftEarly(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 2, nil)
	for range 10 {
		p.add(p.es, "s", store.Any)
	}
	_, err := p.es.Head(t.Context()) // all have positions
	require.NoError(t, err)
	tx := p.begin()
	in := WithTx(p.es, tx)
	for _, stream := range []string{"s", store.All} {
		for e, err := range in.Stream(t.Context(), stream, &store.ReadOptions{PageSize: 3}) {
			require.NoError(t, err)
			p.order(tx, stream+string(rune('0'+e.Number)))
			p.add(in, "t", store.Any)
			if e.Number == 5 {
				break
			}
		}
		assert.False(t, tx.Conn().PgConn().IsBusy())
	}
	require.NoError(t, tx.Commit(t.Context()))
	assert.Len(t, p.orders(), 10)
	assert.EqualValues(t, 10, p.version(p.es, "t"))
}

// TestOpenRows: while rows of the program's are open, the store is refused, and the transaction goes on.
func TestOpenRows(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 2, nil)
	tx := p.begin()
	in := WithTx(p.es, tx)
	rows, err := tx.Query(t.Context(), "select generate_series(1, 1000)")
	require.NoError(t, err)
	require.True(t, rows.Next())
	_, err = in.Append(t.Context(), "s", store.NoStream, placed(1))
	require.ErrorIs(t, err, ErrBusy)
	rows.Close()
	require.NoError(t, rows.Err())
	p.add(in, "s", store.NoStream)
	require.NoError(t, tx.Commit(t.Context()))
	assert.EqualValues(t, 1, p.version(p.es, "s"))
}

// TestAbortedTransaction: after a failed statement of the program's own, the server refuses the store's.
func TestAbortedTransaction(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 2, nil)
	tx := p.begin()
	nested, err := tx.Begin(t.Context())
	require.NoError(t, err)
	_, err = nested.Exec(t.Context(), "select 1/0")
	require.Error(t, err)
	_, err = WithTx(p.es, nested).Append(t.Context(), "s", store.NoStream, placed(1))
	require.ErrorContains(t, err, "25P02")
	require.NoError(t, nested.Rollback(t.Context()))
	p.add(WithTx(p.es, tx), "s", store.NoStream)
	require.NoError(t, tx.Commit(t.Context()))
}

// TestSerializable: what another transaction wrote since the snapshot is ErrRetryTx, as with a *sql.Tx.
func TestSerializable(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 2, nil)
	p.add(p.es, "s", store.NoStream)
	tx, err := p.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	defer tx.Rollback(context.Background()) //nolint:errcheck // the transaction is given up
	in := WithTx(p.es, tx)
	require.EqualValues(t, 1, p.version(in, "s"))
	p.add(p.es, "s", store.Version(1))
	_, err = in.Append(t.Context(), "s", store.Version(1), placed(1))
	require.ErrorIs(t, err, store.ErrRetryTx)
}

// TestElsewhere: a pgx.Tx of another database, a backend without one, and no transaction at all are refused.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	p := newProgram(t, 2, nil)
	_, err := p.es.Page(t.Context(), store.All, nil)
	require.NoError(t, err)
	other, err := pgx.Connect(t.Context(), pgtest.Database(t))
	require.NoError(t, err)
	defer other.Close(context.Background()) //nolint:errcheck // the test has ended
	tx, err := other.Begin(t.Context())
	require.NoError(t, err)
	_, err = WithTx(p.es, tx).Append(t.Context(), "s", store.NoStream, placed(1))
	require.ErrorIs(t, err, store.ErrSchema)
	require.NoError(t, tx.Rollback(t.Context()))

	_, err = WithTx(store.New(memory.New(), nil), p.begin()).Append(t.Context(), "s", store.NoStream, placed(1))
	require.ErrorIs(t, err, store.ErrNoTransactions)
	_, err = WithTx(p.es, nil).Append(t.Context(), "s", store.NoStream, placed(1))
	require.ErrorIs(t, err, store.ErrInvalid)
	p.absent("s")
}

// TestModes: the store works in a pgx.Tx whatever protocol and types the program has chosen, with columns of any kind, and beside a
// store on another driver.
func TestModes(t *testing.T) {
	t.Parallel()
	modes := []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	}
	for _, mode := range modes {
		for _, dataType := range []string{"bytea", "jsonb"} {
			t.Run(mode.String()+"/"+dataType, func(t *testing.T) {
				t.Parallel()
				pool := newPool(t, 1, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
				backend := newBackend(t, dataType)
				es := store.New(backend, nil)
				tx, err := pool.Begin(t.Context())
				require.NoError(t, err)
				in := WithTx(es, tx)
				events := []store.Event{
					{Type: "a", Data: map[string]any{"text": `"it's" \ é`}, Metadata: map[string]string{"k": "v"}},
					{Type: "b", Data: nil},
				}
				_, err = in.Append(t.Context(), "s", store.NoStream, events...)
				require.NoError(t, err)
				_, err = in.Append(t.Context(), "s", store.Version(2), events[0])
				require.NoError(t, err)
				inside, err := in.Page(t.Context(), "s", nil)
				require.NoError(t, err)
				require.NoError(t, tx.Commit(t.Context()))
				outside, err := es.Page(t.Context(), "s", nil)
				require.NoError(t, err)
				assert.Equal(t, outside, inside)
				require.Len(t, outside, 3)
				data, err := store.Decode[map[string]any](outside[2])
				require.NoError(t, err)
				assert.Equal(t, events[0].Data, data)
			})
		}
	}
}
