package encryption_test

import (
	"bytes"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/serializer/encryption/sqlkeys"
	"github.com/eventstore-go/eventstore/store"
)

// TestForgetInSQLite: events and keys in one database, through everything that a Store does with an event.
func TestForgetInSQLite(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := sql.Open("sqlite", sqlite.DSN(t.TempDir()+"/events.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	backend := sqlite.New(db, nil)
	require.NoError(t, migrate.Up(ctx, backend))
	keys, err := sqlkeys.New(db, &sqlkeys.Options{MasterKeys: [][]byte{bytes.Repeat([]byte{1}, 32)}})
	require.NoError(t, err)
	require.NoError(t, keys.Create(ctx))
	secret := encryption.New(keys, nil, nil)
	es := open(secret, backend)
	require.NoError(t, es.Check(ctx))

	ada, mary, shop := registered{"c-1", "Ada"}, registered{"c-2", "Mary"}, opened{"here"}
	_, err = es.Append(ctx, "customers", store.NoStream, store.Event{Data: ada}, store.Event{Data: mary}, store.Event{Data: shop})
	require.NoError(t, err)
	require.NoError(t, es.InTx(ctx, func(tx *sql.Tx) error { // the keys are there, so none is made beside the transaction
		_, err := es.WithTx(tx).Append(ctx, "customers", store.Version(3), store.Event{Data: ada})
		return err
	}))
	for _, state := range []registered{ada, mary} {
		require.NoError(t, es.RecordSnapshot(ctx, store.Snapshot{SourceID: state.Customer, Version: 4, Data: state}))
	}
	assert.Equal(t, []any{ada, mary, shop, ada}, values(t, es))
	inClear := func(text string) (n int) {
		err := db.QueryRowContext(ctx, `select count(*) from (select data from events union all select data from snapshots) where instr(data, $1)`, text).Scan(&n)
		require.NoError(t, err)
		return n
	}
	assert.Equal(t, 1, inClear("here"))
	assert.Zero(t, inClear("Ada"))
	assert.Zero(t, inClear("Mary"))

	require.NoError(t, secret.Forget(ctx, "c-1"))
	gone := serializer.Forgotten{Type: "customer.registered", Subject: "c-1"}
	for name, es := range map[string]*store.Store{"here": es, "a program that starts": open(encryption.New(keys, nil, nil), backend)} {
		assert.Equal(t, []any{gone, mary, shop, gone}, values(t, es), name)
		page, err := es.Page(ctx, "customers", nil)
		require.NoError(t, err, name)
		require.Len(t, page, 4)
		_, err = store.Decode[registered](page[0])
		require.ErrorIs(t, err, store.ErrForgotten, name)
		event, err := es.Event(ctx, page[0].ID)
		require.NoError(t, err, "reading it is no error")
		require.ErrorIs(t, event.Decode(new(registered)), store.ErrForgotten)

		snapshot, err := es.ReadSnapshot(ctx, "c-1")
		require.NoError(t, err)
		require.ErrorIs(t, snapshot.Decode(new(registered)), store.ErrForgotten, name)
		snapshot, err = es.ReadSnapshot(ctx, "c-2")
		require.NoError(t, err)
		var state registered
		require.NoError(t, snapshot.Decode(&state))
		assert.Equal(t, mary, state)
	}

	page, err := es.Page(ctx, "customers", nil)
	require.NoError(t, err)
	_, err = es.Link(ctx, "links", store.NoStream, page[0].ID, page[1].ID)
	require.NoError(t, err, "what is forgotten can still be linked")
	_, err = es.Append(ctx, "customers", store.Version(4), store.Event{Data: ada})
	require.NoError(t, err)
	require.NoError(t, es.RecordSnapshot(ctx, store.Snapshot{SourceID: "c-1", Version: 5, Data: ada}))
	snapshot, err := es.ReadSnapshot(ctx, "c-1")
	require.NoError(t, err)
	var state registered
	require.NoError(t, snapshot.Decode(&state))
	assert.Equal(t, ada, state, "who comes back has a new key")
	assert.Equal(t, []any{gone, mary, shop, gone, ada}, values(t, es))
	require.NoError(t, es.Close())
}
