package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/conformance/model"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

func TestModel(t *testing.T) {
	t.Parallel()
	model.Run(t, newStorage)
}

func TestModelOfSubscriptions(t *testing.T) {
	t.Parallel()
	model.RunSubscriptions(t, 5*time.Second, newStorage)
}

func newStorage(tb testing.TB) store.Storage {
	b := postgres.New(pgtest.Open(tb, "pgx", pgtest.URL(tb)), &postgres.Options{Schema: pgtest.Schema(tb)})
	require.NoError(tb, migrate.Up(tb.Context(), b))
	tb.Cleanup(func() { require.NoError(tb, b.Close()) })
	return b
}
