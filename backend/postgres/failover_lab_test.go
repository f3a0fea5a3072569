package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// replaced is a database that a copy can take the place of.
type replaced struct {
	t            *testing.T
	server       *sql.DB
	name, copied string
	db           *sql.DB
	storage      *Backend
}

func replaceable(t *testing.T) *replaced {
	t.Helper()
	at := pgtest.Database(t)
	u, err := url.Parse(at)
	require.NoError(t, err)
	r := &replaced{t: t, server: pgtest.Open(t, "pgx", pgtest.URL(t)), name: u.Path[1:], copied: u.Path[1:] + "_copy"}
	t.Cleanup(func() {
		r.run(`drop database if exists "` + r.copied + `" with (force)`)
		r.run(`drop database if exists "` + r.name + `_old" with (force)`)
	})
	r.db, r.storage = r.open(at)
	install(t, r.storage)
	_, err = r.db.ExecContext(t.Context(), `create table applied (position bigint primary key, event_id uuid not null)`)
	require.NoError(t, err)
	return r
}

func (r *replaced) open(at string) (*sql.DB, *Backend) {
	db := pgtest.Open(r.t, "pgx", at)
	return db, New(db, nil)
}

func (r *replaced) run(statement string) {
	r.t.Helper()
	_, err := r.server.ExecContext(context.WithoutCancel(r.t.Context()), statement)
	require.NoError(r.t, err)
}

// shut ends all sessions of a database and lets none in.
func (r *replaced) shut(name string) {
	r.t.Helper()
	r.run(`alter database "` + name + `" allow_connections false`)
	r.run(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '` + name + `'`)
	eventually(r.t, "its sessions have ended", func() bool {
		var n int
		require.NoError(r.t, r.server.QueryRowContext(r.t.Context(), `select count(*) from pg_stat_activity where datname = $1`, name).Scan(&n))
		return n == 0
	})
}

// copy makes the copy, which from now on lags.
func (r *replaced) copy() {
	r.t.Helper()
	r.shut(r.name)
	r.run(fmt.Sprintf(`create database "%s" template "%s"`, r.copied, r.name))
	r.reopen()
}

// fail has the copy take the place of the database.
func (r *replaced) fail() {
	r.t.Helper()
	r.shut(r.name)
	r.run(fmt.Sprintf(`alter database "%s" rename to "%s_old"`, r.name, r.name))
	r.run(fmt.Sprintf(`alter database "%s" rename to "%s"`, r.copied, r.name))
	r.reopen()
}

// reopen lets sessions in again. The pool forgets those that have ended.
func (r *replaced) reopen() {
	r.t.Helper()
	r.run(`alter database "` + r.name + `" allow_connections true`)
	r.db.SetMaxIdleConns(0)
	r.db.SetMaxIdleConns(4)
}

// history returns the ids of all events, by position.
func (r *replaced) history() (ids []uuid.UUID) {
	r.t.Helper()
	for e, err := range store.New(r.storage, nil).All(r.t.Context(), nil) {
		require.NoError(r.t, err)
		require.EqualValues(r.t, len(ids)+1, e.Number)
		ids = append(ids, e.ID)
	}
	return ids
}

// checkpoints returns the checkpoints of all subscriptions, by name.
func (r *replaced) checkpoints() map[string]int64 {
	r.t.Helper()
	list, err := r.storage.ListSubscriptions(r.t.Context())
	require.NoError(r.t, err)
	found := map[string]int64{}
	for _, i := range list {
		found[i.Name] = i.Checkpoint
	}
	return found
}

func (r *replaced) caughtUp(check func() bool) {
	r.t.Helper()
	ids := r.history()
	eventually(r.t, "both have come to the end", func() bool {
		found := r.checkpoints()
		return check() && found["consumer"] == int64(len(ids)) && found["$projection/1/0"] == int64(len(ids))
	})
	rows, err := r.db.QueryContext(r.t.Context(), `select position, event_id from applied order by position`)
	require.NoError(r.t, err)
	defer rows.Close() //nolint:errcheck // rows.Err is asked
	var applied []uuid.UUID
	for rows.Next() {
		var position int64
		var id uuid.UUID
		require.NoError(r.t, rows.Scan(&position, &id))
		require.EqualValues(r.t, len(applied)+1, position)
		applied = append(applied, id)
	}
	require.NoError(r.t, rows.Err())
	assert.Equal(r.t, ids, applied, "the read model has every event of the new history, each once")
}

// readers are a program that consumes and projects.
type readers struct {
	r    *replaced
	es   *store.Store
	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	consumed []uuid.UUID      // guarded by mu, as all below
	errs     map[string]error // how they ended
	hold     chan struct{}    // the handler waits for it from the number behind held on; nil for never
	held     int64
}

// readersOf starts the program. Its handlers wait for hold, unless that is nil, at events behind held.
func (r *replaced) readersOf(es *store.Store, hold chan struct{}, held int64, filter store.EventFilter) *readers {
	p := &readers{r: r, es: es, errs: map[string]error{}, hold: hold, held: held}
	ctx, stop := context.WithCancel(context.WithoutCancel(r.t.Context()))
	p.stop = stop
	r.t.Cleanup(func() {
		p.end()
		_ = es.Close() // it may say that events were lost
	})
	never := time.Hour
	p.done.Go(func() {
		err := es.Consume(ctx, store.All, "consumer", p.consume, &store.ConsumeOptions{
			SubscribeOptions: store.SubscribeOptions{CheckpointThreshold: 1, CheckpointAfter: never, RetryInterval: 20 * time.Millisecond, Filter: filter},
		})
		p.ended("consumer", err)
	})
	p.done.Go(func() {
		p.ended("projection", es.Project(ctx, "projection", p.project, &store.ProjectOptions{
			MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond, RetryInterval: 20 * time.Millisecond, Filter: filter,
		}))
	})
	return p
}

func (p *readers) wait(number int64) {
	if p.hold != nil && number > p.held {
		<-p.hold
	}
}

func (p *readers) consume(_ context.Context, e store.Recorded) error {
	p.wait(e.Number)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.consumed = append(p.consumed, e.ID)
	return nil
}

func (p *readers) project(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
	for _, e := range events {
		p.wait(e.Number)
		if _, err := tx.ExecContext(ctx, `insert into applied (position, event_id) values ($1, $2)`, e.Number, e.ID.String()); err != nil {
			return err
		}
	}
	return nil
}

func (p *readers) ended(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs[name] = err
}

// end stops the program in good order.
func (p *readers) end() map[string]error {
	p.stop()
	p.done.Wait()
	return p.errs
}

// lost waits until both have ended by themselves, since events were lost.
func (p *readers) lost() {
	p.r.t.Helper()
	eventually(p.r.t, "both have ended", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.errs) == 2
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range []string{"consumer", "projection"} {
		require.ErrorIs(p.r.t, p.errs[name], store.ErrPositionLost, name)
	}
}

// caughtUp waits until both have come to the end, and checks that they have every event of the database.
func (p *readers) caughtUp() {
	p.r.t.Helper()
	p.r.caughtUp(func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Empty(p.r.t, p.errs)
		return true
	})
}

// has checks that all of the events behind a position were consumed.
func (p *readers) has(ids []uuid.UUID) {
	p.r.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, id := range ids {
		assert.True(p.r.t, slices.Contains(p.consumed, id), "event %d of %d was delivered", n+1, len(ids))
	}
}

// more waits until n more events were consumed.
func (p *readers) more(n int) {
	p.r.t.Helper()
	count := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.consumed)
	}
	was := count()
	eventually(p.r.t, "more events are delivered", func() bool { return count() >= was+n })
}
