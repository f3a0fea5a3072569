package store_test

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// counting counts the hints it is given.
type counting struct{ n atomic.Int64 }

func (c *counting) Notify() { c.n.Add(1) }

func (c *counting) Listen(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestNotify: the notifier hears of every commit that the store knows of, and of no other.
func TestNotify(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", sqlite.Memory())
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // the test's
	backend := sqlite.New(db, nil)
	require.NoError(t, migrate.Up(t.Context(), backend))
	var heard counting
	es := store.New(backend, &store.Options{Notifier: &heard, HardDelete: true})
	event := store.Event{Type: "happened"}
	hears := func(want int64, what string, f func() error) {
		t.Helper()
		before := heard.n.Load()
		err := f()
		require.Equal(t, want, heard.n.Load()-before, "%s: %v", what, err)
	}
	ctx := t.Context()
	appendTo := func(es *store.Store) error {
		_, err := es.Append(ctx, "a", store.Any, event)
		return err
	}
	hears(1, "append", func() error { return appendTo(es) })
	hears(0, "conflict", func() error { _, err := es.Append(ctx, "a", store.NoStream, event); return err })
	hears(0, "invalid", func() error { _, err := es.Append(ctx, "", store.NoStream, event); return err })
	hears(1, "link", func() error {
		page, err := es.Page(ctx, "a", nil)
		require.NoError(t, err)
		_, err = es.Link(ctx, "b", store.Any, store.IDs(page...)...)
		return err
	})
	hears(1, "soft delete", func() error { return es.Delete(ctx, "b", store.Any, store.SoftDelete) })
	hears(1, "InTx, however much it writes", func() error {
		return es.InTx(ctx, func(tx *sql.Tx) error {
			return errors.Join(appendTo(es.WithTx(tx)), appendTo(es.WithTx(tx)))
		})
	})
	hears(0, "InTx that fails", func() error {
		return es.InTx(ctx, func(tx *sql.Tx) error { return errors.Join(appendTo(es.WithTx(tx)), context.Canceled) })
	})
	var tx *sql.Tx
	hears(0, "a caller's transaction", func() error {
		tx, err = db.BeginTx(ctx, nil)
		require.NoError(t, err)
		require.NoError(t, appendTo(es.WithTx(tx)))
		return tx.Commit()
	})
	hears(1, "Committed", func() error { es.WithTx(tx).Committed(); return nil })
}
