package postgres

import (
	"database/sql"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// unsupported checks that Check, migrate.Up and an append refuse the database, with an error that names what is wrong.
func unsupported(t *testing.T, db *sql.DB, opts Options, names ...string) {
	t.Helper()
	b := New(db, &opts)
	defer b.Close() //nolint:errcheck // a test
	es := store.New(b, nil)
	_, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "happened"})
	for _, err := range []error{es.Check(t.Context()), migrate.Up(t.Context(), b), err} {
		require.ErrorIs(t, err, store.ErrUnsupportedDatabase)
		for _, name := range names {
			require.ErrorContains(t, err, name)
		}
	}
}

// TestForeignTablesAreRefused: a store whose tables another server keeps, behind postgres_fdw. There a tick would pass over the events of
// an open transaction.
func TestForeignTablesAreRefused(t *testing.T) {
	t.Parallel()
	where := pgtest.Database(t)
	db := pgtest.Open(t, "pgx", where)
	var available bool
	require.NoError(t, db.QueryRowContext(t.Context(), `select exists (select from pg_available_extensions where name = 'postgres_fdw')`).Scan(&available))
	if !available {
		t.Skip("excused: the server has no postgres_fdw")
	}
	far, near := New(db, &Options{Schema: "far"}), New(db, &Options{Schema: "near"})
	install(t, far)
	install(t, near)
	u, err := url.Parse(where)
	require.NoError(t, err)
	host, port := u.Hostname(), u.Port()
	if socket := u.Query().Get("host"); socket != "" {
		host = socket
	}
	if p := u.Query().Get("port"); p != "" {
		port = p
	}
	password, _ := u.User.Password()
	rows, err := db.QueryContext(t.Context(), `select tablename from pg_tables where schemaname = 'near'`)
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // a test
	var tables []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	require.NoError(t, rows.Err())
	require.Len(t, tables, 14)
	for _, statement := range []string{
		`create extension postgres_fdw`,
		fmt.Sprintf(`create server loopback foreign data wrapper postgres_fdw options (host '%s', port '%s', dbname '%s')`, host, port, u.Path[1:]),
		fmt.Sprintf(`create user mapping for current_user server loopback options (user '%s', password '%s')`, u.User.Username(), password),
		`create schema imported`,
		`import foreign schema far from server loopback into imported`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	for _, table := range tables {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		for _, statement := range []string{
			fmt.Sprintf(`alter table near.%s rename to was_%[1]s`, table),
			fmt.Sprintf(`alter table imported.%s set schema near`, table),
		} {
			_, err = tx.ExecContext(t.Context(), statement)
			require.NoError(t, err, statement)
		}
		require.NoError(t, tx.Commit())
		require.EqualValues(t, 0, number(t, near, `select count(*) from near.`+table+` where false`), "it can be read")
		unsupported(t, db, near.opts, `"near"."`+table+`" is a foreign table`)
		for _, statement := range []string{
			fmt.Sprintf(`alter table near.%s set schema imported`, table),
			fmt.Sprintf(`alter table near.was_%s rename to %[1]s`, table),
		} {
			_, err = db.ExecContext(t.Context(), statement)
			require.NoError(t, err, statement)
		}
	}
	require.NoError(t, New(db, &near.opts).Check(t.Context()), "with its own tables it can be used")
}

// TestOtherRelationsAreRefused: views and partitioned tables in the place of the store's tables. Where no version table says that there is a
// store, they are an application's: see TestNameTakenPostgres.
func TestOtherRelationsAreRefused(t *testing.T) {
	t.Parallel()
	for kind, statement := range map[string]string{
		"partitioned table": `create table eventstore.events (append_seq bigint) partition by range (append_seq)`,
		"view":              `create view eventstore.events as select 1 as append_seq`,
		"materialized view": `create materialized view eventstore.events as select 1 as append_seq`,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Open(t, "pgx", pgtest.Database(t))
			_, err := db.ExecContext(t.Context(), `create schema eventstore; create table eventstore.eventstore_migrations (version bigint, oldest bigint); `+statement)
			require.NoError(t, err)
			unsupported(t, db, Options{}, `"eventstore"."events" is a `+kind)
			var tables int
			require.NoError(t, db.QueryRowContext(t.Context(), `select count(*) from pg_tables where schemaname = 'eventstore'`).Scan(&tables))
			require.LessOrEqual(t, tables, 2, "nothing was created")
		})
	}
}

// TestOtherServersAreRefused: servers that speak as PostgreSQL does. A function that stands before the server's own plays them.
func TestOtherServersAreRefused(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]string{
		"CockroachDB":     "CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu, built 2023/09/27 01:53:43, go1.19.10)",
		"YugabyteDB":      "PostgreSQL 15.2-YB-2.25.0.0-b0 on x86_64-pc-linux-gnu, compiled by clang version 17.0.6, 64-bit",
		"Amazon Redshift": "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.56754",
		"Greenplum":       "PostgreSQL 14.4 (Greenplum Database 7.0.0 build commit:0a7a3566) on x86_64-pc-linux-gnu",
		"Materialize":     "PostgreSQL 14.0 on x86_64-unknown-linux-gnu (Materialize v0.81.0 (1d0e1f8))",
		"RisingWave":      "PostgreSQL 14.0-RisingWave-1.7.0 (fcd0d5e)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := pgtest.Database(t)
			admin := pgtest.Open(t, "pgx", where)
			_, err := admin.ExecContext(t.Context(), `create schema shadow; create function shadow.version() returns text language sql as $body$ select '`+version+`' $body$`)
			require.NoError(t, err)
			db := pgtest.Open(t, "pgx", where+"&search_path=shadow,pg_catalog,public")
			unsupported(t, db, Options{Schema: "fresh"}, name, version)
			require.NoError(t, migrate.Up(t.Context(), New(admin, &Options{Schema: "fresh"})), "the server itself can be used")
			unsupported(t, db, Options{Schema: "fresh"}, name, version)
		})
	}
}
