package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestAppendAtAnotherIsolationLevel: where the database's default is SERIALIZABLE, an append that meets another's newer
// write is made again.
func TestAppendAtAnotherIsolationLevel(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "a", 1)
	strict := New(pgtest.Open(t, "pgx", pgtest.URL(t)+"&default_transaction_isolation=serializable"), &b.opts)
	t.Cleanup(func() { require.NoError(t, strict.Close()) })
	tx := begin(t, b)
	appendTo(t, b.WithTx(tx), "a", 1)
	done := make(chan error, 1)
	go func() {
		_, err := store.New(strict, nil).Append(t.Context(), "a", store.Any, store.Event{Type: "happened"})
		done <- err
	}()
	eventually(t, "it waits", func() bool { return waiting(t, b) == 1 })
	require.NoError(t, tx.Commit())
	require.NoError(t, <-done)
	require.Equal(t, []string{"a@1", "a@2", "a@3"}, all(t, strict))
}

// TestDanglingLink: a link whose event is gone, which only a hand can leave, does not end a page early.
func TestDanglingLink(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	es := store.New(b, nil)
	appendTo(t, b, "a", 5)
	page, err := es.Page(t.Context(), "a", nil)
	require.NoError(t, err)
	_, err = es.Link(t.Context(), "linked", store.Any, store.IDs(page...)...)
	require.NoError(t, err)
	tx := begin(t, b)
	number := func(query string) {
		_, err := tx.ExecContext(t.Context(), query)
		require.NoError(t, err)
	}
	number(`select set_config('eventstore.hard_delete', 'on', true)`)
	number(`delete from ` + quote(b.opts.Schema) + `.events where version = 2`)
	require.NoError(t, tx.Commit())

	for _, backward := range []bool{false, true} {
		var seen []int64
		for e, err := range es.Stream(t.Context(), "linked", &store.ReadOptions{PageSize: 2, Backward: backward}) {
			require.NoError(t, err)
			seen = append(seen, e.Number)
		}
		if backward {
			require.Equal(t, []int64{5, 4, 3, 1}, seen)
		} else {
			require.Equal(t, []int64{1, 3, 4, 5}, seen)
		}
	}
}
