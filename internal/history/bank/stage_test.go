package bank_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/history/child"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// tables are the bank's own.
const tables = `
	create table journal (transfer uuid primary key, debit text not null, credit text not null, cents bigint not null);
	create table balances (
		account text primary key, cents bigint not null, version bigint not null, applied bigint not null, disorder bigint not null);
	create table cure (given boolean not null);`

// stage is the bank and the processes on it.
type stage struct {
	*testing.T

	server   *pgtest.Server
	url      string
	db       *sql.DB
	es       *store.Store
	patience time.Duration // with what has to come
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, server: pgtest.StartServer(t, "fsync=on"), patience: 2 * time.Minute}
	s.url = s.server.URL()
	s.db = pgtest.Open(t, "pgx", s.url)
	s.db.SetMaxIdleConns(0) // none that has ended with the server
	b := postgres.New(s.db, &postgres.Options{Schema: "bank"})
	require.NoError(t, migrate.Up(t.Context(), b))
	s.es = store.New(b, nil)
	t.Cleanup(func() { require.NoError(t, s.es.Close()) })
	_, err := s.db.ExecContext(t.Context(), tables)
	require.NoError(t, err)
	return s
}

// start starts a worker.
func (s *stage) start(p plan) *child.Process {
	s.Helper()
	p.URL = child.URL(s, s.url, "", p.Name)
	return child.Start(s, p.Name, p)
}

// finish has a worker end, and waits until it has.
func (s *stage) finish(p *child.Process) {
	s.Helper()
	require.True(s, p.Finish(time.Minute), "%s", p.Verdict())
}

func (s *stage) number(query string, args ...any) (n int64) {
	s.Helper()
	require.NoError(s, s.db.QueryRowContext(s.Context(), query, args...).Scan(&n), query)
	return n
}

func (s *stage) exec(query string, args ...any) {
	s.Helper()
	_, err := s.db.ExecContext(s.Context(), query, args...)
	require.NoError(s, err, query)
}

// eventually waits until done, looking again and again.
func (s *stage) eventually(what string, done func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), s.patience)
	defer cancel()
	for !done() {
		if pause(ctx, 100*time.Millisecond) {
			info, err := s.es.Projection(s.Context(), projection)
			require.Fail(s, "never happened: "+what, "%+v %v", info, err)
		}
	}
}
