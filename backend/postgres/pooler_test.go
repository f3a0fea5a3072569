package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// setting is a driver, and a parameter of its connection string.
type setting struct{ driver, parameter string }

func (s setting) name() string { return s.driver + " " + s.parameter }

// open opens the database at the URL of a pooler, with n connections at most.
func (s setting) open(t *testing.T, p *pgtest.Pooler, n int) *sql.DB {
	t.Helper()
	var parameters []string
	if s.parameter != "" {
		parameters = append(parameters, s.parameter)
	}
	db := pgtest.Open(t, s.driver, p.URL(parameters...))
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db
}

// In transaction mode, these lose their statements, and those don't.
var (
	unsafe = []setting{{"pgx", ""}, {"pgx", "default_query_exec_mode=describe_exec"}, {"postgres", ""}}
	safe   = []setting{
		{"pgx", "default_query_exec_mode=exec"}, {"pgx", "default_query_exec_mode=simple_protocol"}, {"pgx", "default_query_exec_mode=cache_describe"},
		{"postgres", "binary_parameters=yes"},
	}
)

// TestPoolerIsFound: a driver whose statements a pooler in transaction mode loses is refused, at Check, at the first statement, and by
// migrate.Up, and the error says what to write. Nothing stays behind at the sessions of the pooler.
func TestPoolerIsFound(t *testing.T) {
	t.Parallel()
	want := map[string]string{"pgx": "add default_query_exec_mode=exec to the connection string", "postgres": "add binary_parameters=yes to the connection string"}
	for name, settings := range map[string][]string{
		"last first":   nil, // with nobody else there, one session serves all
		"round robin":  {"server_round_robin = 1", "min_pool_size = 3"},
		"one session":  {"default_pool_size = 1"},
		"two sessions": {"server_round_robin = 1", "default_pool_size = 2", "min_pool_size = 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := pgtest.Schema(t)
			server := postgres.New(pgtest.Open(t, "pgx", pgtest.URL(t)), &postgres.Options{Schema: schema})
			require.NoError(t, migrate.Up(t.Context(), server))
			p := pgtest.StartPooler(t, pgtest.URL(t), settings...)
			for _, s := range unsafe {
				t.Run(s.name(), func(t *testing.T) {
					db := s.open(t, p, 4)
					for call, do := range map[string]func(b *postgres.Backend) error{
						"Check":  func(b *postgres.Backend) error { return b.Check(t.Context()) },
						"append": func(b *postgres.Backend) error { return appendOne(t.Context(), store.New(b, nil), "a") },
						"InTx": func(b *postgres.Backend) error {
							return store.New(b, nil).InTx(t.Context(), func(*sql.Tx) error { return nil })
						},
						"Up": func(b *postgres.Backend) error { return migrate.Up(t.Context(), b) },
						"again, without preparing": func(*postgres.Backend) error {
							b := postgres.New(db, &postgres.Options{Schema: schema, NoPrepare: true})
							return errors.Join(b.Check(t.Context()), b.Check(t.Context()))
						},
					} {
						err := do(postgres.New(db, &postgres.Options{Schema: schema}))
						require.ErrorIs(t, err, postgres.ErrPooler, call)
						require.ErrorIs(t, err, store.ErrInvalid, call)
						require.ErrorContains(t, err, want[s.driver], call)
					}
					tx, err := db.BeginTx(t.Context(), nil)
					require.NoError(t, err)
					defer tx.Rollback() //nolint:errcheck // that is the point
					err = appendOne(t.Context(), store.New(postgres.New(db, &postgres.Options{Schema: schema}), nil).WithTx(tx), "a")
					require.ErrorIs(t, err, postgres.ErrPooler, "in a transaction, once it is known")
				})
			}
			assert.Empty(t, leftBehind(t, p))
		})
	}
}

// TestPoolerThatKeepsStatements: a pooler that gives each prepared statement a name of its own is used with what pgx does by default, by
// the Backend's prepared statements, too. Unnamed statements it can't keep.
func TestPoolerThatKeepsStatements(t *testing.T) {
	t.Parallel()
	if !pgtest.KeepsStatements(t) {
		t.Skip("excused: pgbouncer before 1.21 does not keep prepared statements; " + pgtest.EnvPooler + " can name another")
	}
	p := pgtest.StartPooler(t, pgtest.URL(t), "server_round_robin = 1", "min_pool_size = 3", "default_pool_size = 5", "max_prepared_statements = 200")
	schema := pgtest.Schema(t)
	require.NoError(t, migrate.Up(t.Context(), postgres.New(unsafe[0].open(t, p, 8), &postgres.Options{Schema: schema})))
	for _, conns := range []int{1, 8} {
		es := store.New(postgres.New(unsafe[0].open(t, p, conns), &postgres.Options{Schema: schema}), nil)
		var writers sync.WaitGroup
		for w := range 12 {
			writers.Go(func() {
				for range 10 {
					assert.NoError(t, appendOne(t.Context(), es, fmt.Sprint(w)))
					assert.NoError(t, es.InTx(t.Context(), func(tx *sql.Tx) error { return appendOne(t.Context(), es.WithTx(tx), "together") }))
				}
			})
		}
		writers.Wait()
	}
	for _, s := range unsafe[1:] {
		err := postgres.New(s.open(t, p, 8), &postgres.Options{Schema: schema}).Check(t.Context())
		require.ErrorIs(t, err, postgres.ErrPooler, s.name())
	}
}

