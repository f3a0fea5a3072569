package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// TestOldServerIsRefused: a server below version 14 is refused by Check, by the first operation and by migrate.Up, with its version. A
// function that stands before the server's own plays the old one, unless the tests run on a server that is old.
func TestOldServerIsRefused(t *testing.T) {
	t.Parallel()
	var number int
	url := pgtest.Database(t)
	db := pgtest.Open(t, "pgx", url)
	require.NoError(t, db.QueryRowContext(t.Context(), `select current_setting('server_version_num')::int`).Scan(&number))
	version := "the server is PostgreSQL 13."
	if number >= oldest {
		present := setup(t, url)
		_, err := db.ExecContext(t.Context(), `create schema shadow;
			create function shadow.current_setting(text) returns text language sql as $body$
				select case $1 when 'server_version_num' then '139999' when 'server_version' then '13.99' else pg_catalog.current_setting($1) end
			$body$`)
		require.NoError(t, err)
		db = pgtest.Open(t, "pgx", url+"&search_path=shadow,pg_catalog,public")
		require.NoError(t, present.Check(t.Context()))
		restored := New(db, &present.opts)
		t.Cleanup(func() { require.NoError(t, restored.Close()) })
		err = restored.Check(t.Context())
		require.ErrorIs(t, err, store.ErrUnsupportedDatabase, "the tables are there, as after a restore")
		require.ErrorContains(t, err, version)
		_, err = store.New(restored, nil).Append(t.Context(), "a", store.Any, store.Event{Type: "happened"})
		require.ErrorIs(t, err, store.ErrUnsupportedDatabase)
	}
	b := New(db, &Options{Schema: "fresh"})
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	require.ErrorIs(t, b.Check(t.Context()), store.ErrUnsupportedDatabase, "before the tables are missed")
	require.ErrorContains(t, migrate.Up(t.Context(), b), version)
	var schemas int
	require.NoError(t, db.QueryRowContext(t.Context(), `select count(*) from pg_catalog.pg_namespace where nspname = 'fresh'`).Scan(&schemas))
	require.Zero(t, schemas, "nothing was created")
}
