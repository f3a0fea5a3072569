package postgres

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestSequenceSetBackIntoAGap: a number that nobody has used, but below that of the stream's last event, would put the
// stream out of order.
func TestSequenceSetBackIntoAGap(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "a", 1)
	tx := begin(t, b)
	appendTo(t, b.WithTx(tx), "gone", 1)
	require.NoError(t, tx.Rollback())
	appendTo(t, b, "a", 1)
	number(t, b, `select setval('/*schema.*/append_seq', 1)`)
	appendTo(t, b, "a", 1) // draws 2 first
	require.Equal(t, []string{"a@1", "a@2", "a@3"}, all(t, b))
}

// TestTransactionOfAnotherPool: any *sql.Tx on the database will do, also once statements are prepared on the store's own.
func TestTransactionOfAnotherPool(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		b := setup(t, pgtest.URL(t))
		appendTo(t, b, "a", 1) // prepares
		tx, err := pgtest.Open(t, driver, pgtest.URL(t)).BeginTx(t.Context(), nil)
		require.NoError(t, err)
		appendTo(t, b.WithTx(tx), "a", 1)
		require.NoError(t, tx.Commit())
		require.Equal(t, []string{"a@1", "a@2"}, all(t, b))
	}
}

func TestNilTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	_, err := store.New(b, nil).WithTx(nil).Append(t.Context(), "a", store.Any, store.Event{Type: "happened"})
	require.ErrorIs(t, err, store.ErrInvalid)
	require.Empty(t, all(t, b))
}

func TestLinkRaceIntoTheEventsOwnStream(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	ctx := t.Context()
	absent, err := b.find(ctx, "find_stream", "a") // what a link has seen, before
	require.NoError(t, err)
	appendTo(t, b, "a", 1) // another session creates the stream with the very event
	page, err := store.New(b, nil).Page(ctx, "a", nil)
	require.NoError(t, err)
	last, err := b.writeLinks(ctx, store.LinkRequest{Stream: "a", Expected: store.Any, Events: store.IDs(page...)}, absent, true)
	require.NoError(t, err)
	require.Zero(t, last, "it is judged again")
	_, err = store.New(b, nil).Link(ctx, "a", store.Any, store.IDs(page...)...)
	require.ErrorIs(t, err, store.ErrDuplicateEvent)
}

// TestRetryOvertakesWhileItIsJudged: the first attempt commits after the second was refused and before anybody knows why. The
// second then finds its ids, and has to find them in the stream.
func TestRetryOvertakesWhileItIsJudged(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	r := store.AppendRequest{Stream: "a", Expected: store.NoStream, Events: []store.NewEvent{
		{ID: uuid.New(), Type: "happened"}, {ID: uuid.New(), Type: "happened"},
	}}
	tx := begin(t, b)
	first, err := b.WithTx(tx).Append(t.Context(), r)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), `lock table "`+b.opts.Schema+`".events in access exclusive mode`) // what looks for ids waits
	require.NoError(t, err)

	var again store.AppendResult
	done := make(chan error)
	go func() {
		res, err := b.judgeAppend(t.Context(), r)
		again = res
		done <- err
	}()
	eventually(t, "the second looks for its ids", func() bool { return locked(t, b, "events") })
	require.NoError(t, tx.Commit())
	require.NoError(t, <-done)
	first.Retried = true
	require.Equal(t, first, again)
}

// TestStreamReplacedMeanwhile: one transaction deletes a stream and writes it anew, with the same event. Who waited for it finds
// what is there then.
func TestStreamReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(es *store.Store, id uuid.UUID) error{
		"delete": func(es *store.Store, _ uuid.UUID) error {
			return es.Delete(t.Context(), "a", store.Any, store.HardDelete)
		},
		"link": func(es *store.Store, id uuid.UUID) error {
			_, err := es.Link(t.Context(), "links", store.Any, id)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, pgtest.URL(t))
			es := store.New(b, &store.Options{HardDelete: true})
			e := store.Event{ID: uuid.New(), Type: "happened"}
			_, err := es.Append(t.Context(), "a", store.Any, e)
			require.NoError(t, err)
			tx := begin(t, b)
			require.NoError(t, es.WithTx(tx).Delete(t.Context(), "a", store.Any, store.HardDelete))
			_, err = es.WithTx(tx).Append(t.Context(), "a", store.Any, e)
			require.NoError(t, err)
			done := make(chan error)
			go func() { done <- call(es, e.ID) }()
			eventually(t, "it waits", func() bool {
				return number(t, b, `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%' || $1 || '%'`, b.opts.Schema) > 0
			})
			require.NoError(t, tx.Commit())
			require.NoError(t, <-done)
		})
	}
}

// locked reports whether a session waits for the table.
func locked(t *testing.T, b *Backend, table string) bool {
	return number(t, b, `select count(*) from pg_locks where not granted and relation = $1::regclass`, b.opts.Schema+"."+table) > 0
}
