package migrate_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
)

// impatientRole opens a database whose sessions have short timeouts.
func impatientRole(t *testing.T, driver, name string) *sql.DB {
	t.Helper()
	return pgtest.Open(t, driver, pgtest.URL(t)+"&statement_timeout=3000&lock_timeout=20&application_name="+name)
}

// waits returns once a session of that name has waited for a lock much longer than its timeouts allow, or done has an error.
func waits(t *testing.T, name string, done <-chan error) {
	t.Helper()
	db := pgtest.Open(t, "pgx", pgtest.URL(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for waiting := false; !waiting; {
		select {
		case err := <-done:
			require.Fail(t, "it did not wait", "%v", err)
		default:
		}
		require.NoError(t, db.QueryRowContext(ctx, `select exists (select from pg_stat_activity
			where application_name = $1 and wait_event_type = 'Lock' and clock_timestamp() - query_start > interval '3200 ms'), pg_sleep(0.01)::text`, name).Scan(&waiting, new(string)))
	}
}

// TestWaitsWhateverTheRolesTimeouts: the second of two migrators waits for the first, although its role has timeouts.
func TestWaitsWhateverTheRolesTimeouts(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			schema := pgtest.Schema(t)
			holder := postgres.New(pgtest.Open(t, driver, pgtest.URL(t)), &postgres.Options{Schema: schema})
			conn, err := holder.DB().Conn(t.Context())
			require.NoError(t, err)
			defer conn.Close() //nolint:errcheck // the test's
			exec(t, conn, holder, "migrate_lock")
			db := impatientRole(t, driver, schema)
			db.SetMaxOpenConns(1)
			done := make(chan error, 1)
			go func() { done <- migrate.Up(t.Context(), postgres.New(db, &postgres.Options{Schema: schema})) }()
			waits(t, schema, done)
			exec(t, conn, holder, "migrate_unlock")
			require.NoError(t, <-done)
			require.Empty(t, status(t, holder).Pending)
			require.Equal(t, []string{"3s", "20ms"}, []string{list(t, db, "show statement_timeout")[0], list(t, db, "show lock_timeout")[0]}, "the session keeps its own")
		})
	}
}

// TestGivesUpATableForOthers: a migration that waits for a table keeps everybody from it. So the role's lock_timeout counts, and the
// migration is tried again.
func TestGivesUpATableForOthers(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			schema := pgtest.Schema(t)
			tried := make(chan slog.Record, 10)
			b := postgres.New(impatientRole(t, driver, schema), &postgres.Options{Schema: schema, Logger: slog.New(records(tried))})
			require.NoError(t, migrate.Up(t.Context(), b))
			tx, err := pgtest.Open(t, driver, pgtest.URL(t)).BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer tx.Rollback() //nolint:errcheck // that is the point
			_, err = tx.ExecContext(t.Context(), `lock table `+schema+`.streams in access share mode`)
			require.NoError(t, err)
			newer := release(t, b, "0005_labels.up.sql", "alter table STREAMS add column label text;")
			done := make(chan error, 1)
			go func() { done <- migrate.Up(t.Context(), newer) }()
			require.Contains(t, (<-tried).Message, "waits for a lock")
			require.NoError(t, tx.Rollback())
			require.NoError(t, <-done)
			require.Equal(t, 5, status(t, newer).Version)
			require.Empty(t, tried, "it is said once")

			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			again, err := b.DB().BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer again.Rollback() //nolint:errcheck // that is the point
			_, err = again.ExecContext(t.Context(), `lock table `+schema+`.streams in access share mode`)
			require.NoError(t, err)
			require.ErrorIs(t, migrate.Up(ctx, release(t, newer, "0006_more.up.sql", "alter table STREAMS add column more text;")), context.DeadlineExceeded)
			require.Equal(t, 5, status(t, newer).Version)
		})
	}
}

// records is a handler that sends what is logged.
type records chan slog.Record

func (records) Enabled(context.Context, slog.Level) bool { return true }
func (r records) Handle(_ context.Context, record slog.Record) error {
	r <- record
	return nil
}
func (r records) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r records) WithGroup(string) slog.Handler      { return r }

