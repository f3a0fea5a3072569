package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// reporting is the driver, but it reports another version of SQLite.
type reporting struct {
	driver       driver.Driver
	dsn, version string
}

// broken is the version of a driver whose connection is gone when it is asked for.
const broken = "broken"

func (r reporting) Driver() driver.Driver { return r.driver }

func (r reporting) Connect(context.Context) (driver.Conn, error) {
	c, err := r.driver.Open(r.dsn)
	if err != nil {
		return nil, err
	}
	return reportingConn{c, c.(driver.QueryerContext), c.(driver.ExecerContext), c.(driver.ConnBeginTx), c.(driver.ConnPrepareContext), r.version}, nil
}

type reportingConn struct {
	driver.Conn
	queryer driver.QueryerContext
	driver.ExecerContext
	driver.ConnBeginTx
	driver.ConnPrepareContext
	version string
}

func (c reportingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if strings.Contains(query, "sqlite_version()") && c.version == broken {
		return nil, driver.ErrBadConn
	}
	if strings.Contains(query, "sqlite_version()") {
		query = "select '" + c.version + "';"
	}
	return c.queryer.QueryContext(ctx, query, args)
}

// TestOldSQLiteIsRefused: a SQLite that is too old is refused by Check, by the first operation and by migrate.Up, with its version.
func TestOldSQLiteIsRefused(t *testing.T) {
	t.Parallel()
	for version, fits := range map[string]bool{
		"3.37.2": false, "3.9.1": false, "2.8.17": false, "": false, "libsql": false,
		"3.38.0": true, "3.40.1": true, "3.100": true, "4.0.0": true,
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			dsn := file(t)
			present := handle(t, dsn, 0)
			open := func(dsn string) *sqlite.Backend {
				db := sql.OpenDB(reporting{present.Driver(), dsn, version})
				t.Cleanup(func() { require.NoError(t, db.Close()) })
				b := sqlite.New(db, nil)
				t.Cleanup(func() { require.NoError(t, b.Close()) })
				return b
			}
			if fits {
				b := open(dsn)
				require.NoError(t, migrate.Up(t.Context(), b))
				require.NoError(t, store.New(b, nil).Check(t.Context()))
				return
			}
			backend(t, present, nil) // the tables are there, as in a file of another machine
			b := open(dsn)
			es := store.New(b, nil)
			require.ErrorIs(t, es.Check(t.Context()), store.ErrUnsupportedDatabase)
			_, err := es.Append(t.Context(), "a", store.Any, events(1)...)
			require.ErrorIs(t, err, store.ErrUnsupportedDatabase)
			require.ErrorContains(t, err, "SQLite "+version)
			require.ErrorContains(t, err, "3.38")
			fresh := file(t)
			require.ErrorIs(t, migrate.Up(t.Context(), open(fresh)), store.ErrUnsupportedDatabase)
			var tables int
			require.NoError(t, handle(t, fresh, 0).QueryRowContext(t.Context(), "select count(*) from sqlite_schema").Scan(&tables))
			require.Zero(t, tables, "nothing was created")
		})
	}
}
