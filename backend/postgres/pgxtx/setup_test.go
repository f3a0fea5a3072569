package pgxtx

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// program is a program on pgx, with a store and a table of its own in one schema.
type program struct {
	*testing.T
	pool    *pgxpool.Pool
	backend *postgres.Backend
	es      *store.Store
	table   pgx.Identifier
}

// newProgram makes a program with a pool of so many connections, configured by change unless it is nil.
func newProgram(t *testing.T, conns int32, change func(*pgxpool.Config)) *program {
	t.Helper()
	p := &program{T: t, pool: newPool(t, conns, change)}
	schema := pgtest.Schema(t)
	db := OpenDB(p.pool)
	p.backend = postgres.New(db, &postgres.Options{Schema: schema})
	require.NoError(t, migrate.Up(t.Context(), p.backend))
	p.es = store.New(p.backend, &store.Options{HardDelete: true})
	p.table = pgx.Identifier{schema, "orders"}
	p.exec("create table " + p.table.Sanitize() + " (id text primary key, cents bigint not null)")
	t.Cleanup(func() {
		require.NoError(t, p.es.Close())
		require.NoError(t, p.backend.Close())
		require.NoError(t, db.Close())
	})
	return p
}

// newBackend returns a backend in a schema of its own, on lib/pq.
func newBackend(t *testing.T, dataType string) *postgres.Backend {
	t.Helper()
	b := postgres.New(pgtest.Open(t, "postgres", pgtest.URL(t)), &postgres.Options{Schema: pgtest.Schema(t), DataType: dataType})
	require.NoError(t, migrate.Up(t.Context(), b))
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func newPool(t *testing.T, conns int32, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(pgtest.URL(t))
	require.NoError(t, err)
	config.MaxConns = conns
	if change != nil {
		change(config)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func (p *program) exec(query string, args ...any) {
	p.Helper()
	_, err := p.pool.Exec(p.Context(), query, args...)
	require.NoError(p, err)
}

// begin begins a transaction, which is rolled back at the end of the test unless it has ended.
func (p *program) begin() pgx.Tx {
	p.Helper()
	tx, err := p.pool.Begin(p.Context())
	require.NoError(p, err)
	p.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}

// order adds a row in a transaction.
func (p *program) order(tx pgx.Tx, id string) {
	p.Helper()
	_, err := tx.Exec(p.Context(), "insert into "+p.table.Sanitize()+" values ($1, 100)", id)
	require.NoError(p, err)
}

// orders returns the ids of the rows.
func (p *program) orders() []string {
	p.Helper()
	rows, err := p.pool.Query(p.Context(), "select id from "+p.table.Sanitize()+" order by id")
	require.NoError(p, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(p, err)
	return ids
}

// version returns the version of a stream.
func (p *program) version(es *store.Store, stream string) int64 {
	p.Helper()
	page, err := es.Page(p.Context(), stream, &store.ReadOptions{Backward: true, Limit: 1})
	require.NoError(p, err)
	require.NotEmpty(p, page)
	return page[0].Version
}

// placed is an event.
func placed(data any) store.Event { return store.Event{Type: "order.placed", Data: data} }

// add appends an event that must be accepted.
func (p *program) add(es *store.Store, stream string, expected store.Expected) {
	p.Helper()
	_, err := es.Append(p.Context(), stream, expected, placed(stream))
	require.NoError(p, err)
}

// absent checks that a stream is not there.
func (p *program) absent(stream string) {
	p.Helper()
	_, err := p.es.StreamInfo(p.Context(), stream)
	require.ErrorIs(p, err, store.ErrStreamNotFound)
}

// soon returns a context for what must not take long.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until done.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, every := soon(t), time.NewTicker(5*time.Millisecond)
	defer every.Stop()
	for !done() {
		select {
		case <-every.C:
		case <-ctx.Done():
			require.Fail(t, "never happened: "+what)
		}
	}
}
