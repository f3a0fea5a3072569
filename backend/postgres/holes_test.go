package postgres

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestHoleFilledBesideAnOlderTransaction: while an old transaction keeps holes from being forgotten, a tick passes over
// those that can't have been filled since the last one, and over no other.
func TestHoleFilledBesideAnOlderTransaction(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		changes []change
		want    []string
	}{
		{"right", nil, []string{"b@1", "a@1"}},
		// What ended is not looked at: the hole is passed over until its fence is older than every transaction.
		{"trap", []change{{"(select pg_snapshot_xip(since) except select pg_snapshot_xip(now)) union all ", ""}}, []string{"b@1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, pgtest.URL(t), test.changes...)
			old := begin(t, b)
			_, err := old.ExecContext(t.Context(), `select pg_current_xact_id()`)
			require.NoError(t, err)
			tx := begin(t, b)
			appendTo(t, b.WithTx(tx), "a", 1)
			appendTo(t, b, "b", 1)
			require.Equal(t, []string{"b@1"}, tail(t, b, 0))
			newer := begin(t, b) // so that the snapshot of the next tick lists the owner, and reaches beyond the fence
			_, err = newer.ExecContext(t.Context(), `select pg_current_xact_id()`)
			require.NoError(t, err)
			require.NoError(t, newer.Commit())
			tick(t, b)
			require.NoError(t, tx.Commit())
			require.Equal(t, test.want, tail(t, b, 0))
		})
	}
}

// TestHoleOfACopy: a process that goes on with a copy of the database, made before it ticked last, has a snapshot that
// says nothing of the copy's holes. One that holds events is not forgotten.
func TestHoleOfACopy(t *testing.T) {
	t.Parallel()
	looked := "      or o.fence < pg_snapshot_xmin(pg_current_snapshot()) -- about to be forgotten\n"
	for _, test := range []struct {
		name    string
		changes []change
		want    []string
	}{
		{"right", nil, []string{"b@1", "a@1", "c@1"}},
		{"trap", []change{{looked, ""}}, []string{"b@1", "c@1"}}, // a@1 is lost
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := New(pgtest.Open(t, "pgx", pgtest.StartServer(t).URL()), nil)
			install(t, b, test.changes...)
			tx := begin(t, b)
			appendTo(t, b.WithTx(tx), "a", 1)
			appendTo(t, b, "b", 1)
			require.Equal(t, []string{"b@1"}, tail(t, b, 0))
			require.NoError(t, tx.Commit())
			for range 2 { // transactions of the other server
				_, err := b.db.ExecContext(t.Context(), `select pg_current_xact_id()`)
				require.NoError(t, err)
			}
			var seen string
			require.NoError(t, b.db.QueryRowContext(t.Context(), `select pg_current_snapshot()::text`).Scan(&seen))
			b.seen.Store(&seen)
			appendTo(t, b, "c", 1)
			require.ElementsMatch(t, test.want, tail(t, b, 0))
			noHoles(t, b)
			require.ElementsMatch(t, test.want, tail(t, b, 0))
		})
	}
}

// TestOldHolesCostNothing counts how many holes a tick looks into while an old transaction keeps a thousand of them. It has a server to
// itself, and one part after the other: when another transaction ends that is older than a hole, the next tick looks into it.
func TestOldHolesCostNothing(t *testing.T) {
	t.Parallel()
	const many = 1000
	server := pgtest.StartServer(t).URL()
	for _, test := range []struct {
		name    string
		changes []change
		all     bool
	}{
		{"right", nil, false},
		{"trap", []change{{"if since is null or", "if true or"}}, true}, // every tick looks into all of them
	} {
		t.Run(test.name, func(t *testing.T) {
			b := setup(t, server, test.changes...)
			old := begin(t, b)
			_, err := old.ExecContext(t.Context(), `select pg_current_xact_id()`)
			require.NoError(t, err)
			for range many {
				tx := begin(t, b)
				appendTo(t, b.WithTx(tx), "gone", 1)
				require.NoError(t, tx.Rollback())
				appendTo(t, b, "a", 1)
			}
			tick(t, b)
			require.GreaterOrEqual(t, holes(t, b), int64(many))
			_, err = b.db.ExecContext(t.Context(), `select pg_current_xact_id()`)
			require.NoError(t, err)
			tick(t, b)
			plans := strings.Join(nestedPlans(t, server, b, `set auto_explain.log_analyze = on; set auto_explain.log_timing = off;
				select /*schema.*/tick/*of*/(100, true, '`+*b.seen.Load()+`')`), "\n")
			looks := regexp.MustCompile(`(?s)on holes o .{0,60}actual rows=(\d+).*?on events e_?\d* .{0,60}actual rows=[\d.]+ loops=(\d+)`).FindStringSubmatch(plans)
			require.NotEmpty(t, looks, plans)
			n, err := strconv.Atoi(looks[2])
			require.NoError(t, err)
			require.Equal(t, test.all, n >= many, "it looked into %d holes\n%s", n, plans)
		})
	}
}

func TestStreamSequenceBehindTheData(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	for _, stream := range []string{"a", "b", "c"} {
		appendTo(t, b, stream, 1)
	}
	number(t, b, `select setval('/*schema.*/stream_seq', 1)`)
	tx := begin(t, b)
	_, err := store.New(b.WithTx(tx), nil).Append(t.Context(), "d", store.Any, store.Event{Type: "happened"})
	require.ErrorIs(t, err, ErrSequenceBehind)
	require.ErrorIs(t, err, store.ErrRetryTx)
	require.NoError(t, tx.Rollback())
	require.Len(t, all(t, b), 3)
	tx = begin(t, b)
	appendTo(t, b.WithTx(tx), "d", 1)
	require.NoError(t, tx.Commit())

	number(t, b, `select setval('/*schema.*/stream_seq', 1)`)
	appendTo(t, b, "e", 1)
	require.Equal(t, []string{"a@1", "b@1", "c@1", "d@1", "e@1"}, all(t, b))
}

// TestTickBetweenTheDrawAndTheInsert: a tick that places higher numbers meanwhile does not make an append believe that
// the sequence was set back.
func TestTickBetweenTheDrawAndTheInsert(t *testing.T) {
	t.Parallel()
	drawn := "  seq := nextval('/*schema.*/append_seq');\n"
	b := setup(t, pgtest.URL(t), change{drawn, drawn + "  if in_stream = 'slow' then " + stop("drawn") + " end if;\n"})
	at := hold(t, b, "drawn")
	tx := begin(t, b)
	done := make(chan error, 1)
	go func() {
		_, err := store.New(b.WithTx(tx), nil).Append(t.Context(), "slow", store.Any, store.Event{Type: "happened"})
		done <- err
	}()
	at.reached()
	appendTo(t, b, "fast", 1)
	require.Equal(t, []string{"fast@1"}, tail(t, b, 0))
	at.release()
	require.NoError(t, <-done)
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"fast@1", "slow@1"}, all(t, b))
}
