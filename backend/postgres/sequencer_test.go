package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// The traps of a sequencer that gives events their positions after their commit. Each test steps two sessions through a
// schedule that loses or moves an event if the trap is built in, and shows that with the trap built in it does.

// beforeSnapshot is the place in the function tick before its snapshot.
const beforeSnapshot = "  -- One statement, one snapshot."

// fenceFirst builds in the first trap: the fence is taken before the snapshot.
var fenceFirst = []change{
	{beforeSnapshot, "  fence_now := pg_current_xact_id();\n" + stop("before snapshot") + "\n" + beforeSnapshot},
	{"  fence_now := pg_current_xact_id(); -- assigned after the snapshot above\n", ""},
}

func TestFenceIsTakenAfterTheSnapshot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		changes []change
		want    []string
	}{
		{"right", []change{{beforeSnapshot, stop("before snapshot") + "\n" + beforeSnapshot}}, []string{"b@1", "a@1", "c@1"}},
		{"trap", fenceFirst, []string{"b@1", "c@1"}}, // a@1 is lost
	} {
		t.Run(test.name, func(t *testing.T) {
			// A server of its own: another test's transaction would hold the fence's horizon back, and save the trap.
			b := New(pgtest.Open(t, "pgx", pgtest.StartServer(t).URL()), nil)
			install(t, b, test.changes...)

			at := hold(t, b, "before snapshot")
			ticked := make(chan error, 1)
			go func() {
				_, err := b.tick(t.Context(), maxPlaced, true)
				ticked <- err
			}()
			at.reached() // the tick has its fence, if it takes it first, but no snapshot

			tx := begin(t, b)
			appendTo(t, b.WithTx(tx), "a", 1) // draws 1, not committed
			appendTo(t, b, "b", 1)            // draws 2
			at.release()
			require.NoError(t, <-ticked)
			require.EqualValues(t, 1, holes(t, b), "1 is a hole")

			_, err := b.Tick(t.Context()) // is its owner provably gone? It is not.
			require.NoError(t, err)
			require.NoError(t, tx.Commit())
			appendTo(t, b, "c", 1)
			require.Equal(t, test.want, all(t, b))
		})
	}
}

func TestTickInATransactionWithAnID(t *testing.T) {
	t.Parallel()
	refusal := "  if pg_current_xact_id_if_assigned() is not null then"
	t.Run("right", func(t *testing.T) {
		t.Parallel()
		b := setup(t, pgtest.URL(t))
		tx := begin(t, b)
		_, err := tx.ExecContext(t.Context(), `select pg_current_xact_id()`)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), b.queries.Get("tick"), 10, true, nil)
		require.ErrorContains(t, err, tickInTransaction, "the function refuses it")
	})
	t.Run("trap", func(t *testing.T) {
		t.Parallel()
		b := New(pgtest.Open(t, "pgx", pgtest.StartServer(t).URL()), nil)
		install(t, b, change{refusal, "  if false then"})
		old := begin(t, b)
		_, err := old.ExecContext(t.Context(), `select pg_current_xact_id()`) // the fence that the tick will have
		require.NoError(t, err)
		tx := begin(t, b)
		appendTo(t, b.WithTx(tx), "a", 1)
		appendTo(t, b, "b", 1)
		_, err = old.ExecContext(t.Context(), b.queries.Get("tick"), 10, true, nil)
		require.NoError(t, err)
		require.NoError(t, old.Commit())
		_, err = b.Tick(t.Context())
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		require.Equal(t, []string{"b@1"}, all(t, b), "a@1 is lost")
	})
}

func TestTickIsDurableHoweverAppendsAre(t *testing.T) {
	t.Parallel()
	lazily := `  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';`
	for _, test := range []struct {
		name    string
		changes []change
		want    []string
	}{
		{"right", nil, []string{"a@1"}},
		{"trap", []change{{lazily, ""}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.StartServer(t, "fsync=on")
			install(t, New(pgtest.Open(t, "pgx", server.URL()), nil), test.changes...)
			db := pgtest.Open(t, "pgx", server.URL()+"&synchronous_commit=off")
			b := New(db, nil)
			stopWALWriter(t, db) // so that only commits write the server's log to disk
			appendTo(t, b, "a", 1)
			require.Equal(t, []string{"a@1"}, all(t, b), "somebody has seen it at position 1")
			server.Kill()
			server.Restart()
			eventually(t, "the server is back", func() bool { return db.PingContext(t.Context()) == nil })
			require.Equal(t, test.want, all(t, b))
		})
	}
}

