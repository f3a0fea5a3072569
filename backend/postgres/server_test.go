package postgres

import (
	"context"
	"database/sql"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestReadsWithoutWALPosition reads on a server that does not tell the position of its log, as Amazon Aurora with any wal_level but
// logical.
func TestReadsWithoutWALPosition(t *testing.T) {
	t.Parallel()
	where, role := pgtest.Database(t), pgtest.Schema(t)
	db := pgtest.Open(t, "pgx", where)
	_, err := db.ExecContext(t.Context(), `create role `+role+`; do $$ begin execute format('grant create on database %I to `+role+`', current_database()); end $$;
		revoke execute on function pg_current_wal_lsn(), pg_current_wal_insert_lsn(), pg_walfile_name(pg_lsn), pg_control_checkpoint() from public`)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.ExecContext(context.WithoutCancel(t.Context()), `drop owned by `+role+` cascade; drop role `+role)
		require.NoError(t, err)
	})
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			db := pgtest.Open(t, driver, where+"&role="+role)
			require.Error(t, db.QueryRowContext(t.Context(), `select pg_current_wal_lsn()`).Scan(new(string)), "the function is refused")
			b := New(db, &Options{Schema: "aurora_" + driver})
			install(t, b)
			appendTo(t, b, "a", 2)
			appendTo(t, b, "b", 1)
			assert.Equal(t, []string{"a@1", "a@2", "b@1"}, all(t, b))
			es := store.New(b, nil)
			back, err := es.Page(t.Context(), store.All, &store.ReadOptions{Backward: true})
			require.NoError(t, err)
			assert.Equal(t, "b", back[0].Stream)
		})
	}
}

// TestNamesAfterFailover: a copy of the database that lags takes its place, as a standby does that is promoted. It gives the ids
// of streams again that only the old one had; names that were read there are not taken for theirs.
func TestNamesAfterFailover(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			where := pgtest.Database(t)
			u, err := url.Parse(where)
			require.NoError(t, err)
			name := u.Path[1:]
			admin := pgtest.Open(t, "pgx", pgtest.URL(t))
			exec := func(statements ...string) {
				t.Helper()
				for _, s := range statements {
					_, err := admin.ExecContext(t.Context(), s)
					require.NoError(t, err, s)
				}
			}
			evict := func(database string) {
				t.Helper()
				eventually(t, "nobody is connected", func() bool {
					var n int
					require.NoError(t, admin.QueryRowContext(t.Context(),
						`select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1`, database).Scan(&n))
					return n == 0
				})
			}
			b := New(pgtest.Open(t, driver, where), nil)
			install(t, b)
			appendTo(t, b, "kept", 1)
			exec(`alter database ` + name + ` allow_connections false`)
			evict(name)
			copied, old := name+"_copy", name+"_old"
			exec(`create database `+copied+` template `+name, `alter database `+name+` allow_connections true`)
			t.Cleanup(func() {
				db, err := sql.Open("pgx", pgtest.URL(t))
				require.NoError(t, err)
				defer db.Close() //nolint:errcheck // the test's
				_, err = db.Exec(`drop database if exists ` + old + ` with (force)`)
				require.NoError(t, err)
			})
			eventually(t, "the pool has connected again", func() bool { return b.db.PingContext(t.Context()) == nil })
			appendTo(t, b, "lost", 1)
			require.Equal(t, []string{"kept@1", "lost@1"}, all(t, b))

			exec(`alter database ` + name + ` allow_connections false`)
			evict(name)
			exec(`alter database `+name+` rename to `+old, `alter database `+copied+` rename to `+name, `alter database `+name+` allow_connections true`)
			eventually(t, "the pool has connected again", func() bool { return b.db.PingContext(t.Context()) == nil })
			appendTo(t, b, "new", 1)
			require.Equal(t, []string{"kept@1", "new@1"}, all(t, b))
		})
	}
}
