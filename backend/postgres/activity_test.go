package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// activityOf returns the Activity of one store.
func activityOf(t *testing.T, b *Backend) Activity {
	t.Helper()
	list, err := Activities(t.Context(), b.db, b.opts.Schema)
	require.NoError(t, err)
	require.Contains(t, list, b.opts.Schema)
	return list[b.opts.Schema]
}

// settles waits for the transactions of other tests.
func settles(t *testing.T, b *Backend, a Activity) {
	t.Helper()
	eventually(t, "the store settles", func() bool { return settled(t, b, a) })
}

func settled(t *testing.T, b *Backend, a Activity) bool {
	t.Helper()
	ok, err := b.Settled(t.Context(), a)
	require.NoError(t, err)
	return ok
}

func TestActivities(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Open(t, driver, pgtest.URL(t))
			busy, idle := New(db, &Options{Schema: pgtest.Schema(t) + ` "busy",\`}), New(db, &Options{Schema: pgtest.Schema(t)})
			t.Cleanup(func() {
				_, err := db.Exec(`drop schema if exists ` + quote(busy.opts.Schema) + ` cascade`)
				require.NoError(t, err)
			})
			look := func() map[string]Activity {
				list, err := Activities(t.Context(), db, busy.opts.Schema, "nothing there", idle.opts.Schema)
				require.NoError(t, err)
				return list
			}
			require.Empty(t, look())
			install(t, busy)
			install(t, idle)
			before := look()
			require.Len(t, before, 2)
			require.False(t, before[busy.opts.Schema].Same(before[idle.opts.Schema]), "they are two stores")
			require.False(t, Activity{}.Same(Activity{}))

			appendTo(t, busy, "a", 1)
			after := look()
			require.False(t, after[busy.opts.Schema].Same(before[busy.opts.Schema]))
			require.True(t, after[idle.opts.Schema].Same(before[idle.opts.Schema]))

			appendTo(t, busy, "a", 2)
			require.False(t, look()[busy.opts.Schema].Same(after[busy.opts.Schema]))

			_, err := db.ExecContext(t.Context(), `drop schema `+quote(idle.opts.Schema)+` cascade`)
			require.NoError(t, err)
			again := New(db, &Options{Schema: idle.opts.Schema})
			install(t, again)
			require.False(t, look()[idle.opts.Schema].Same(after[idle.opts.Schema]), "it is another store")

			none, err := Activities(t.Context(), db)
			require.NoError(t, err)
			require.Empty(t, none)
		})
	}
}

// TestSettled: an append that had begun before may be committed later, without another number.
func TestSettled(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	slow := begin(t, b)
	appendTo(t, b.WithTx(slow), "slow", 1)
	a := activityOf(t, b)
	require.False(t, settled(t, b, a), "an append is open")

	require.NoError(t, slow.Commit())
	require.True(t, activityOf(t, b).Same(a), "no other append began")
	other := begin(t, b)
	appendTo(t, b.WithTx(other), "rolled back", 1)
	require.False(t, settled(t, b, a), "another append began")
	require.NoError(t, other.Rollback())

	a = activityOf(t, b)
	settles(t, b, a)
	require.Equal(t, []string{"slow@1"}, all(t, b))
	head, err := b.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, head, "what was committed has its position")
}

// TestSettledAndOtherTransactions: one that is older than the look may have drawn a number, one that is younger has not.
func TestSettledAndOtherTransactions(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "a", 1)
	tx := begin(t, b)
	_, err := tx.ExecContext(t.Context(), `select pg_current_xact_id()`)
	require.NoError(t, err)
	a := activityOf(t, b)
	require.False(t, settled(t, b, a))
	require.NoError(t, tx.Rollback())
	settles(t, b, a)
	younger := begin(t, b)
	_, err = younger.ExecContext(t.Context(), `select pg_current_xact_id()`)
	require.NoError(t, err)
	settles(t, b, a)

	_, err = b.WithTx(younger).(*Backend).Settled(t.Context(), a)
	require.ErrorIs(t, err, store.ErrInvalid)
}

func TestActivitiesWithoutTheRight(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	conn, err := b.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // the pool's
	role := quote(b.opts.Schema + "_role")
	for _, statement := range []string{`create role ` + role, `set role ` + role} {
		_, err = conn.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		_, err := b.db.Exec(`drop role ` + role)
		require.NoError(t, err)
	})
	b.db.SetMaxOpenConns(1)
	require.NoError(t, conn.Close()) // the pool's only session has that role now
	_, err = Activities(t.Context(), b.db, b.opts.Schema)
	require.ErrorContains(t, err, `grant select on sequence "`+b.opts.Schema+`".append_seq`)
	_, err = b.db.ExecContext(t.Context(), `reset role`)
	require.NoError(t, err)
}
