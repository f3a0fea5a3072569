package postgres_test

import (
	"cmp"
	"context"
	"database/sql"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
)

// places lends a schema and a pool of connections to one case after the other: to make them is more work for the server than
// most cases are.
type places struct {
	t      *testing.T // closes and drops them at its end
	driver string
	conns  int
	opts   postgres.Options
	url    string         // default: pgtest's
	pooler *pgtest.Pooler // between the backends and the server, or nil
	// connect opens a URL. Default: a pool of conns connections of the driver.
	connect func(url string) *sql.DB

	mu   sync.Mutex
	free []place
}

type place struct {
	db     *sql.DB
	server *sql.DB // without a pooler
	pooled bool    // sessions stay when db has closed its connections
	schema string
}

// open returns a backend over an empty store. The place is lent to others when the test has ended, unless it has failed.
func (p *places) open(tb testing.TB) *postgres.Backend { return p.openWith(tb, nil) }

// openWith is open with Options.Reads.
func (p *places) openWith(tb testing.TB, reads *sql.DB) *postgres.Backend {
	tb.Helper()
	at, used := p.take(tb)
	opts := p.opts
	opts.Schema, opts.Reads = at.schema, reads
	b := postgres.New(at.db, &opts)
	if !used {
		require.NoError(tb, migrate.Up(tb.Context(), b))
	}
	tb.Cleanup(func() {
		require.NoError(tb, b.Close())
		if tb.Failed() {
			return
		}
		if at.empty(tb); tb.Failed() {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.free = append(p.free, at)
	})
	return b
}

func (p *places) take(tb testing.TB) (at place, used bool) {
	tb.Helper()
	p.mu.Lock()
	if last := len(p.free) - 1; last >= 0 {
		defer p.mu.Unlock()
		at, p.free = p.free[last], p.free[:last]
		return at, true
	}
	p.mu.Unlock()
	at.schema = pgtest.Schema(p.t)
	where := cmp.Or(p.url, pgtest.URL(p.t))
	if p.pooler != nil {
		where = p.pooler.URL(through[p.driver])
	}
	u, err := url.Parse(where)
	require.NoError(tb, err)
	q := u.Query()
	q.Set("application_name", at.schema)
	u.RawQuery = q.Encode()
	if p.connect != nil {
		at.db = p.connect(u.String())
	} else {
		at.db = pgtest.Open(p.t, p.driver, u.String())
		at.db.SetMaxOpenConns(p.conns)
		at.db.SetMaxIdleConns(p.conns)
	}
	at.server, at.pooled = at.db, p.pooler != nil || p.connect != nil
	if p.pooler != nil {
		at.server = pgtest.Open(p.t, "pgx", pgtest.URL(p.t))
	}
	return at, false
}

// empty makes the store as it was when it was created. A statement that a test has cancelled may still be on its way, on a
// connection that the pool has given up: its session is waited for.
func (p place) empty(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var pids []string
	var conn *sql.Conn
	for range max(p.server.Stats().OpenConnections, 1) { // all, so that none that has died is counted
		c, err := p.server.Conn(ctx)
		require.NoError(tb, err, "the case has left a connection in use")
		defer c.Close() //nolint:errcheck // it goes back to the pool
		conn = c
		var pid string
		require.NoError(tb, conn.QueryRowContext(ctx, `select pg_backend_pid()::text`).Scan(&pid))
		pids = append(pids, pid)
	}
	every := time.NewTicker(time.Millisecond)
	defer every.Stop()
	for others := -1; others != 0; <-every.C {
		require.NoError(tb, conn.QueryRowContext(ctx, `select count(*) from pg_stat_activity
			where application_name = $1 and pid <> all ($2::text::int[]) and (state <> 'idle' or not $3)`, p.schema, "{"+strings.Join(pids, ",")+"}", p.pooled).Scan(&others))
	}
	_, err := conn.ExecContext(ctx, `set search_path = "`+p.schema+`"; begin;`+`
		set local session_replication_role = replica; -- no triggers
		do $body$
		declare
			t record;
			rows bigint;
		begin
			for t in select c.oid::regclass as name from pg_class c
				where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and c.relname not in ('store', 'eventstore_migrations')
			loop
				execute 'select count(*) from (select from ' || t.name || ' limit 1001) as first' into rows;
				if rows > 1000 then
					execute 'truncate ' || t.name; -- which makes every session plan anew
				elsif rows > 0 then
					execute 'delete from ' || t.name;
				end if;
			end loop;
			perform setval(s.seqrelid, s.seqstart, false) from pg_sequence s join pg_class c on c.oid = s.seqrelid
			where c.relnamespace = current_schema()::regnamespace;
			update store set store_id = gen_random_uuid();
			if to_regclass('events_correlation_idx') is not null then
				drop index events_correlation_idx; -- made on demand
			end if;
			if to_regclass('events_type_idx') is not null then
				drop index events_type_idx; -- likewise
			end if;
		end
		$body$;
		commit; reset search_path`)
	assert.NoError(tb, err)
}
