package migrate_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
)

// run runs statements.
func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
}

// list returns the one column of a query.
func list(t *testing.T, db *sql.DB, query string, args ...any) (found []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	for rows.Next() {
		var s string
		require.NoError(t, rows.Scan(&s))
		found = append(found, s)
	}
	require.NoError(t, rows.Err())
	return found
}

// refused wants a NameTakenError that names things of an application, and nothing left behind.
func refused(t *testing.T, b migrate.Backend, present func() []string, where, option string, names ...string) {
	t.Helper()
	before := present()
	err := migrate.Up(t.Context(), b)
	var taken *migrate.NameTakenError
	require.ErrorAs(t, err, &taken)
	require.ErrorIs(t, err, migrate.ErrNameTaken)
	require.Equal(t, names, taken.Names)
	for _, text := range append(names, where, option, "--schema") {
		require.ErrorContains(t, err, text)
	}
	require.Equal(t, before, present(), "nothing is left behind")
}

const inSchema = `select relname::text from pg_class where relnamespace = to_regnamespace($1) union all
	select proname::text from pg_proc where pronamespace = to_regnamespace($1) union all
	select typname::text from pg_type where typnamespace = to_regnamespace($1) order by 1`

// TestNameTakenPostgres: an application has something of its own in the schema under a name that the store needs.
func TestNameTakenPostgres(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		for name, c := range map[string]struct {
			create string // in schema S
			names  []string
		}{
			"tables":            {`create table S.events (id int); create table S.log (id int); create table S.streams (id int)`, []string{"table events", "table log", "table streams"}},
			"a later migration": {`create table S.subscriptions (id int)`, []string{"table subscriptions"}},
			"view":              {`create view S.events as select 1 as n`, []string{"view events"}},
			"materialized view": {`create materialized view S.log as select 1 as n`, []string{"materialized view log"}},
			"partitioned table": {`create table S.events (n int) partition by range (n)`, []string{"table events"}},
			"sequence":          {`create sequence S.append_seq`, []string{"sequence append_seq"}},
			"index":             {`create table S.mine (n int); create index holes_fence_idx on S.mine (n)`, []string{"index holes_fence_idx"}},
			"key":               {`create table S.mine (n int, constraint streams_pkey primary key (n))`, []string{"index streams_pkey"}},
			"domain":            {`create domain S.streams as int`, []string{"type streams"}},
			"composite type":    {`create type S.parked as (n int)`, []string{"type parked"}},
			"function":          {`create function S.size(mine bytea) returns int language sql as 'select 1'`, []string{"function size(bytea)"}},
			"version table":     {`create table S.eventstore_migrations (version int)`, []string{"table eventstore_migrations"}},
		} {
			t.Run(driver+"/"+name, func(t *testing.T) {
				t.Parallel()
				db, schema := pgtest.Open(t, driver, pgtest.URL(t)), pgtest.Schema(t)
				run(t, db, `create schema `+schema, strings.ReplaceAll(c.create, "S.", schema+"."))
				b := postgres.New(db, &postgres.Options{Schema: schema})
				refused(t, b, func() []string { return list(t, db, inSchema, schema) }, `schema "`+schema+`"`, "Schema in postgres.Options", c.names...)
			})
		}
	}
	t.Run("not in the way", func(t *testing.T) {
		t.Parallel()
		db, schema := pgtest.Open(t, "pgx", pgtest.URL(t)), pgtest.Schema(t)
		run(t, db, `create schema `+schema, `create table `+schema+`.orders (id int)`,
			`create function `+schema+`.size(mine text) returns int language sql as 'select 1'`, `create type `+schema+`.events_version_key as enum ('a')`)
		require.NoError(t, migrate.Up(t.Context(), postgres.New(db, &postgres.Options{Schema: schema})))
	})
}

