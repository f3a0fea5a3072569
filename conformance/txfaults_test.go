package conformance

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestTxFaults tests the cases that need transactions and one writer.
func TestTxFaults(t *testing.T) {
	t.Parallel()
	suite{
		golden: "testdata/txfaults.txt",
		over:   Harness{Name: "sqlite", New: newSQLite},
		cases:  casesFor(func(u txUse) bool { return u == ownTx || u == besideTx }),
		faults: slices.Concat(txFaults, pinnedTxFaults, appendAllTxFaults),
	}.check(t)
}

// TestOpenTxFaults tests the cases that need several writers.
func TestOpenTxFaults(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	suite{
		golden: "testdata/opentxfaults.txt",
		over: Harness{Name: "postgres", New: func(tb testing.TB) store.Storage {
			b := postgres.New(pgtest.Open(tb, "pgx", url), &postgres.Options{Schema: pgtest.Schema(tb)})
			require.NoError(tb, migrate.Up(tb.Context(), b))
			return b
		}},
		cases:  casesFor(func(u txUse) bool { return u == writersBesideTx }),
		faults: slices.Concat(openTxFaults, pinnedOpenTxFaults, appendAllOpenTxFaults, lateChoiceFaults),
	}.check(t)
}

func newSQLite(tb testing.TB) store.Storage {
	db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(tb.TempDir(), "events.db")))
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = db.Close() })
	b := sqlite.New(db, nil)
	require.NoError(tb, migrate.Up(tb.Context(), b))
	return b
}
