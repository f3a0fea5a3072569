package commanded_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// TestVanished: a checkpoint that counts in a stream that was hard deleted, or may, skips nothing of the stream that has its name now,
// or gets it; any other one stays.
func TestVanished(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
	add := func(stream string, n int) { require.NoError(t, from.Append(ctx, stream, commandedtest.NewIDs(n)...)) }
	acknowledge := func(stream string, number int64) { require.NoError(t, from.Acknowledge(ctx, stream, "s", number)) }
	acknowledge("early", 0)
	add("early", 3)
	acknowledge("early", 2)
	for stream, n := range map[string]int{"gone": 4, "again": 4, "longer": 2} {
		add(stream, n)
		acknowledge(stream, int64(n))
		require.NoError(t, from.HardDelete(ctx, stream))
	}
	add("again", 2)
	add("longer", 5)
	add("late", 3)
	acknowledge("late", 2)
	add("last", 1)
	acknowledge(store.All, 3)
	path := filepath.Join(t.TempDir(), "archive")
	s, err := commanded.Open(ctx, from.Location, commanded.Options{Schema: from.Schema})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	end, err := transfer.Export(ctx, s, path, transfer.ExportOptions{})
	require.NoError(t, err)
	assert.Equal(t, int64(3), end.LeftOut["checkpoints_changed"])
	assert.Equal(t, []string{`"s" on "again", at 4`, `"s" on "gone", at 4`, `"s" on "longer", at 2`}, s.Anew())
	for _, kind := range []database.Kind{database.PostgreSQL, database.SQLite} {
		d := databasetest.New(t, kind)
		_, err = transfer.Import(ctx, d, path, transfer.ImportOptions{})
		require.NoError(t, err)
		es := store.New(d.Backend, nil)
		_, err := es.Append(ctx, "gone", store.NoStream, store.Event{Type: "x", Data: 1})
		require.NoError(t, err)
		for stream, want := range map[string]int64{"early": 3, "late": 3, "again": 1, "gone": 1, "longer": 1} {
			assert.Equal(t, want, next(t, es, stream, "s"), "%s, %s", kind, stream)
		}
		require.NoError(t, es.Close())
	}
}
