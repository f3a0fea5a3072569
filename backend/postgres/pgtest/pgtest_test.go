package pgtest_test

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/postgres/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestNew: each call makes a store of its own, and nothing is left of it when the test ends.
func TestNew(t *testing.T) {
	t.Parallel()
	const stores = `select count(*) from pg_namespace where nspname = any(string_to_array($1, ','))`
	db := pgtest.Open(t, "pgx")
	schemas := make([]string, 2)
	t.Run("test", func(t *testing.T) {
		for i := range schemas {
			schemas[i] = pgtest.Schema(t)
			backend, _ := pgtest.New(t, "pgx", &postgres.Options{Schema: schemas[i]})
			es := store.New(backend, nil)
			require.NoError(t, es.Check(t.Context()))
			_, err := es.Append(t.Context(), "order-1", store.NoStream, store.Event{Type: "order.placed"})
			require.NoError(t, err)
			require.NoError(t, es.Close())
		}
		var n int
		require.NoError(t, db.QueryRowContext(t.Context(), stores, strings.Join(schemas, ",")).Scan(&n))
		require.Equal(t, 2, n)
	})
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), stores, strings.Join(schemas, ",")).Scan(&n))
	assert.Zero(t, n)
}

// TestFreshSchema: without a schema in the options, New takes one that no other test has.
func TestFreshSchema(t *testing.T) {
	t.Parallel()
	for range 2 {
		backend, _ := pgtest.New(t, "pgx", nil)
		head, err := store.New(backend, nil).Head(t.Context())
		require.NoError(t, err)
		require.Zero(t, head)
		_, err = store.New(backend, nil).Append(t.Context(), "order-1", store.NoStream, store.Event{Type: "order.placed"})
		require.NoError(t, err)
	}
}

// TestDatabase: a database of the test's own is empty.
func TestDatabase(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("pgx", pgtest.Database(t))
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // it only read
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), `select count(*) from pg_tables where schemaname = 'public'`).Scan(&n))
	assert.Zero(t, n)
}

// TestNoDriver: a driver that the test does not import ends the test with the import that is missing.
func TestNoDriver(t *testing.T) {
	t.Parallel()
	pgtest.URL(t) // skips where there is no server
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		pgtest.Open(r, "postgres")
	}()
	<-done
	assert.Contains(t, r.fatal, `no driver "postgres" is registered`)
	assert.Contains(t, r.fatal, "import github.com/jackc/pgx/v5/stdlib")
}

// recorder is a test that notes why it was ended.
type recorder struct {
	testing.TB

	fatal string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// TestServerOfItsOwn: what was committed survives a crash of the server.
func TestServerOfItsOwn(t *testing.T) {
	t.Parallel()
	s := pgtest.StartServer(t, "fsync=on")
	url := s.URL()
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // the server is gone
	_, err = db.ExecContext(t.Context(), `create table kept (a int)`)
	require.NoError(t, err)
	s.Kill()
	require.Error(t, db.PingContext(context.Background()))
	s.Restart()
	assert.Equal(t, url, s.URL())
	_, err = db.ExecContext(t.Context(), `insert into kept values (1)`)
	require.NoError(t, err)
	s.Stop()
	require.Error(t, db.PingContext(context.Background()))
}