// leftBehind returns the names of the prepared statements in the sessions of a pooler.
func leftBehind(t *testing.T, p *pgtest.Pooler) (names []string) {
	t.Helper()
	db := setting{"pgx", "default_query_exec_mode=simple_protocol"}.open(t, p, 100)
	require.Positive(t, p.Sessions())
	for range p.Sessions() { // a transaction keeps the session it has, so that the next has another
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer tx.Rollback() //nolint:errcheck // it only read
		var name sql.NullString
		require.NoError(t, tx.QueryRowContext(t.Context(), `select string_agg(name, ', ') from pg_prepared_statements`).Scan(&name))
		if name.Valid {
			names = append(names, name.String)
		}
	}
	return names
}

func appendOne(ctx context.Context, es *store.Store, stream string) error {
	_, err := es.Append(ctx, stream, store.Any, store.Event{Type: "happened"})
	return err
}

// TestPoolerIsUsed: with the settings that the error names all works, and the Backend prepares nothing, also if nobody says so.
func TestPoolerIsUsed(t *testing.T) {
	t.Parallel()
	p := pgtest.StartPooler(t, pgtest.URL(t), "server_round_robin = 1", "default_pool_size = 5")
	for _, conns := range []int{1, 8} {
		for _, s := range safe {
			t.Run(fmt.Sprintf("%s pool=%d", s.name(), conns), func(t *testing.T) {
				b := postgres.New(s.open(t, p, conns), &postgres.Options{Schema: pgtest.Schema(t)})
				require.NoError(t, migrate.Up(t.Context(), b))
				es := store.New(b, nil)
				var writers sync.WaitGroup
				for w := range 12 {
					writers.Go(func() {
						for range 10 {
							assert.NoError(t, appendOne(t.Context(), es, fmt.Sprint(w)))
							assert.NoError(t, es.InTx(t.Context(), func(tx *sql.Tx) error { return appendOne(t.Context(), es.WithTx(tx), "together") }))
						}
					})
				}
				writers.Wait()
				n := 0
				for _, err := range es.All(t.Context(), nil) {
					require.NoError(t, err)
					n++
				}
				require.Equal(t, 240, n)
			})
		}
	}
	assert.Empty(t, leftBehind(t, p))
}

// TestNoFalsePooler: a server, and a pooler in session mode, are used with every setting, whatever the size of the pool.
func TestNoFalsePooler(t *testing.T) {
	t.Parallel()
	schema := pgtest.Schema(t)
	require.NoError(t, migrate.Up(t.Context(), postgres.New(pgtest.Open(t, "pgx", pgtest.URL(t)), &postgres.Options{Schema: schema})))
	session := pgtest.StartPooler(t, pgtest.URL(t), "pool_mode = session")
	for _, s := range append(append([]setting{}, unsafe...), safe...) {
		for _, conns := range []int{1, 2, 8} {
			t.Run(fmt.Sprintf("%s pool=%d", s.name(), conns), func(t *testing.T) {
				for range 5 {
					db := s.open(t, session, conns)
					require.NoError(t, postgres.New(db, &postgres.Options{Schema: schema}).Check(t.Context()))
					require.NoError(t, db.Close())
				}
				db := pgtest.Open(t, s.driver, pgtest.URL(t)+"&"+s.parameter)
				db.SetMaxOpenConns(conns)
				require.NoError(t, postgres.New(db, &postgres.Options{Schema: schema}).Check(t.Context()))
			})
		}
	}
}

// TestPoolIsInUse: the look at the way to the server does not wait for connections that its caller holds.
func TestPoolIsInUse(t *testing.T) {
	t.Parallel()
	schema := pgtest.Schema(t)
	require.NoError(t, migrate.Up(t.Context(), postgres.New(pgtest.Open(t, "pgx", pgtest.URL(t)), &postgres.Options{Schema: schema})))
	for _, driver := range pgtest.Drivers() {
		db := pgtest.Open(t, driver, pgtest.URL(t))
		db.SetMaxOpenConns(2)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer tx.Rollback() //nolint:errcheck // it wrote nothing
		require.NoError(t, appendOne(t.Context(), store.New(postgres.New(db, &postgres.Options{Schema: schema}), nil), driver))
	}
}

// TestPoolerOfOneConnection: without a second connection there is no proof of a pooler, but errors that name it.
func TestPoolerOfOneConnection(t *testing.T) {
	t.Parallel()
	p := pgtest.StartPooler(t, pgtest.URL(t))
	for _, s := range []setting{{"pgx", ""}} {
		schema := pgtest.Schema(t)
		require.NoError(t, migrate.Up(t.Context(), postgres.New(pgtest.Open(t, "pgx", pgtest.URL(t)), &postgres.Options{Schema: schema})))
		first := postgres.New(s.open(t, p, 1), &postgres.Options{Schema: schema})
		require.NoError(t, first.Check(t.Context()))
		err := postgres.New(s.open(t, p, 1), &postgres.Options{Schema: schema}).Check(t.Context())
		require.ErrorIs(t, err, postgres.ErrPooler)
		require.NotErrorIs(t, err, store.ErrInvalid, "it is not proven")
		require.ErrorContains(t, err, "default_query_exec_mode=exec")
		require.ErrorContains(t, err, "42P05")
	}
}
