package postgres

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

func TestDuplicateCommittedDuringALargeAppend(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		inTx bool
	}{{"alone", false}, {"in a caller's transaction", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, pgtest.URL(t))
			appendTo(t, b, "a", 1)
			events := eventsNamed(numbers("event", maxChunkEvents+10))
			other := begin(t, b)
			taken := events[maxChunkEvents+5]
			_, err := store.New(b, nil).WithTx(other).Append(t.Context(), "other", store.Any, taken)
			require.NoError(t, err)

			es := store.New(b, nil)
			var mine *sql.Tx
			if test.inTx {
				mine = begin(t, b)
				es = es.WithTx(mine)
				appendTo(t, b.WithTx(mine), "mine", 1)
			}
			done := make(chan error, 1)
			go func() {
				_, err := es.Append(t.Context(), "a", store.Any, events...)
				done <- err
			}()
			eventually(t, "the second statement waits for the id", func() bool {
				return number(t, b, `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%' || $1 || '.append%'`, quote(b.opts.Schema)) == 1
			})
			require.NoError(t, other.Commit())
			err = <-done
			require.ErrorIs(t, err, store.ErrDuplicateEvent)
			var duplicate *store.DuplicateEventError
			require.ErrorAs(t, err, &duplicate)
			require.Equal(t, taken.ID, duplicate.ID)
			want := []string{"a@1", "other@1"}
			if test.inTx {
				appendTo(t, b.WithTx(mine), "mine", 1) // the transaction goes on
				require.NoError(t, mine.Commit())
				want = append(want, "mine@1", "mine@2")
			}
			require.Equal(t, want, tail(t, b, 0))
			appendTo(t, b, "a", 1)
			require.Equal(t, []string{"a@2"}, tail(t, b, int64(len(want))), "no version is left out")
		})
	}
}
