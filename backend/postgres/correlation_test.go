package postgres

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestIndexCorrelationsTimesOut: the session's timeouts end the making of the index while a transaction is open that has appended. The
// error says so and what to do, and the next call begins anew.
func TestIndexCorrelationsTimesOut(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		for _, timeout := range []string{"statement_timeout=50", "lock_timeout=50"} {
			t.Run(driver+" "+timeout, func(t *testing.T) {
				t.Parallel()
				b := setup(t, pgtest.URL(t))
				tx := begin(t, b)
				appendTo(t, b.WithTx(tx), "a", 1)

				impatient := New(pgtest.Open(t, driver, pgtest.URL(t)+"&"+timeout), &Options{Schema: b.opts.Schema})
				t.Cleanup(func() { require.NoError(t, impatient.Close()) })
				err := impatient.IndexCorrelations(t.Context())
				require.ErrorIs(t, err, store.ErrTimeout)
				require.ErrorContains(t, err, "statement_timeout=0 and lock_timeout=0")
				require.ErrorIs(t, impatient.correlationsIndexed(t.Context()), store.ErrNotIndexed)

				require.NoError(t, tx.Commit())
				require.NoError(t, b.IndexCorrelations(t.Context()))
				id := uuid.New()
				es := store.New(b, nil)
				_, err = es.Append(t.Context(), "b", store.Any, store.Event{Type: "happened", CorrelationID: id})
				require.NoError(t, err)
				var found []string
				for e, err := range es.Correlation(t.Context(), id) {
					require.NoError(t, err)
					found = append(found, e.Stream)
				}
				require.Equal(t, []string{"b"}, found)
				require.NoError(t, es.Close())
			})
		}
	}
}
