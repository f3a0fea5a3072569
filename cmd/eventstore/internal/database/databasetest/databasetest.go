// Package databasetest gives tests of the command line a store in each kind of database.
package databasetest

import (
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
)

// Each runs a test on a new and empty store of each kind, both in parallel.
func Each(t *testing.T, test func(t *testing.T, d *database.Database)) {
	t.Helper()
	for _, kind := range []database.Kind{database.PostgreSQL, database.SQLite} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, New(t, kind))
		})
	}
}

// New returns a new and empty store, which is closed and removed when the test ends. Its schema needs quoting.
func New(tb testing.TB, kind database.Kind) *database.Database {
	tb.Helper()
	return NewOf(tb, kind, "")
}

// NewOf is New with a type of the columns for data, if it is not "".
func NewOf(tb testing.TB, kind database.Kind, dataType string) *database.Database {
	tb.Helper()
	l, err := database.Parse(URL(tb, kind))
	require.NoError(tb, err)
	d, err := database.Open(l, database.Options{Schema: Schema(tb, kind), Create: true, DataType: dataType})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, d.Close()) })
	require.NoError(tb, migrate.Up(tb.Context(), d.Backend))
	return d
}

// URL returns where tests may put their stores of a kind.
func URL(tb testing.TB, kind database.Kind) string {
	tb.Helper()
	if kind == database.SQLite {
		return filepath.Join(tb.TempDir(), "events.db")
	}
	u, err := url.Parse(pgtest.URL(tb))
	require.NoError(tb, err)
	return u.String()
}

// Schema returns a schema that nobody else uses; it is removed when the test ends.
func Schema(tb testing.TB, kind database.Kind) string {
	tb.Helper()
	if kind == database.SQLite {
		return "a_"
	}
	return pgtest.Schema(tb)
}

// Open opens a store whose tables may be missing.
func Open(tb testing.TB, where, schema string) *database.Database {
	tb.Helper()
	l, err := database.Parse(where)
	require.NoError(tb, err)
	d, err := database.Open(l, database.Options{Schema: schema, Create: true})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, d.Close()) })
	return d
}