func TestReaderAheadOfTheHeadStops(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "a", 3) // a reader had read up to 5, but a failover lost the rest
	es := store.New(b, nil)
	for _, stream := range []string{store.All, "a"} {
		_, err := es.Page(t.Context(), stream, &store.ReadOptions{After: 5})
		require.ErrorIs(t, err, store.ErrPositionLost)
		var lost *store.PositionLostError
		require.ErrorAs(t, err, &lost)
		require.Equal(t, store.PositionLostError{Stream: stream, After: 5, Head: 3}, *lost)
		page, err := es.Page(t.Context(), stream, &store.ReadOptions{After: 3})
		require.NoError(t, err, "at the head there is nothing wrong")
		require.Empty(t, page)
	}
}

func TestSequenceBehindTheData(t *testing.T) {
	t.Parallel()
	setBack := func(t *testing.T, b *Backend) {
		number(t, b, `select setval('/*schema.*/append_seq', 1)`)
	}
	t.Run("heals by itself", func(t *testing.T) {
		t.Parallel()
		b := setup(t, pgtest.URL(t))
		for range 3 {
			appendTo(t, b, "a", 1)
		}
		require.Len(t, all(t, b), 3)
		setBack(t, b)
		appendTo(t, b, "b", 1)
		require.Equal(t, []string{"a@1", "a@2", "a@3", "b@1"}, all(t, b))
	})
	t.Run("before any tick", func(t *testing.T) {
		t.Parallel()
		b := setup(t, pgtest.URL(t))
		for range 3 {
			appendTo(t, b, "a", 1)
		}
		setBack(t, b)
		appendTo(t, b, "b", 1) // draws 2, which is taken
		require.Equal(t, []string{"a@1", "a@2", "a@3", "b@1"}, all(t, b))
	})
	t.Run("in a caller's transaction", func(t *testing.T) {
		t.Parallel()
		b := setup(t, pgtest.URL(t))
		appendTo(t, b, "a", 1)
		appendTo(t, b, "a", 1)
		require.Len(t, all(t, b), 2)
		setBack(t, b)
		tx := begin(t, b)
		_, err := store.New(b, nil).WithTx(tx).Append(t.Context(), "b", store.Any, store.Event{Type: "happened"})
		require.ErrorIs(t, err, ErrSequenceBehind)
		require.ErrorIs(t, err, store.ErrRetryTx)
		require.NoError(t, tx.Rollback())
		_, err = b.Tick(t.Context())
		require.NoError(t, err)
		tx = begin(t, b)
		appendTo(t, b.WithTx(tx), "b", 1)
		require.NoError(t, tx.Commit())
		require.Equal(t, []string{"a@1", "a@2", "b@1"}, all(t, b))
	})
	t.Run("trap", func(t *testing.T) {
		t.Parallel()
		b := setup(t, pgtest.URL(t), change{"  where (seq <= placed) is not true\n", "  where true\n"})
		tx := begin(t, b)
		appendTo(t, b.WithTx(tx), "gone", 1)
		require.NoError(t, tx.Rollback())
		appendTo(t, b, "a", 1)
		require.Len(t, all(t, b), 1)
		eventually(t, "the hole is known to be dead", func() bool {
			_, err := b.Tick(t.Context())
			return err == nil && holes(t, b) == 0
		})
		number(t, b, `select setval('/*schema.*/append_seq', 1, false)`)
		appendTo(t, b, "b", 1) // draws 1, which the tick has passed
		require.Equal(t, []string{"a@1"}, all(t, b), "b@1 is lost")
	})
}

func TestPreparedTransactionKeepsItsHole(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	gid := b.opts.Schema
	conn, err := b.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // the pool's
	tx, err := conn.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	appendTo(t, b.WithTx(tx), "a", 1)
	_, err = tx.ExecContext(t.Context(), `prepare transaction '`+gid+`'`)
	require.NoError(t, err)
	_ = tx.Rollback() // there is none any more on this connection

	appendTo(t, b, "b", 1)
	for range 3 {
		require.Equal(t, []string{"b@1"}, all(t, b), "nobody waits for it")
		_, err = b.Tick(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, holes(t, b))
	}
	_, err = b.db.ExecContext(t.Context(), `commit prepared '`+gid+`'`)
	require.NoError(t, err)
	require.Equal(t, []string{"b@1", "a@1"}, all(t, b))
	require.Zero(t, holes(t, b))
}

