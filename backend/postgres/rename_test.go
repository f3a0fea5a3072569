package postgres_test

import (
	"bytes"
	"context"
	"database/sql"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// What holds when the schema of a store is renamed, or copied under another name.

// named is a store in a schema.
type named struct {
	*store.Store
	b *postgres.Backend
}

func in(t *testing.T, db *sql.DB, schema string, opts postgres.Options) named {
	t.Helper()
	opts.Schema = schema
	b := postgres.New(db, &opts)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return named{store.New(b, &store.Options{HardDelete: true}), b}
}

func (n named) up(t *testing.T) named {
	t.Helper()
	require.NoError(t, migrate.Up(t.Context(), n.b))
	return n
}

// numbers returns the numbers of all events.
func (n named) numbers(t *testing.T) (list []int64) {
	t.Helper()
	for e, err := range n.All(t.Context(), nil) {
		require.NoError(t, err)
		list = append(list, e.Number)
	}
	return list
}

func put(ctx context.Context, es *store.Store, n int) error {
	list := make([]store.Event, n)
	for i := range list {
		list[i] = store.Event{Type: "happened", Data: i}
	}
	_, err := es.Append(ctx, "s", store.Any, list...)
	return err
}

func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
}

// writes are all that calls a function whose body names the schema.
var writes = map[string]func(ctx context.Context, n named, db *sql.DB) error{
	"append one":  func(ctx context.Context, n named, _ *sql.DB) error { return put(ctx, n.Store, 1) },
	"append many": func(ctx context.Context, n named, _ *sql.DB) error { return put(ctx, n.Store, 3) },
	"append in tx": func(ctx context.Context, n named, db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // the error counts
		return put(ctx, n.WithTx(tx), 2)
	},
	"hard delete": func(ctx context.Context, n named, _ *sql.DB) error {
		return n.Delete(ctx, "s", store.Any, store.HardDelete)
	},
	"tick": func(ctx context.Context, n named, _ *sql.DB) error {
		_, err := n.b.Tick(ctx)
		return err
	},
	"link": func(ctx context.Context, n named, _ *sql.DB) error {
		page, err := n.Page(ctx, "s", nil)
		if err != nil {
			return err
		}
		_, err = n.Link(ctx, "links", store.Any, page[0].ID)
		return err
	},
	"lease": func(ctx context.Context, n named, _ *sql.DB) error {
		id := store.SubscriptionID{Stream: store.All, Name: "n"}
		_, err := n.b.AcquireLease(ctx, store.LeaseRequest{ID: id, Owner: "me", TTL: 1, Create: true})
		return err
	},
}

// TestRenamedSchema: after a schema was renamed, and another store made under the old name, nothing of a program that goes by the
// new name reaches that store, whether the program was started before or after.
func TestRenamedSchema(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, driver := range pgtest.Drivers() {
		for _, prepare := range []bool{true, false} {
			t.Run(driver+map[bool]string{true: "", false: "/noprepare"}[prepare], func(t *testing.T) {
				t.Parallel()
				opts := postgres.Options{NoPrepare: !prepare, NoGroupCommit: !prepare}
				db := pgtest.Open(t, driver, pgtest.URL(t))
				old, kept := pgtest.Schema(t), pgtest.Schema(t)
				s := in(t, db, old, opts).up(t)
				require.NoError(t, put(ctx, s.Store, 2))
				require.Equal(t, []int64{1, 2}, s.numbers(t))

				// A program that had a store of the new name before, which has made way.
				running := in(t, db, kept, opts).up(t)
				require.NoError(t, put(ctx, running.Store, 1))
				for _, write := range writes {
					_ = write(ctx, running, db) // its statements are prepared, its plans kept
				}
				require.NoError(t, put(ctx, running.Store, 1))
				run(t, db, `drop schema "`+kept+`" cascade`, `alter schema "`+old+`" rename to "`+kept+`"`)
				fresh := in(t, db, old, opts).up(t)

				restarted := in(t, db, kept, opts)
				var wrong *store.SchemaError
				require.ErrorAs(t, restarted.Check(ctx), &wrong)
				require.True(t, wrong.Renamed)
				require.ErrorContains(t, wrong, "eventstore migrate")
				status, err := migrate.StatusOf(ctx, restarted.b)
				require.NoError(t, err)
				require.True(t, status.Renamed)
				for name, write := range writes {
					require.ErrorIs(t, write(ctx, restarted, db), store.ErrSchema, name)
					err := write(ctx, running, db)
					require.ErrorIs(t, err, store.ErrSchema, name)
					require.ErrorAs(t, err, &wrong, name)
					require.True(t, wrong.Renamed, name)
				}
				require.Empty(t, fresh.numbers(t))
				list, err := fresh.Subscriptions(ctx)
				require.NoError(t, err)
				require.Empty(t, list)

				// The way back: Up. Whoever was refused goes on.
				restarted.up(t)
				for _, n := range []named{restarted, running} {
					require.NoError(t, n.Check(ctx))
					for _, name := range []string{"append one", "append many", "append in tx", "tick", "link", "lease"} {
						err := writes[name](ctx, n, db)
						if name != "link" || n == restarted {
							require.NoError(t, err, name)
						}
					}
				}
				require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, restarted.numbers(t))
				require.Empty(t, fresh.numbers(t))
				require.NoError(t, put(ctx, fresh.Store, 1))
				require.Equal(t, []int64{1}, fresh.numbers(t))
				require.NoError(t, writes["hard delete"](ctx, restarted, db))
				require.Equal(t, []int64{1}, fresh.numbers(t))
				status, err = migrate.StatusOf(ctx, restarted.b)
				require.NoError(t, err)
				require.False(t, status.Renamed)
			})
		}
	}
}

