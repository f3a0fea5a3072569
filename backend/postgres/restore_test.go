package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/eventstore-go/eventstore/internal/history"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// What holds after pg_dump and psql into another server, whose transaction counter is far behind: fences of the old one
// lie in the future there.

// dump returns what pg_dump says of the database.
func dump(t *testing.T, from *pgtest.Server) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), from.Program(t, "pg_dump"), from.URL())
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, &stderr)
	return out
}

// restore feeds a dump to psql.
func restore(t *testing.T, to *pgtest.Server, database string, dump []byte) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), to.Program(t, "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", to.DatabaseURL(database))
	cmd.Stdin = bytes.NewReader(dump)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// events returns all events with their places.
func events(t *testing.T, b *Backend) []history.Seen {
	t.Helper()
	var h history.History
	require.NoError(t, h.ReadFinal(t.Context(), store.New(b, nil)))
	require.Equal(t, int64(len(h.Final)), h.Head, "positions are 1 … n")
	return h.Final
}

func TestDumpAndRestore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	old, young := pgtest.StartServer(t), pgtest.StartServer(t)
	old.Program(t, "pg_dump") // before there is load
	source := New(pgtest.Open(t, "pgx", old.URL()), nil)
	install(t, source)
	// The old server has run for long.
	_, err := source.db.ExecContext(ctx, `do $$ begin for i in 1 .. 20000 loop perform pg_current_xact_id(); commit; end loop; end $$`)
	require.NoError(t, err)

	// A busy store, dumped at no particular time. It has holes of transactions that are open, that have ended unknown to the
	// tick, and that end before the dump; and appends that no tick has seen.
	l := &load{db: source.db, es: store.New(source, nil)}
	var running errgroup.Group
	running.Go(func() error { return l.run(ctx, 4) })
	eventually(t, "appends are acknowledged", func() bool { return l.acknowledged.Load() >= 100 || l.failed.Load() })
	open, gone, late := begin(t, source), begin(t, source), begin(t, source)
	appendNamed(t, source.WithTx(open), "open", numbers("open", 2))
	appendNamed(t, source.WithTx(gone), "gone", numbers("gone", 2))
	appendNamed(t, source.WithTx(late), "late", numbers("late", 2))
	eventually(t, "they are holes", func() bool {
		tick(t, source)
		return number(t, source, `select coalesce(sum(last_seq - first_seq + 1), 0) from /*schema.*/holes`) >= 3 || l.failed.Load()
	})
	acknowledged := l.rec.History().Writes
	busy := dump(t, old)
	l.stopped.Store(true)
	require.NoError(t, running.Wait())

	// The same, when all is quiet.
	require.NoError(t, gone.Rollback())
	before := events(t, source)
	require.NoError(t, late.Commit())
	appendNamed(t, source, "unseen", numbers("unseen", 3))
	quiet := dump(t, old)
	require.Positive(t, holes(t, source))
	fence := number(t, source, `select max(fence::text::bigint) from /*schema.*/holes`)

	for name, text := range map[string][]byte{"quiet": quiet, "busy": busy} {
		t.Run(name, func(t *testing.T) {
			admin := pgtest.Open(t, "pgx", young.URL())
			_, err := admin.ExecContext(ctx, `create database `+name)
			require.NoError(t, err)
			restore(t, young, name, text)
			db := pgtest.Open(t, "pgx", young.DatabaseURL(name))
			db.SetMaxIdleConns(10)
			b := New(db, nil)
			t.Cleanup(func() { require.NoError(t, b.Close()) })
			require.Greater(t, fence, number(t, b, `select pg_current_xact_id()::text::bigint`)+10_000, "the new server's counter is far behind")
			require.Positive(t, holes(t, b), "holes of the old server came with it")

			placed := number(t, b, `select max(position + n - 1) from /*schema.*/log`)
			require.Positive(t, placed)
			got := events(t, b)
			require.Equal(t, before[:placed], got[:placed], "every event kept its place")
			for _, s := range got {
				require.NotContains(t, []string{"open", "gone"}, s.Stream)
			}
			if name == "quiet" {
				require.Len(t, got, len(before)+5)
				require.Equal(t, slices.Concat(numbers("late", 2), numbers("unseen", 3)), namesOf(got[len(before):]))
			} else {
				for _, w := range acknowledged {
					require.Subset(t, namesOf(got), w.IDs, "what was acknowledged before the dump is in it")
				}
			}
			noHoles(t, b)
			retry(t, b, acknowledged)

			// And it goes on: events of before are where they were, new ones behind them.
			mine := begin(t, b)
			appendNamed(t, b.WithTx(mine), "mine", numbers("mine", 2))
			rolledBack := begin(t, b)
			appendNamed(t, b.WithTx(rolledBack), "gone", numbers("gone", 2))
			goOnAfter(t, b, got)
			require.NoError(t, rolledBack.Rollback())
			require.NoError(t, mine.Commit())
			all := events(t, b)
			require.Equal(t, numbers("mine", 2), namesOf(all[len(all)-2:]))
			noHoles(t, b)
			require.Equal(t, all, events(t, b))
		})
	}
}

func namesOf(events []history.Seen) []string {
	names := make([]string, len(events))
	for i, e := range events {
		names[i] = e.ID
	}
	return names
}

