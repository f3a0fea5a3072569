package delivery_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/history"
	"github.com/eventstore-go/eventstore/internal/history/child"
	"github.com/eventstore-go/eventstore/internal/history/delivery"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// stage is a store and the processes on it.
type stage struct {
	*testing.T

	url    string
	schema string
	db     *sql.DB
	b      *postgres.Backend
	es     *store.Store
	dir    string
	seed   uint64

	processes []*process // all there were
}

// audit keeps every version of a subscription's row. A row is locked when its trigger draws a number, so numbers are in the
// order of versions.
const audit = `
	create table audit (
		n bigint generated always as identity, subscription text, epoch bigint, checkpoint bigint, owner text,
		lease_until timestamptz, at timestamptz, process text);
	create function audit() returns trigger language plpgsql set search_path from current as $$
	begin
		insert into audit (subscription, epoch, checkpoint, owner, lease_until, at, process) values
			(new.name, new.epoch, new.checkpoint, new.owner, new.lease_until, clock_timestamp(), current_setting('application_name'));
		return null;
	end $$;
	create trigger audit after insert or update on subscriptions for each row execute function audit();`

// newStage creates a store at a URL.
func newStage(t *testing.T, url, schema string, seed int64) *stage {
	t.Helper()
	s := &stage{T: t, url: url, schema: schema, db: pgtest.Open(t, "pgx", url), dir: t.TempDir(), seed: uint64(seed)}
	s.b = postgres.New(s.db, &postgres.Options{Schema: schema})
	require.NoError(t, migrate.Up(t.Context(), s.b))
	s.es = store.New(s.b, nil)
	t.Cleanup(func() { require.NoError(t, s.es.Close()) })
	_, err := s.db.ExecContext(t.Context(), `set search_path to `+schema+`; `+audit+`; reset search_path`)
	require.NoError(t, err)
	return s
}

// process is a worker that was started.
type process struct {
	*child.Process

	stage *stage
	plan  plan
}

// start starts a worker. host is where it finds the database, if not where the stage does.
func (s *stage) start(p plan, host string) *process {
	s.Helper()
	p.URL, p.Schema, p.Seed = child.URL(s, s.url, host, p.Process), s.schema, s.seed+uint64(len(s.processes))
	p.Journal = filepath.Join(s.dir, p.Process)
	started := &process{child.Start(s, p.Process, p), s, p}
	s.processes = append(s.processes, started)
	return started
}

// lines returns what a consumer has noted so far.
func (p *process) lines() []delivery.Line {
	p.stage.Helper()
	return read[delivery.Line](p)
}

func read[T any](p *process) []T {
	p.stage.Helper()
	lines, err := delivery.Read[T](p.plan.Journal)
	if os.IsNotExist(err) { // it had not come so far
		return nil
	}
	require.NoError(p.stage, err)
	return lines
}

// noted waits until a consumer has noted a line that will do.
func (p *process) noted(what string, will func(l delivery.Line) bool) {
	p.stage.Helper()
	p.stage.eventually(p.plan.Process+" notes "+what, func() bool {
		p.Alive()
		for _, l := range p.lines() {
			if will(l) {
				return true
			}
		}
		return false
	})
}

// drained waits until the consumers have brought the checkpoints of all subscriptions to the end.
func (s *stage) drained(subscriptions []delivery.Subscription, head int64, consumers ...*process) {
	s.Helper()
	s.eventually(fmt.Sprintf("all checkpoints are at %d", head), func() bool {
		for _, c := range consumers {
			c.Alive()
		}
		return s.number(`select count(*) from `+s.schema+`.subscriptions where checkpoint = $1`, head) == int64(len(subscriptions))
	})
}

// history returns what the processes noted, and what the database has.
func (s *stage) history(subscriptions []delivery.Subscription) *delivery.History {
	s.Helper()
	h := &delivery.History{Subscriptions: subscriptions, Rows: s.rows()}
	for _, p := range s.processes {
		switch p.plan.Role {
		case writes:
			h.Writes = append(h.Writes, read[history.Write](p)...)
		case consumes:
			h.Consumers = append(h.Consumers, delivery.Consumer{Process: p.plan.Process, Lines: p.lines()})
		}
	}
	var stored history.History
	require.NoError(s, stored.ReadFinal(s.Context(), s.es))
	h.Stored = stored.Final
	return h
}

// rows returns the versions of the subscriptions' rows so far.
func (s *stage) rows() (list []delivery.Row) {
	s.Helper()
	rows, err := s.db.QueryContext(s.Context(), `select subscription, epoch, checkpoint, owner,
		coalesce((extract(epoch from lease_until) * 1000000)::bigint, 0), (extract(epoch from at) * 1000000)::bigint, process
		from `+s.schema+`.audit order by n`)
	require.NoError(s, err)
	defer rows.Close() //nolint:errcheck // Err is looked at
	for rows.Next() {
		var r delivery.Row
		require.NoError(s, rows.Scan(&r.Subscription, &r.Epoch, &r.Checkpoint, &r.Owner, &r.Until, &r.At, &r.Process))
		list = append(list, r)
	}
	require.NoError(s, rows.Err())
	return list
}

func (s *stage) number(query string, args ...any) (n int64) {
	s.Helper()
	require.NoError(s, s.db.QueryRowContext(s.Context(), query, args...).Scan(&n), query)
	return n
}

// eventually waits until done, looking again and again.
func (s *stage) eventually(what string, done func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 3*time.Minute)
	defer cancel()
	for !done() {
		if wait(ctx, 10*time.Millisecond) {
			require.Fail(s, "never happened: "+what)
		}
	}
}