func TestFenceOfAnotherServer(t *testing.T) {
	t.Parallel()
	// As after a restore from a server that had run for long: the fences are of transactions that are far in the future.
	makeForeign := func(t *testing.T, b *Backend) {
		require.EqualValues(t, 1, number(t, b, `with f as (update /*schema.*/holes set fence = '900000000000' returning 1) select count(*) from f`))
	}
	t.Run("owner gone", func(t *testing.T) {
		t.Parallel()
		b := setup(t, pgtest.URL(t))
		tx := begin(t, b)
		appendTo(t, b.WithTx(tx), "a", 1)
		appendTo(t, b, "b", 1)
		require.Len(t, all(t, b), 1)
		require.NoError(t, tx.Rollback())
		makeForeign(t, b)
		eventually(t, "the hole is gone", func() bool {
			_, err := b.Tick(t.Context())
			return err == nil && holes(t, b) == 0
		})
		require.Equal(t, []string{"b@1"}, all(t, b))
	})
	t.Run("owner alive", func(t *testing.T) {
		t.Parallel()
		b := setup(t, pgtest.URL(t))
		tx := begin(t, b)
		appendTo(t, b.WithTx(tx), "a", 1)
		appendTo(t, b, "b", 1)
		require.Len(t, all(t, b), 1)
		makeForeign(t, b)
		for range 3 {
			_, err := b.Tick(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 1, holes(t, b))
		}
		require.NoError(t, tx.Commit())
		require.Equal(t, []string{"b@1", "a@1"}, all(t, b))
	})
	t.Run("trap", func(t *testing.T) {
		t.Parallel()
		// A hole whose fence is believed stays for ever.
		b := setup(t, pgtest.URL(t), change{"exists (select from /*schema.*/holes o where o.fence >= pg_snapshot_xmax(pg_current_snapshot()))", "false"})
		tx := begin(t, b)
		appendTo(t, b.WithTx(tx), "a", 1)
		appendTo(t, b, "b", 1)
		require.Len(t, all(t, b), 1)
		require.NoError(t, tx.Rollback())
		makeForeign(t, b)
		for range 3 {
			_, err := b.Tick(t.Context())
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, holes(t, b))
	})
}

func TestHolesInAndAroundLateAppends(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	// Numbers 1 to 5 are drawn by open transactions, 6 is committed: one hole of five.
	txs := make([]interface {
		Commit() error
		Rollback() error
	}, 5)
	for i := range txs {
		tx := begin(t, b)
		appendTo(t, b.WithTx(tx), string(rune('a'+i)), 2)
		txs[i] = tx
	}
	appendTo(t, b, "z", 1)
	require.Equal(t, []string{"z@1"}, all(t, b))
	require.EqualValues(t, 1, holes(t, b), "numbers in a row are one hole")

	require.NoError(t, txs[2].Commit())
	require.Equal(t, []string{"z@1", "c@1", "c@2"}, all(t, b))
	require.EqualValues(t, 2, holes(t, b), "what is left on both sides of 3")
	require.NoError(t, txs[0].Rollback())
	require.NoError(t, txs[4].Commit())
	require.NoError(t, txs[1].Commit())
	require.Equal(t, []string{"z@1", "c@1", "c@2", "b@1", "b@2", "e@1", "e@2"}, all(t, b))
	require.NoError(t, txs[3].Commit())
	require.Equal(t, []string{"z@1", "c@1", "c@2", "b@1", "b@2", "e@1", "e@2", "d@1", "d@2"}, all(t, b))
	eventually(t, "no hole is left", func() bool {
		_, err := b.Tick(t.Context())
		return err == nil && holes(t, b) == 0
	})
}

func TestSequenceJump(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	number(t, b, `select setval('/*schema.*/append_seq', 4000000000000)`)
	appendTo(t, b, "a", 1)
	require.Equal(t, []string{"a@1"}, all(t, b))
	require.LessOrEqual(t, holes(t, b), int64(1), "a run of numbers is one hole, however long")
}