func appendNamed(t *testing.T, s store.Storage, stream string, names []string) {
	t.Helper()
	_, err := store.New(s, nil).Append(t.Context(), stream, store.Any, eventsNamed(names)...)
	require.NoError(t, err)
}

// retry sends appends again that the old server had acknowledged: the new one knows them.
func retry(t *testing.T, b *Backend, acknowledged []history.Write) {
	t.Helper()
	es := store.New(b, nil)
	for _, w := range acknowledged[:20] {
		res, err := es.Append(t.Context(), w.Stream, store.Any, eventsNamed(w.IDs)...)
		require.NoError(t, err)
		require.Equal(t, store.AppendResult{Stream: w.Stream, First: w.First, Last: w.First + int64(len(w.IDs)) - 1, Retried: true}, placed(res))
		_, err = es.Append(t.Context(), "elsewhere", store.Any, eventsNamed(w.IDs)...)
		require.ErrorIs(t, err, store.ErrDuplicateEvent)
	}
}

// goOnAfter runs writers and readers on a store that holds events already, and checks what they saw.
func goOnAfter(t *testing.T, b *Backend, have []history.Seen) {
	t.Helper()
	l := &load{db: b.db, es: store.New(b, nil), name: "after "}
	var running errgroup.Group
	running.Go(func() error { return l.run(context.WithoutCancel(t.Context()), 4) })
	eventually(t, "appends are acknowledged", func() bool { return l.acknowledged.Load() >= 100 || l.failed.Load() })
	l.stopped.Store(true)
	require.NoError(t, running.Wait())
	h := l.rec.History()
	for _, s := range have { // as if each had been appended alone, long ago
		h.Writes = append(h.Writes, history.Write{Kind: history.Append, Stream: s.Stream, IDs: []string{s.ID}, First: s.Version, Began: -1, Ended: 0, Outcome: history.Committed})
	}
	require.NoError(t, h.ReadFinal(t.Context(), l.es))
	require.Empty(t, h.Check())
	require.Equal(t, have, h.Final[:len(have)], "every event kept its place")
}

func TestSequenceSetBackAfterRestore(t *testing.T) {
	t.Parallel()
	server := pgtest.StartServer(t)
	server.Program(t, "pg_dump")
	source := New(pgtest.Open(t, "pgx", server.URL()), nil)
	install(t, source)
	want := []string{}
	put := func(stream string, n int) {
		have := numbers(stream, n)
		for _, name := range have {
			appendNamed(t, source, stream, []string{name})
		}
		want = append(want, have...)
	}
	put("placed", 30) // 1 to 30
	tx := begin(t, source)
	appendNamed(t, source.WithTx(tx), "gone", []string{"gone"}) // 31
	put("more", 5)
	require.Equal(t, want, namesOf(events(t, source)))
	require.NoError(t, tx.Rollback())
	put("unplaced", 30) // up to 66
	text := dump(t, server)

	admin := pgtest.Open(t, "pgx", server.URL())
	for i, test := range []struct {
		name string
		set  string // what somebody does to the sequence
	}{
		{"to the start", `select setval('/*schema.*/append_seq', 1, false)`},
		{"among what is placed", `select setval('/*schema.*/append_seq', 20)`},
		{"to the hole", `select setval('/*schema.*/append_seq', 30)`},
		{"behind what is placed", `select setval('/*schema.*/append_seq', 36)`},
		{"among what is not placed", `select setval('/*schema.*/append_seq', 45)`},
		{"to the last number but one", `select setval('/*schema.*/append_seq', 65)`},
		{"not at all", `select 1`},
		{"far ahead", `select setval('/*schema.*/append_seq', 1000000)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := fmt.Sprintf("restored_%d", i)
			_, err := admin.ExecContext(t.Context(), `create database `+name)
			require.NoError(t, err)
			restore(t, server, name, text)
			b := New(pgtest.Open(t, "pgx", server.DatabaseURL(name)), nil)
			t.Cleanup(func() { require.NoError(t, b.Close()) })
			number(t, b, test.set)

			// In a caller's transaction, which can't be healed from within: it fails, or its event is there.
			inTx := func(id string, events []store.Event) (done []string) {
				tx := begin(t, b)
				_, err := store.New(b, nil).WithTx(tx).Append(t.Context(), "tx", store.Any, events...)
				if err != nil {
					require.ErrorIs(t, err, store.ErrRetryTx)
					require.NoError(t, tx.Rollback())
					return nil
				}
				require.NoError(t, tx.Commit())
				return []string{id}
			}
			want := slices.Concat(want, inTx("first", eventsNamed([]string{"first"})))
			fresh := eventsNamed([]string{"second"})
			fresh[0].ID = [16]byte{}
			want = append(want, inTx("second", fresh)...)

			for i, name := range numbers("alone", 3) {
				e := eventsNamed([]string{name})
				if i == 1 {
					e[0].ID = [16]byte{}
				}
				_, err := store.New(b, nil).Append(t.Context(), "alone", store.Any, e...)
				require.NoError(t, err, "it heals by itself")
				want = append(want, name)
			}
			want = append(want, inTx("third", eventsNamed([]string{"third"}))...)
			require.Contains(t, want, "third")
			got := namesOf(events(t, b))
			require.ElementsMatch(t, want, got, "nothing is lost, nothing is there twice")
			assert.Equal(t, want[:35], got[:35], "what had a place kept it")
			noHoles(t, b)
			require.Equal(t, got, namesOf(events(t, b)))
		})
	}
}
