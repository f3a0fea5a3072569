package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// What a transaction that stays open keeps waiting: nothing but appends to the streams it wrote to.

// goOn appends to other streams and reads all events, while a transaction stays open, until it has been open for so
// long. Each append must be seen at once. It returns how many events $all has now.
func goOn(t *testing.T, b *Backend, since time.Time, long time.Duration, have int64) int64 {
	t.Helper()
	const atLeast = 100
	es := store.New(b, nil)
	for step := 0; step < atLeast || time.Since(since) < long; step++ {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // for a few milliseconds of work
		res, err := es.Append(ctx, fmt.Sprintf("other-%d", step%7), store.Any, store.Event{Type: "happened"}, store.Event{Type: "happened"})
		require.NoError(t, err)
		page, err := es.Page(ctx, store.All, &store.ReadOptions{After: have})
		require.NoError(t, err)
		require.Len(t, page, 2, "the append is there, and nothing else")
		for i, e := range page {
			have++
			require.Equal(t, have, e.Number)
			require.Equal(t, res.Stream, e.Stream)
			require.Equal(t, res.First+int64(i), e.Version)
		}
		if step >= atLeast { // there is no hurry any more
			_, err = b.db.ExecContext(ctx, `select pg_sleep(0.05)`)
			require.NoError(t, err)
		}
		cancel()
	}
	return have
}

// waiting is how many sessions wait for a lock in an append to the backend's schema.
func waiting(t *testing.T, b *Backend) int64 {
	t.Helper()
	return number(t, b, `select count(*) from pg_stat_activity
		where datname = current_database() and wait_event_type = 'Lock' and query like '%' || $1 || '.append%'`, quote(b.opts.Schema))
}

// tail returns what $all shows behind a position, as stream@version.
func tail(t *testing.T, b *Backend, after int64) []string {
	t.Helper()
	page, err := store.New(b, nil).Page(t.Context(), store.All, &store.ReadOptions{After: after})
	require.NoError(t, err)
	var seen []string
	for i, e := range page {
		require.Equal(t, after+int64(i)+1, e.Number, "positions have no gaps")
		seen = append(seen, e.Stream+"@"+strconv.FormatInt(e.Version, 10))
	}
	return seen
}

func TestOpenTransactionDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, driver string
		long         time.Duration // that it stays open, at least
	}{
		{"pgx", "pgx", 0},
		{"lib_pq", "postgres", 0},
		{"for ten seconds", "pgx", 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var b *Backend
			if test.long == 0 {
				b = New(pgtest.Open(t, test.driver, pgtest.URL(t)), &Options{Schema: pgtest.Schema(t)})
			} else {
				longtest.Only(t)
				// A server of its own: other tests wait until every older transaction has ended.
				b = New(pgtest.Open(t, test.driver, pgtest.StartServer(t).URL()), nil)
			}
			install(t, b)
			appendTo(t, b, "held", 1)
			appendTo(t, b, "before", 1)
			require.Equal(t, []string{"held@1", "before@1"}, tail(t, b, 0))

			since := time.Now()
			tx := begin(t, b)
			appendTo(t, b.WithTx(tx), "held", 2)
			appendTo(t, b.WithTx(tx), "new", 1)
			appendTo(t, b.WithTx(tx), "held", 1)

			// Appends to the very streams wait.
			waited := make(chan error, 2)
			for _, stream := range []string{"held", "new"} {
				go func() {
					_, err := store.New(b, nil).Append(t.Context(), stream, store.Any, store.Event{Type: "happened"})
					waited <- err
				}()
			}
			eventually(t, "both wait", func() bool { return waiting(t, b) == 2 })
			have := goOn(t, b, since, test.long, 2)
			require.EqualValues(t, 2, waiting(t, b))
			require.EqualValues(t, 1, holes(t, b), "what the transaction drew")
			require.Empty(t, waited)

			require.NoError(t, tx.Commit())
			late := tail(t, b, have)
			require.GreaterOrEqual(t, len(late), 4)
			require.Equal(t, []string{"held@2", "held@3", "new@1", "held@4"}, late[:4], "late, in the order they were appended")
			require.NoError(t, <-waited)
			require.NoError(t, <-waited)
			require.ElementsMatch(t, []string{"held@5", "new@2"}, tail(t, b, have+4))
			noHoles(t, b)
			require.Len(t, tail(t, b, 0), int(have)+6)
		})
	}
}

