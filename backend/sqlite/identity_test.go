package sqlite_test

import (
	"database/sql"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// A stream's id is not used again, however the file was copied: it does not depend on SQLite's own counters.
func TestStreamIDsAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	es, db := newStore(t)
	ctx := t.Context()
	hard := store.New(sqlite.New(db, nil), &store.Options{HardDelete: true})
	id := func(stream string) int64 {
		info, err := es.StreamInfo(ctx, stream)
		require.NoError(t, err)
		return info.ID
	}
	_, err := es.Append(ctx, "other", store.NoStream, events(1)...)
	require.NoError(t, err)
	var last int64
	for range 3 {
		_, err = es.Append(ctx, "s", store.NoStream, events(5)...)
		require.NoError(t, err)
		require.Greater(t, id("s"), last)
		last = id("s")
		require.NoError(t, hard.Delete(ctx, "s", store.Any, store.HardDelete))
		_, err = db.ExecContext(ctx, "vacuum")
		require.NoError(t, err)
	}
	require.NoError(t, hard.Delete(ctx, "other", store.Any, store.HardDelete))
	page, err := es.Page(ctx, store.All, nil)
	require.NoError(t, err)
	require.Empty(t, page)
	_, err = es.Append(ctx, "last", store.NoStream, events(1)...)
	require.NoError(t, err)
	require.Greater(t, id("last"), last)
}

// Tables that were renamed by hand belong to the new prefix in every way, also to triggers; a store with the old prefix is
// refused while their names of triggers and indexes are taken.
func TestRenamedPrefix(t *testing.T) {
	t.Parallel()
	_, db := newStore(t)
	ctx := t.Context()
	old := sqlite.New(db, &sqlite.Options{Prefix: "a_"})
	require.NoError(t, migrate.Up(ctx, old))
	es := store.New(old, &store.Options{HardDelete: true})
	_, err := es.Append(ctx, "s", store.NoStream, events(3)...)
	require.NoError(t, err)
	require.NoError(t, old.IndexCorrelations(ctx))
	tables := tablesOf(t, db)
	for _, name := range tables {
		_, err := db.ExecContext(ctx, "alter table "+name+" rename to b_"+name[2:])
		require.NoError(t, err)
	}
	_, err = es.Append(ctx, "s", store.Any, events(1)...)
	require.ErrorContains(t, err, "no such table")

	to := sqlite.New(db, &sqlite.Options{Prefix: "b_"})
	renamed := store.New(to, &store.Options{HardDelete: true})
	require.NoError(t, renamed.Check(ctx))
	_, err = renamed.Append(ctx, "s", store.Version(3), events(2)...)
	require.NoError(t, err)
	_, err = db.ExecContext(ctx, "delete from b_events")
	require.ErrorContains(t, err, "hard delete")
	for _, err := range renamed.Correlation(ctx, uuid.New()) {
		require.ErrorIs(t, err, store.ErrNotIndexed) // the index has its old name: it is to be made again
	}
	require.NoError(t, to.IndexCorrelations(ctx))
	for _, err := range renamed.Correlation(ctx, uuid.New()) {
		require.NoError(t, err)
	}
	require.NoError(t, renamed.Delete(ctx, "s", store.Any, store.HardDelete))

	fresh := sqlite.New(db, &sqlite.Options{Prefix: "a_"})
	require.ErrorIs(t, migrate.Up(ctx, fresh), migrate.ErrNameTaken, "triggers and indexes have kept their names")
}

// tablesOf returns the tables of the store with the prefix a_.
func tablesOf(t *testing.T, db *sql.DB) (tables []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "select name from sqlite_master where type = 'table' and name like 'a\\_%' escape '\\'")
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // rows.Err is asked
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	require.NoError(t, rows.Err())
	return tables
}
