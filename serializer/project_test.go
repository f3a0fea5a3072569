package serializer_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

// TestRouterInProjection: handlers by type write in a projection's transaction, and what they append there is caused by
// their event; types without a handler are passed over, and counted.
func TestRouterInProjection(t *testing.T) {
	t.Parallel()
	type paid struct{ Cents int64 }
	type thanked struct{}
	types := serializer.NewTypes()
	serializer.Register[paid](types, "paid")
	serializer.Register[thanked](types, "thanked")
	db, err := sql.Open("sqlite", sqlite.Memory())
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // a test
	backend := sqlite.New(db, nil)
	require.NoError(t, migrate.Up(t.Context(), backend))
	_, err = db.ExecContext(t.Context(), `create table total (cents integer not null)`)
	require.NoError(t, err)
	es := store.New(backend, &store.Options{Serializer: serializer.JSON(types)})
	defer es.Close() //nolint:errcheck // a test

	router := store.NewRouter()
	store.On(router, func(ctx context.Context, e store.Recorded, p paid) error {
		if _, err := store.TxFrom(ctx).ExecContext(ctx, `insert into total values ($1)`, p.Cents); err != nil {
			return err
		}
		_, err := es.WithTx(store.TxFrom(ctx)).Append(ctx, "thanks", store.Any, store.Event{Data: thanked{}})
		return err
	})
	res, err := es.Append(t.Context(), "customer-1", store.NoStream, store.Event{Data: paid{5}}, store.Event{Data: paid{7}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- es.Project(ctx, "totals", router.HandleBatch, nil) }()
	for errors.Is(es.WaitFor(t.Context(), "totals", res), store.ErrProjectionNotFound) {
	}
	require.NoError(t, es.WaitForPosition(t.Context(), "totals", 4))
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)

	var total int64
	require.NoError(t, db.QueryRowContext(t.Context(), `select sum(cents) from total`).Scan(&total))
	assert.EqualValues(t, 12, total)
	var causes []uuid.UUID
	var want []uuid.UUID
	for e, err := range es.All(t.Context(), nil) {
		require.NoError(t, err)
		if e.Stream == "thanks" {
			causes = append(causes, e.CausationID)
		} else {
			want = append(want, e.ID)
		}
	}
	assert.Equal(t, want, causes)
	assert.Equal(t, map[string]int64{"thanked": 2}, router.Unhandled())
	assert.Nil(t, store.TxFrom(t.Context()))
}
