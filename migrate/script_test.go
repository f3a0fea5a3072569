package migrate_test

import (
	"database/sql"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
)

// catalogue shows all that is in a schema of PostgreSQL.
const catalogue = `
select format('%s %s %s %s', c.relkind, c.relname, c.reloptions, pg_get_viewdef(c.oid)) as line from pg_class as c where c.relnamespace = (select oid from pg_namespace where nspname = $1)
union all select format('column %s %s.%s %s %s %s %s', a.attnum, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid))
  from pg_attribute as a join pg_class as c on c.oid = a.attrelid left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where c.relnamespace = (select oid from pg_namespace where nspname = $1) and a.attnum > 0
union all select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint where connamespace = (select oid from pg_namespace where nspname = $1)
union all select indexdef from pg_indexes where schemaname = $1
union all select pg_get_triggerdef(t.oid) from pg_trigger as t join pg_class as c on c.oid = t.tgrelid where c.relnamespace = (select oid from pg_namespace where nspname = $1)
union all select pg_get_functiondef(p.oid) from pg_proc as p where p.pronamespace = (select oid from pg_namespace where nspname = $1)
union all select format('sequence %s', s) from pg_sequences as s where s.schemaname = $1
order by line`

// inTx runs a script as other tools do: as one text, in a transaction.
func inTx(t *testing.T, db *sql.DB, script string) error {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	if _, err := tx.ExecContext(t.Context(), script); err != nil {
		return err
	}
	return tx.Commit()
}

// scripted compares what a script makes with what Up makes, from each version to the newest, and what a script finds that is for
// tables of another version.
func scripted(t *testing.T, open func() migrate.Backend, look func(b migrate.Backend) []string) {
	t.Helper()
	wanted := open()
	require.NoError(t, migrate.Up(t.Context(), wanted))
	want := status(t, wanted)
	for from := range want.Latest {
		b := open()
		if from > 0 {
			r, err := migrate.Run(t.Context(), b, &migrate.Options{To: from})
			require.NoError(t, err)
			require.Equal(t, from, r.Version)
		}
		script, last, err := migrate.Script(b, from, 0)
		require.NoError(t, err)
		require.Equal(t, want.Latest, last)
		if from != 2 {
			other, _, err := migrate.Script(b, 2, 0)
			require.NoError(t, err)
			require.Error(t, inTx(t, b.DB(), other), "it is for version 2, these are at %d", from)
			require.Equal(t, from, status(t, b).Version)
		}
		require.NoError(t, inTx(t, b.DB(), script))
		require.Equal(t, want, status(t, b))
		require.Equal(t, strings.Join(look(wanted), "\n"), strings.Join(look(b), "\n"), "from version %d", from)
		require.Error(t, inTx(t, b.DB(), script), "a second time it fails")
		require.Equal(t, want, status(t, b))
		require.NoError(t, migrate.Up(t.Context(), b), "and Up finds nothing to do")
	}
	steps := open()
	for from := range want.Latest {
		script, _, err := migrate.Script(steps, from, from+1)
		require.NoError(t, err)
		require.NoError(t, inTx(t, steps.DB(), script))
		require.Equal(t, from+1, status(t, steps).Version)
	}
	require.Equal(t, look(wanted), look(steps))
	none, last, err := migrate.Script(steps, want.Latest, 0)
	require.NoError(t, err)
	require.Equal(t, want.Latest, last)
	require.Empty(t, none)
	for _, c := range []struct{ from, to int }{{0, 9}, {3, 9}} {
		_, _, err = migrate.Script(steps, c.from, c.to)
		require.ErrorAs(t, err, new(*migrate.TargetError))
	}
}

func TestScriptPostgres(t *testing.T) {
	t.Parallel()
	for _, dataType := range []string{"bytea", "jsonb"} {
		for _, driver := range pgtest.Drivers() {
			t.Run(driver+"/"+dataType, func(t *testing.T) {
				t.Parallel()
				scripted(t, func() migrate.Backend {
					return postgres.New(pgtest.Open(t, driver, pgtest.Database(t)), &postgres.Options{Schema: `a "shop's"`, DataType: dataType})
				}, func(b migrate.Backend) []string { return list(t, b.DB(), catalogue, `a "shop's"`) })
			})
		}
	}
}

func TestScriptSQLite(t *testing.T) {
	t.Parallel()
	scripted(t, func() migrate.Backend {
		db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(t.TempDir(), "events.db")))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return sqlite.New(db, &sqlite.Options{Prefix: "shop_"})
	}, func(b migrate.Backend) []string {
		return list(t, b.DB(), `select type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') from sqlite_master order by 1`)
	})
}

// TestScriptPsql: psql, which replaces variables and cuts the text into statements, makes the same.
func TestScriptPsql(t *testing.T) {
	t.Parallel()
	server := pgtest.StartServer(t)
	psql := server.Program(t, "psql")
	db := pgtest.Open(t, "pgx", server.URL())
	look := func() string { return strings.Join(list(t, db, catalogue, "eventstore"), "\n") }
	b := postgres.New(db, nil)
	require.NoError(t, migrate.Up(t.Context(), b))
	want, reached := look(), status(t, b)
	run(t, db, `drop schema eventstore cascade`)
	for _, step := range []struct{ from, to int }{{0, 3}, {3, 0}} {
		script, _, err := migrate.Script(b, step.from, step.to)
		require.NoError(t, err)
		cmd := osexec.CommandContext(t.Context(), psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", server.URL())
		cmd.Stdin = strings.NewReader(script)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	require.Equal(t, reached, status(t, b))
	require.Equal(t, want, look())
}
