package sqlite_test

import (
	"context"
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/store"
)

// open opens a database with the schema in place.
func open(tb testing.TB, dsn string, opts *sqlite.Options) *sqlite.Backend {
	tb.Helper()
	db, err := sql.Open("sqlite", dsn)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	b := sqlite.New(db, opts)
	tb.Cleanup(func() { require.NoError(tb, b.Close()) })
	up(tb, b)
	return b
}

func up(tb testing.TB, b *sqlite.Backend) {
	ctx := context.Background()
	text, err := fs.ReadFile(b.Migrations(), "0001_init.up.sql")
	require.NoError(tb, err)
	_, err = b.DB().ExecContext(ctx, string(text))
	require.NoError(tb, err)
	_, err = b.DB().ExecContext(ctx, b.MigrationQuery("migrate_prepare"))
	require.NoError(tb, err)
	_, err = b.DB().ExecContext(ctx, b.MigrationQuery("migrate_set_version"), 1)
	require.NoError(tb, err)
}

func TestScratch(t *testing.T) {
	for name, dsn := range map[string]string{"file": sqlite.DSN(filepath.Join(t.TempDir(), "a b?#%.db")), "memory": sqlite.Memory()} {
		t.Run(name, func(t *testing.T) {
			b := open(t, dsn, nil)
			ctx := t.Context()
			es := store.New(b, &store.Options{HardDelete: true})
			res, err := es.Append(ctx, "a", store.NoStream, store.Event{Type: "x", Data: 1}, store.Event{Type: "y", Data: 2, Metadata: 3})
			require.NoError(t, err)
			require.Equal(t, int64(2), res.Last)
			_, err = es.Append(ctx, "a", store.NoStream, store.Event{Type: "x", Data: 1})
			require.ErrorIs(t, err, store.ErrWrongExpectedVersion)
			page, err := es.Page(ctx, store.All, nil)
			require.NoError(t, err)
			require.Len(t, page, 2)
			_, err = es.Link(ctx, "l", store.NoStream, store.IDs(page...)...)
			require.NoError(t, err)
			page, err = es.Page(ctx, "l", nil)
			require.NoError(t, err)
			require.Len(t, page, 2)
			require.NoError(t, es.Delete(ctx, "a", store.Any, store.HardDelete))
			page, err = es.Page(ctx, "l", nil)
			require.NoError(t, err)
			require.Len(t, page, 0)
			h, err := es.Head(ctx)
			require.NoError(t, err)
			require.Equal(t, int64(2), h)
			tx, err := b.BeginTx(ctx, nil)
			require.NoError(t, err)
			_, err = es.WithTx(tx).Append(ctx, "b", store.Any, store.Event{Type: "x", Data: 1})
			require.NoError(t, err)
			_, err = es.WithTx(tx).Append(ctx, "b", store.NoStream, store.Event{Type: "x", Data: 1})
			require.ErrorIs(t, err, store.ErrWrongExpectedVersion)
			require.NoError(t, tx.Commit())
			i, err := es.StreamInfo(ctx, "b")
			require.NoError(t, err)
			require.Equal(t, int64(1), i.Version)
		})
	}
}