// TestEveryNameIsLookedAt: a thing of an application's under the name of anything that migrations create is found before they run.
func TestEveryNameIsLookedAt(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		db, schema := pgtest.Open(t, "pgx", pgtest.URL(t)), pgtest.Schema(t)
		b := postgres.New(db, &postgres.Options{Schema: schema})
		require.NoError(t, migrate.Up(t.Context(), b))
		relations := list(t, db, `select relname::text from pg_class where relnamespace = to_regnamespace($1)`, schema)
		functions := list(t, db, `select proname || '(' || coalesce((select string_agg(format_type(a.oid, null), ', ' order by a.n)
			from unnest(p.proargtypes) with ordinality as a (oid, n)), '') || ')' from pg_proc as p where pronamespace = to_regnamespace($1)`, schema)
		require.Greater(t, len(relations), 30)
		require.Greater(t, len(functions), 15)
		present := func() []string { return list(t, db, inSchema, schema) }
		for _, name := range relations {
			run(t, db, `drop schema `+schema+` cascade; create schema `+schema, `create sequence `+schema+`."`+name+`"`)
			refused(t, b, present, schema, "Schema", "sequence "+name)
		}
		for _, name := range functions {
			run(t, db, `drop schema `+schema+` cascade; create schema `+schema, `create function `+schema+`.`+name+` returns int language sql as 'select 1'`)
			before := present()
			require.ErrorIs(t, migrate.Up(t.Context(), b), migrate.ErrNameTaken, name)
			require.Equal(t, before, present(), name)
		}
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		open := func() *sql.DB {
			db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(t.TempDir(), "events.db")))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			return db
		}
		made := open()
		require.NoError(t, migrate.Up(t.Context(), sqlite.New(made, nil)))
		names := list(t, made, `select type || ' ' || name from sqlite_master where name not like 'sqlite_%'`)
		require.Greater(t, len(names), 20)
		db := open()
		run(t, db, `create table mine (n int)`)
		for _, named := range names {
			kind, name, _ := strings.Cut(named, " ")
			switch kind {
			case "trigger":
				run(t, db, `create trigger `+name+` after insert on mine begin select 1; end`)
			default:
				kind = "view"
				run(t, db, `create view "`+strings.ToUpper(name)+`" as select 1 as n`)
				name = strings.ToUpper(name)
			}
			refused(t, sqlite.New(db, nil), func() []string { return list(t, db, `select name from sqlite_master`) }, "the database", "Prefix in sqlite.Options", kind+" "+name)
			run(t, db, `drop `+kind+` "`+name+`"`)
		}
	})
}

// TestNameTakenSQLite: an application has tables in the file, and takes a prefix then.
func TestNameTakenSQLite(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(t.TempDir(), "app.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	run(t, db, `create table events (id integer)`, `create table Log (id integer)`, `create view recorded as select 1 as n`,
		`create table mine (n integer)`, `create index parked_stream_idx on mine (n)`, `create table subscriptions (id integer)`)
	present := func() []string { return list(t, db, `select name from sqlite_master order by name`) }
	refused(t, sqlite.New(db, nil), present, "the database", "Prefix in sqlite.Options",
		"table events", "index parked_stream_idx", "view recorded", "table subscriptions")
	require.NoError(t, migrate.Up(t.Context(), sqlite.New(db, &sqlite.Options{Prefix: "eventstore_"})))
	run(t, db, `create table a_eventstore_migrations (version integer)`)
	refused(t, sqlite.New(db, &sqlite.Options{Prefix: "a_"}), present, "the database", "Prefix in sqlite.Options", "table a_eventstore_migrations")
}

// TestFailedCreationLeavesNothing: neither the schema nor the version table.
func TestFailedCreationLeavesNothing(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := p.open("")
		broken := release(t, b, "0005_broken.up.sql", "select 1 from not_there;")
		require.Error(t, migrate.Up(t.Context(), broken))
		require.Zero(t, status(t, b).Version)
		if strings.Contains(t.Name(), "postgres") {
			var schemas int
			require.NoError(t, b.DB().QueryRowContext(t.Context(), `select count(*) from pg_namespace where nspname = $1`, b.(*postgres.Backend).Channel()[len("eventstore."):]).Scan(&schemas))
			require.Zero(t, schemas)
		} else {
			require.Empty(t, list(t, b.DB(), `select name from sqlite_master`))
		}
		require.NoError(t, migrate.Up(t.Context(), b))
	})
}