// TestOneOfManyMigrates: of migrators at the same time, one did it, and the others are told that it was done.
func TestOneOfManyMigrates(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		for _, step := range []struct{ to, from, files int }{{to: 2, files: 2}, {from: 2, files: 2}} {
			var wg sync.WaitGroup
			results := make([]migrate.Result, 6)
			for i := range results {
				b := p.open("")
				wg.Go(func() {
					var err error
					results[i], err = migrate.Run(t.Context(), b, &migrate.Options{To: step.to})
					require.NoError(t, err)
				})
			}
			wg.Wait()
			did := 0
			for _, r := range results {
				require.Equal(t, status(t, p.open("")).Version, r.Version)
				if len(r.Applied) > 0 {
					did++
					require.Equal(t, step.from, r.From)
					require.Len(t, r.Applied, step.files)
				}
			}
			require.Equal(t, 1, did)
		}
		r, err := migrate.Run(t.Context(), p.open(""), &migrate.Options{To: 3})
		require.NoError(t, err, "tables that are beyond stay as they are")
		require.Equal(t, migrate.Result{From: 4, Version: 4}, r)
		_, err = migrate.Run(t.Context(), p.open(""), &migrate.Options{To: 9})
		var target *migrate.TargetError
		require.ErrorAs(t, err, &target)
		require.ErrorContains(t, err, "there is no version 9; this program has 1, 2, 3, 4")
	})
}

// TestWaitsWithDriversOfSQLite: drivers give SQLITE_BUSY in ways of their own.
func TestWaitsWithDriversOfSQLite(t *testing.T) {
	t.Parallel()
	for name, as := range map[string]func(code int, err error) error{
		"field":           func(code int, err error) error { return fieldError{codeNumber(code), err.Error()} },
		"method, of uint": func(code int, err error) error { return methodError{err, uint8(code)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := impatient(t)
			plain, err := sql.Open("sqlite", dsn)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, plain.Close()) })
			holder, err := plain.Conn(t.Context())
			require.NoError(t, err)
			defer holder.Close() //nolint:errcheck // the test's
			_, err = holder.ExecContext(t.Context(), "begin immediate")
			require.NoError(t, err)

			busy := make(chan struct{}, 1000)
			db := sql.OpenDB(otherDriver{plain.Driver(), dsn, func(err error) error {
				var e interface{ Code() int }
				if !errors.As(err, &e) {
					return err
				}
				select {
				case busy <- struct{}{}:
				default:
				}
				return as(e.Code(), err)
			}})
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			done := make(chan error, 1)
			go func() { done <- migrate.Up(t.Context(), sqlite.New(db, nil)) }()
			for range 3 {
				select {
				case <-busy:
				case err := <-done:
					require.Fail(t, "it did not wait", "%v", err)
				}
			}
			_, err = holder.ExecContext(t.Context(), "commit")
			require.NoError(t, err)
			require.NoError(t, <-done)
		})
	}
}

type codeNumber int

// fieldError is mattn's.
type fieldError struct {
	Code codeNumber
	text string
}

func (e fieldError) Error() string { return e.text }

// methodError is ncruces'.
type methodError struct {
	err  error
	code uint8
}

func (e methodError) Error() string { return e.err.Error() }
func (e methodError) Code() uint8   { return e.code }

// otherDriver is the driver, with errors of another.
type otherDriver struct {
	driver driver.Driver
	dsn    string
	as     func(error) error
}

func (d otherDriver) Driver() driver.Driver { return d.driver }

func (d otherDriver) Connect(context.Context) (driver.Conn, error) {
	c, err := d.driver.Open(d.dsn)
	return otherConn{c, d.as}, err
}

type otherConn struct {
	driver.Conn
	as func(error) error
}

func (c otherConn) failed(err error) error {
	if err == nil || reflect.ValueOf(err).IsZero() || strings.Contains(err.Error(), "bad connection") {
		return err
	}
	return c.as(err)
}

func (c otherConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	r, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	return r, c.failed(err)
}

func (c otherConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	r, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	return r, c.failed(err)
}

func (c otherConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c otherConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}
