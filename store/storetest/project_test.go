package storetest_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/postgres/pgtest"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/storetest"
)

// each runs a test on each backend that has transactions. table is the name of a table that no other test has.
func each(t *testing.T, test func(t *testing.T, es *store.Store, db *sql.DB, table string)) {
	t.Helper()
	opts := store.Options{Serializer: types()}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		backend, db := storetest.SQLite(t, nil)
		test(t, storetest.Open(t, backend, &opts), db, "sums")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		schema := pgtest.Schema(t)
		backend, db := pgtest.New(t, "pgx", &postgres.Options{Schema: schema})
		test(t, storetest.Open(t, backend, &opts), db, schema+".sums")
	})
}

var errBroken = errors.New("broken")

// sum adds what was paid to a table, and fails on 13 cents.
func sum(table string) store.BatchHandler {
	return func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
		for _, e := range events {
			p, ok, err := store.As[Paid](e)
			if err != nil || !ok {
				return err
			}
			if _, err := tx.ExecContext(ctx, `update `+table+` set cents = cents + $1, events = events + 1`, p.Cents); err != nil {
				return err
			}
			if p.Cents == 13 {
				return errBroken
			}
		}
		return nil
	}
}

func TestProject(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, es *store.Store, db *sql.DB, table string) {
		_, err := db.ExecContext(t.Context(), `create table `+table+` (cents integer, events integer)`)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), `insert into `+table+` values (0, 0)`)
		require.NoError(t, err)
		read := func() (cents, events int) {
			require.NoError(t, db.QueryRowContext(t.Context(), `select cents, events from `+table).Scan(&cents, &events))
			return cents, events
		}
		pays := func(stream string, cents ...int64) {
			for _, c := range cents {
				_, err := es.Append(t.Context(), stream, store.Any, store.Event{Data: Paid{c}})
				require.NoError(t, err)
			}
		}

		require.NoError(t, storetest.Project(t, es, "sums", sum(table), nil), "without events")
		pays("order-1", 5, 6)
		require.NoError(t, storetest.Project(t, es, "sums", sum(table), nil))
		pays("order-2", 7)
		require.NoError(t, storetest.Project(t, es, "sums", sum(table), &store.ProjectOptions{BatchSize: 1}))
		cents, events := read()
		assert.Equal(t, []int{18, 3}, []int{cents, events}, "each event once, over all calls")

		pays("order-2", 13)
		require.ErrorIs(t, storetest.Project(t, es, "sums", sum(table), nil), errBroken)
		cents, events = read()
		assert.Equal(t, []int{18, 3}, []int{cents, events}, "what failed is rolled back")

		require.NoError(t, storetest.Project(t, es, "sums", sum(table), &store.ProjectOptions{OnError: store.RetryThen(1, store.Park), MinBackoff: time.Millisecond}))
		p, err := es.Projection(t.Context(), "sums")
		require.NoError(t, err)
		assert.EqualValues(t, 1, p.Parked())

		require.NoError(t, storetest.Project(t, es, "order-1-sums", sum(table), &store.ProjectOptions{Stream: "order-1"}))
		require.NoError(t, storetest.Project(t, es, "none", sum(table), &store.ProjectOptions{Stream: "order-9"}))
		cents, _ = read()
		assert.Equal(t, 29, cents)
		storetest.WaitIdle(t, es, "sums", "order-1-sums")
	})
}

// TestProjectHandlerEndsTheTest: FailNow in a handler ends the test, as anywhere else.
func TestProjectHandlerEndsTheTest(t *testing.T) {
	t.Parallel()
	backend, _ := storetest.SQLite(t, nil)
	es := storetest.Open(t, backend, nil)
	_, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "happened"})
	require.NoError(t, err)
	got := failures(t, func(tb testing.TB) {
		_ = storetest.Project(tb, es, "fails", func(context.Context, *sql.Tx, []store.Recorded) error {
			tb.Fatalf("not what was expected")
			return nil
		}, nil)
		assert.Fail(t, "the test goes on")
	})
	assert.Equal(t, "not what was expected", got)
}

// TestProjectTimesOut: a projection that does not come to the end fails the test, which names the event, the process and the error.
func TestProjectTimesOut(t *testing.T) {
	t.Parallel()
	backend, _ := storetest.SQLite(t, nil)
	es := storetest.Open(t, backend, nil)
	_, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "happened"}, store.Event{Type: "happened"})
	require.NoError(t, err)
	f := &fake{TB: t, deadline: 4 * time.Second}
	f.run(func(tb testing.TB) {
		err := storetest.Project(tb, es, "fails", func(_ context.Context, _ *sql.Tx, events []store.Recorded) error {
			if events[0].Number == 2 || len(events) > 1 {
				return errBroken
			}
			return nil
		}, &store.ProjectOptions{OnError: func(store.Recorded, error, int) store.Decision { return store.Retry }, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
		assert.Fail(t, "the test goes on", "%v", err)
	})
	require.Len(t, f.failures, 1)
	assert.Regexp(t, `^storetest: after \S+ projection "fails" has not come to event 2:\n  at 1 of 2; no process runs it; it failed on event 2: broken$`, f.failures[0])
}

// TestProjectInMemory: memory has no transactions.
func TestProjectInMemory(t *testing.T) {
	t.Parallel()
	err := storetest.Project(t, storetest.New(t), "sums", sum("none"), nil)
	require.ErrorIs(t, err, store.ErrNoTransactions)
}
