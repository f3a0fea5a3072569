package store_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// projectingStore returns a Store that can run projections, on SQLite.
func projectingStore(t *testing.T, opts *store.Options) *store.Store {
	t.Helper()
	return projectingStores(t, 1, opts)[0]
}

// projectingStores returns several on the same database.
func projectingStores(t *testing.T, n int, opts *store.Options) (list []*store.Store) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.db")
	for i := range n {
		db, err := sql.Open("sqlite", sqlite.DSN(path))
		require.NoError(t, err)
		backend := sqlite.New(db, nil)
		if i == 0 {
			require.NoError(t, migrate.Up(t.Context(), backend))
		}
		es := store.New(backend, opts)
		t.Cleanup(func() {
			require.NoError(t, es.Close())
			require.NoError(t, db.Close())
		})
		list = append(list, es)
	}
	return list
}
