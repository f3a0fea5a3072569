package dqlite

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
)

func TestMain(m *testing.M) { Main(m) }

// backend returns a backend on a database of the cluster, with the tables in place.
func backend(tb testing.TB, c *Cluster, database string) *sqlite.Backend {
	tb.Helper()
	b := sqlite.New(c.Open(tb, database, 0), nil)
	require.NoError(tb, migrate.Up(tb.Context(), b))
	tb.Cleanup(func() { require.NoError(tb, b.Close()) })
	return b
}
