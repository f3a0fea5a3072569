package sqlite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// A write that an unfinished import refuses is ErrImporting, alone and in a caller's transaction. What another constraint refuses is
// not.
func TestImporting(t *testing.T) {
	t.Parallel()
	es, db := newStore(t)
	ctx := t.Context()
	for _, statement := range []string{
		`create table import_progress (unfinished integer not null default 1, constraint import_is_unfinished check (unfinished = 1)) strict`,
		`insert into import_progress default values`,
		`create trigger import_guard before insert on streams when new.name = 'imported' begin update import_progress set unfinished = 0; end`,
		`create table mine (n integer not null, constraint mine_positive check (n > 0)) strict`,
		`create trigger mine before insert on streams when new.name = 'mine' begin insert into mine (n) values (0); end`,
	} {
		_, err := db.ExecContext(ctx, statement)
		require.NoError(t, err)
	}
	_, err := es.Append(ctx, "imported", store.Any, events(2)...)
	require.ErrorIs(t, err, store.ErrImporting)
	_, err = es.Append(ctx, "other", store.Any, events(2)...)
	require.NoError(t, err)
	_, err = es.Append(ctx, "mine", store.Any, events(2)...)
	require.Error(t, err)
	require.NotErrorIs(t, err, store.ErrImporting)
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = es.WithTx(tx).Append(ctx, "imported", store.Any, events(1)...)
	require.ErrorIs(t, err, store.ErrImporting)
	_, err = es.WithTx(tx).Append(ctx, "other", store.Any, events(1)...)
	require.NoError(t, err, "the transaction goes on")
	require.NoError(t, tx.Commit())
}