func TestOpenTransactionInAnotherDatabaseDelaysNobody(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	other := pgtest.Open(t, "pgx", pgtest.Database(t))
	foreign, err := other.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer foreign.Rollback() //nolint:errcheck // it has ended before, unless the test fails
	_, err = foreign.ExecContext(t.Context(), `create table written (a int)`)
	require.NoError(t, err)
	xid := func(q interface {
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}, query string) (n uint64) {
		require.NoError(t, q.QueryRowContext(t.Context(), query).Scan(&n))
		return n
	}
	old := xid(foreign, `select pg_current_xact_id()::text`)

	appendTo(t, b, "before", 1)
	rolledBack := begin(t, b)
	appendTo(t, b.WithTx(rolledBack), "gone", 1)
	late := begin(t, b)
	appendTo(t, b.WithTx(late), "late", 2)
	require.Equal(t, []string{"before@1"}, tail(t, b, 0))
	have := goOn(t, b, time.Now(), 0, 1)
	require.NoError(t, rolledBack.Rollback())
	require.NoError(t, late.Commit())
	require.Equal(t, []string{"late@1", "late@2"}, tail(t, b, have), "a late append is seen though its neighbour's fate can't be known yet")

	require.LessOrEqual(t, xid(b.db, `select pg_snapshot_xmin(pg_current_snapshot())::text`), old, "it counts as running here, too")
	require.Zero(t, tick(t, b))
	require.EqualValues(t, 1, holes(t, b), "the hole is kept as long as its owner might be running")
	goOn(t, b, time.Now(), 0, have+2)
	require.NoError(t, foreign.Commit())
	noHoles(t, b)
}

// tick runs one and returns how many appends it placed.
func tick(t *testing.T, b *Backend) int64 {
	t.Helper()
	placed, err := b.Tick(t.Context())
	require.NoError(t, err)
	return placed
}

// noHoles waits until every hole is gone: all transactions of the server that were running when a hole was noted must
// have ended, those of other tests, too.
func noHoles(t *testing.T, b *Backend) {
	t.Helper()
	eventually(t, "no hole is left", func() bool {
		tick(t, b)
		return holes(t, b) == 0
	})
}

func TestRollbackLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		drawn []string // the transactions that draw 1, 2, 3 …: "-" is rolled back
		ticks bool     // whether somebody reads while they are open
	}{
		{"newest", []string{"a", "b", "-"}, false},
		{"newest, read while it is open", []string{"a", "b", "-"}, true},
		{"middle", []string{"a", "-", "b"}, false},
		{"middle, read while it is open", []string{"a", "-", "b"}, true},
		{"oldest, read while it is open", []string{"-", "a", "b"}, true},
		{"several", []string{"-", "a", "-", "-", "b", "-", "-"}, true},
		{"all", []string{"-", "-", "-"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, pgtest.URL(t))
			var doomed []*sql.Tx
			var want []string
			for i, name := range test.drawn {
				if name == "-" {
					tx := begin(t, b)
					appendTo(t, b.WithTx(tx), fmt.Sprintf("gone-%d", i), 3)
					doomed = append(doomed, tx)
					continue
				}
				appendTo(t, b, name, 2)
				want = append(want, name+"@1", name+"@2")
			}
			if test.ticks {
				require.Equal(t, want, tail(t, b, 0), "they hide nothing while they are open")
			}
			for _, tx := range doomed {
				require.NoError(t, tx.Rollback())
			}
			require.Equal(t, want, tail(t, b, 0), "nor when they are gone")
			appendTo(t, b, "z", 1)
			want = append(want, "z@1")
			require.Equal(t, want, tail(t, b, 0), "nor do they take positions")
			noHoles(t, b)
			require.Equal(t, want, tail(t, b, 0))
			assert.EqualValues(t, len(test.drawn)+1, number(t, b, `select max(append_seq) from /*schema.*/log`), "the numbers were drawn")
		})
	}
}

func TestRollbackToASavepoint(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	tx := begin(t, b)
	appendTo(t, b.WithTx(tx), "a", 1)
	_, err := tx.ExecContext(t.Context(), `savepoint s`)
	require.NoError(t, err)
	appendTo(t, b.WithTx(tx), "a", 1)
	appendTo(t, b.WithTx(tx), "gone", 1)
	_, err = tx.ExecContext(t.Context(), `rollback to savepoint s`)
	require.NoError(t, err)
	appendTo(t, b.WithTx(tx), "a", 1)
	appendTo(t, b, "b", 1)
	require.Equal(t, []string{"b@1"}, tail(t, b, 0))
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"b@1", "a@1", "a@2"}, tail(t, b, 0))
	noHoles(t, b)
}
