package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

func TestNoTickInACallersTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "a", 1)
	tx := begin(t, b)
	appendTo(t, b.WithTx(tx), "b", 1)
	page, err := b.WithTx(tx).ReadAll(t.Context(), store.ReadRequest{From: 1, Limit: 10})
	require.NoError(t, err)
	require.Empty(t, page.Events, "nobody has placed a@1 yet, and this transaction must not")
	require.Equal(t, []string{"a@1"}, all(t, b), "it holds nothing that a tick needs")
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"a@1", "b@1"}, all(t, b))
}

func TestTickAtAnotherIsolationLevel(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t)+"&default_transaction_isolation=serializable")
	appendTo(t, b, "a", 2)
	require.Equal(t, []string{"a@1", "a@2"}, all(t, b))
}

func TestReadOnlySessionsReadWhatOthersPlaced(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "a", 1)
	require.Len(t, all(t, b), 1)
	appendTo(t, b, "a", 1)
	reader := New(pgtest.Open(t, "pgx", pgtest.URL(t)+"&default_transaction_read_only=on"), &b.opts)
	require.Equal(t, []string{"a@1"}, all(t, reader))
	require.Len(t, all(t, b), 2)
	require.Equal(t, []string{"a@1", "a@2"}, all(t, reader))
	require.NoError(t, reader.Close())
}

func TestOneTickAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t), change{beforeSnapshot, stop("one at a time") + "\n" + beforeSnapshot})
	appendTo(t, b, "a", 1)
	at := hold(t, b, "one at a time")
	first := make(chan error, 1)
	go func() {
		_, err := b.tick(t.Context(), maxPlaced, true)
		first <- err
	}()
	at.reached()

	n, err := b.tick(t.Context(), maxPlaced, false)
	require.NoError(t, err)
	require.EqualValues(t, -1, n, "another tick is running")
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() {
		_, err := b.tick(ctx, maxPlaced, true)
		waiting <- err
	}()
	cancel()
	require.ErrorIs(t, <-waiting, context.Canceled)

	appendTo(t, b, "b", 1) // no append waits for a tick
	at.release()
	require.NoError(t, <-first)
	require.Equal(t, []string{"a@1", "b@1"}, all(t, b))
}

// A stream that is hard deleted while a tick that saw it is on its way gets positions for nothing: the head moves, nobody
// is shown anything, and the positions are not used again.
func TestHardDeleteDuringATick(t *testing.T) {
	t.Parallel()
	const afterSnapshot = "  insert into /*schema.*/log (position, append_seq, placed_at, n, appends)\n  select head_position"
	b := setup(t, pgtest.URL(t), change{afterSnapshot, stop("after snapshot") + "\n" + afterSnapshot})
	es := store.New(b, &store.Options{HardDelete: true})
	appendTo(t, b, "a", 1)
	require.Equal(t, []string{"a@1"}, all(t, b))
	appendTo(t, b, "gone", 2)
	at := hold(t, b, "after snapshot")
	ticked := make(chan error, 1)
	go func() {
		_, err := b.tick(t.Context(), maxPlaced, true)
		ticked <- err
	}()
	at.reached()

	require.NoError(t, es.Delete(t.Context(), "gone", store.Any, store.HardDelete), "it does not wait for the tick")
	head, err := es.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, head)
	at.release()
	require.NoError(t, <-ticked)

	head, err = es.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, head)
	require.Equal(t, []string{"a@1"}, all(t, b))
	appendTo(t, b, "b", 1)
	var positions []int64
	for e, err := range es.All(t.Context(), nil) {
		require.NoError(t, err)
		positions = append(positions, e.Number)
	}
	require.Equal(t, []int64{1, 4}, positions)
}

func TestReadersShareTicks(t *testing.T) {
	t.Parallel()
	var s ticks
	release := make(chan struct{})
	started := make(chan int, 10)
	n := 0
	tick := func() (bool, error) {
		n++ // one at a time
		started <- n
		<-release
		return n == 2, nil
	}
	type outcome struct {
		more bool
		err  error
	}
	done := make(chan outcome, 3)
	do := func() {
		more, err := s.do(t.Context(), tick)
		done <- outcome{more, err}
	}
	go do()
	<-started
	for range 2 { // both come after the first tick began: one more tick serves both
		go do()
	}
	eventually(t, "the next tick has its runner", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.next != nil
	})
	close(release)
	left := 0
	for range 3 {
		o := <-done
		require.NoError(t, o.err)
		if o.more {
			left++
		}
	}
	require.LessOrEqual(t, n, 3)
	require.GreaterOrEqual(t, n, 2)
	require.GreaterOrEqual(t, left, 1, "the second tick has left something to place")
}

// A reader of all events waits for as many positions as a tick gives, not for those of all that was appended before; and
// leaves out nothing of it.
func TestFirstReadOfManyAppends(t *testing.T) {
	t.Parallel()
	const appends = 2*readerPlaced + 1000
	for _, filter := range []store.EventFilter{{}, {Types: []string{"happened"}}} {
		b := setup(t, pgtest.URL(t))
		exec := func(query string) {
			t.Helper()
			_, err := b.db.ExecContext(t.Context(), strings.NewReplacer(b.opts.replacements()...).Replace(query))
			require.NoError(t, err)
		}
		fill(exec, 1, appends)
		exec(`do $$ begin
			perform set_config('eventstore.hard_delete', 'on', true);
			delete from /*schema.*/log;
			perform setval('/*schema.*/append_seq', ` + itoa(appends) + `);
		end $$`)

		page, _, err := b.ReadFiltered(t.Context(), store.ReadRequest{Stream: store.All, From: 1, Limit: 100}, filter)
		require.NoError(t, err)
		require.NotEmpty(t, page)
		require.EqualValues(t, readerPlaced, number(t, b, `select max(l.position + l.n * l.appends - 1) from /*schema.*/log l`), "positions given for the first page")

		n := int64(0)
		for e, err := range store.New(b, nil).All(t.Context(), nil) {
			require.NoError(t, err)
			n++
			require.Equal(t, n, e.Number)
		}
		require.EqualValues(t, appends, n)
	}
}