// definitions returns all that the catalog has of a schema in words, with its name replaced.
func definitions(t *testing.T, db *sql.DB, schema string, mark string) (list []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
		select pg_get_functiondef(p.oid) from pg_proc p where p.pronamespace = $1::text::regnamespace
		union all
		select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d join pg_class c on c.oid = d.adrelid where c.relnamespace = $1::text::regnamespace
		union all
		select pg_get_triggerdef(g.oid) from pg_trigger g join pg_class c on c.oid = g.tgrelid where c.relnamespace = $1::text::regnamespace
		union all
		select pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace = $1::text::regnamespace
		union all
		select pg_get_constraintdef(o.oid) || o.conname from pg_constraint o where o.connamespace = $1::text::regnamespace`, schema)
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // it was read to its end
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		list = append(list, strings.ReplaceAll(strings.ReplaceAll(text, schema, "SCHEMA"), mark, "MARK"))
	}
	require.NoError(t, rows.Err())
	slices.Sort(list) // now that the mark is replaced
	return list
}

// TestAdoption: after Up, a schema that was renamed is as one that was made under the new name: nothing names the old one.
func TestAdoption(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, opts := range map[string]postgres.Options{"bytea": {}, "jsonb": {DataType: "jsonb"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Open(t, "pgx", pgtest.URL(t))
			old, kept, made := pgtest.Schema(t), pgtest.Schema(t), pgtest.Schema(t)
			in(t, db, old, opts).up(t)
			run(t, db, `alter schema "`+old+`" rename to "`+kept+`"`)
			renamed := in(t, db, kept, postgres.Options{}) // the type of the columns is what it is
			require.ErrorIs(t, renamed.Check(ctx), store.ErrSchema)
			errs := make(chan error, 4) // each process of an application may do it
			for range cap(errs) {
				go func() { errs <- migrate.Up(ctx, renamed.b) }()
			}
			for range cap(errs) {
				require.NoError(t, <-errs)
			}
			in(t, db, made, opts).up(t)
			mark := func(schema string) (m string) {
				require.NoError(t, db.QueryRowContext(ctx, `select right(p.proname, 10) from pg_proc p
					where p.pronamespace = $1::text::regnamespace and p.proname like 'tick\_%'`, schema).Scan(&m))
				return m
			}
			got, want := definitions(t, db, kept, mark(kept)), definitions(t, db, made, mark(made))
			require.Equal(t, want, got)
			require.NotContains(t, strings.Join(got, "\n"), old)
			require.Greater(t, len(got), 40)
		})
	}
}

// TestCopiedSchema: a copy of a store beside it, by pg_dump and psql, is a store of its own under another name.
func TestCopiedSchema(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := pgtest.StartServer(t)
	db := pgtest.Open(t, "pgx", server.URL())
	s := in(t, db, "shop", postgres.Options{}).up(t)
	require.NoError(t, put(ctx, s.Store, 3))
	require.Equal(t, []int64{1, 2, 3}, s.numbers(t))
	require.NoError(t, s.Delete(ctx, "s", store.Any, store.HardDelete))
	require.NoError(t, put(ctx, s.Store, 2))
	info, err := s.StreamInfo(ctx, "s")
	require.NoError(t, err)
	dump, err := exec.CommandContext(ctx, server.Program(t, "pg_dump"), "-n", "shop", server.URL()).Output()
	require.NoError(t, err)

	run(t, db, `alter schema shop rename to shop_original`)
	psql := exec.CommandContext(ctx, server.Program(t, "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", server.URL())
	psql.Stdin = bytes.NewReader(dump)
	out, err := psql.CombinedOutput()
	require.NoError(t, err, "%s", out)
	run(t, db, `alter schema shop rename to "a ""copy"""`, `alter schema shop_original rename to shop`)

	require.NoError(t, in(t, db, "shop", postgres.Options{}).Check(ctx))
	theCopy := in(t, db, `a "copy"`, postgres.Options{})
	require.ErrorIs(t, theCopy.Check(ctx), store.ErrSchema)
	theCopy.up(t)
	require.NoError(t, put(ctx, s.Store, 1))
	require.NoError(t, put(ctx, theCopy.Store, 4))
	require.Equal(t, []int64{4, 5, 6}, s.numbers(t))
	require.Equal(t, []int64{4, 5, 6, 7, 8, 9}, theCopy.numbers(t))
	require.NoError(t, theCopy.Delete(ctx, "s", store.Any, store.HardDelete))
	require.NoError(t, put(ctx, theCopy.Store, 1))
	again, err := theCopy.StreamInfo(ctx, "s")
	require.NoError(t, err)
	require.Greater(t, again.ID, info.ID)
}
