package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// What readers do when a standby that lagged takes the place of their database. A copy of the database stands for the
// standby: it has what was committed before it was made, and goes on by itself.

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

// has checks that all of the events behind a position were consumed.
func (p *readers) has(ids []uuid.UUID) {
	p.r.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, id := range ids {
		assert.True(p.r.t, slices.Contains(p.consumed, id), "event %d of %d was delivered", n+1, len(ids))
	}
}

// TestCopyTakesOver: events 1 to 10 are in the copy, 11 to 20 are lost, and 11 to 25 are appended to the copy.
func TestCopyTakesOver(t *testing.T) {
	t.Parallel()
	quick := &store.Options{PollInterval: 10 * time.Millisecond, LeaseTTL: 3 * time.Second}
	unaware := &store.Options{PollInterval: time.Hour, LeaseTTL: time.Hour}
	for _, filter := range []store.EventFilter{{}, {Types: []string{"happened"}}} {
		for _, v := range []struct {
			name string
			opts *store.Options
			hold bool
			// over is what happens when the copy has taken over.
			over func(r *replaced, p *readers)
		}{
			{"live", quick, false, func(_ *replaced, p *readers) { p.lost() }},
			{"closed in good order", unaware, false, func(r *replaced, p *readers) {
				for name, err := range p.end() {
					require.ErrorIs(r.t, err, context.Canceled, name)
					require.ErrorIs(r.t, err, store.ErrPositionLost, "%s is told at its end", name)
				}
			}},
			{"stopped over the failover", unaware, true, func(r *replaced, p *readers) {
				appendTo(r.t, r.storage, "s", 15)
				r.history() // gives them positions
				close(p.hold)
				p.lost()
			}},
			{"restarted", unaware, false, func(r *replaced, p *readers) {}},
		} {
			if !filter.IsZero() && v.opts != quick && !v.hold {
				continue // no page is read behind the lost events
			}
			t.Run(fmt.Sprint(v.name, "/filter=", !filter.IsZero()), func(t *testing.T) {
				t.Parallel()
				r := replaceable(t)
				appendTo(t, r.storage, "s", 10)
				es := store.New(r.storage, v.opts)
				var hold chan struct{}
				if v.hold {
					hold = make(chan struct{})
				}
				p := r.readersOf(es, hold, 19, filter)
				r.caughtUp(func() bool { return true })
				r.copy()
				appendTo(t, r.storage, "s", 10)
				es.Committed()
				eventually(t, "twenty are handled, or about to be", func() bool {
					p.mu.Lock()
					defer p.mu.Unlock()
					return len(p.consumed) >= 19
				})
				if !v.hold {
					r.caughtUp(func() bool { return true })
				}
				r.fail()
				v.over(r, p)
				for name, checkpoint := range r.checkpoints() {
					assert.LessOrEqual(t, checkpoint, int64(10), "%s: what was done in the lost history is not said of this one", name)
				}
				if len(r.history()) < 25 {
					appendTo(t, r.storage, "s", 15)
				}
				if v.name == "restarted" { // the process is another one; the old one does not come back
					es = store.New(r.storage, quick)
					_, err := r.db.ExecContext(t.Context(), `update eventstore.subscriptions set lease_until = null; delete from eventstore.projection_members`)
					require.NoError(t, err)
				} else {
					es = p.es
				}
				after := r.readersOf(es, nil, 0, filter)
				after.caughtUp()
				after.has(r.history()[10:])
				after.end()
			})
		}
	}
}

// TestCopyBeforeTheWork: the copy has all twenty events, but not what was done with the last ten. A projection's read model
// went back with the checkpoint, so what is behind it is applied once more, though the number of the checkpoint is in the log.
func TestCopyBeforeTheWork(t *testing.T) {
	t.Parallel()
	r := replaceable(t)
	appendTo(t, r.storage, "s", 10)
	es := store.New(r.storage, &store.Options{PollInterval: 10 * time.Millisecond, LeaseTTL: 3 * time.Second})
	hold := make(chan struct{})
	p := r.readersOf(es, hold, 10, store.EventFilter{})
	r.caughtUp(func() bool { return true })
	appendTo(t, r.storage, "s", 10)
	r.history()
	r.copy()
	close(hold)
	r.caughtUp(func() bool { return true })
	r.fail()
	require.Equal(t, map[string]int64{"consumer": 10, "$projection/1/0": 10}, r.checkpoints())
	appendTo(t, r.storage, "s", 5)
	p.caughtUp()
	p.has(r.history())
}

// TestLaggingStandbyIsPromoted: a streaming standby is cut off from its primary, which goes on under load, is killed, and the
// standby promoted. Readers that end with ErrPositionLost are started again, and have every event of the new history.
func TestLaggingStandbyIsPromoted(t *testing.T) {
	t.Parallel()
	primary := pgtest.StartServer(t, "wal_level=replica", "max_wal_senders=10", "hot_standby=on", "wal_keep_size=256MB")
	standby := primary.StartStandby(t)
	both := strings.Replace(primary.URL(), primary.Address(), primary.Address()+","+standby.Address(), 1) +
		"&target_session_attrs=read-write&connect_timeout=3"
	db := pgtest.Open(t, "pgx", both)
	db.SetMaxOpenConns(20)
	r := &replaced{t: t, db: db, storage: New(db, nil)}
	install(t, r.storage)
	_, err := db.ExecContext(t.Context(), `create table applied (position bigint primary key, event_id uuid not null)`)
	require.NoError(t, err)

	l := &failoverLoad{}
	l.start(t, r.storage)
	opts := &store.Options{PollInterval: 10 * time.Millisecond, LeaseTTL: 3 * time.Second}
	es := store.New(r.storage, opts)
	t.Cleanup(func() { _ = es.Close() }) // it may say that events were lost
	before := r.readersOf(es, nil, 0, store.EventFilter{})
	before.more(100)
	standby.CutOff()
	before.more(100)
	primary.Kill()
	standby.Promote()
	was := l.appended.Load()
	eventually(t, "events are appended to what was the standby", func() bool { return l.appended.Load() >= was+100 })
	l.stop()

	// A reader that has seen lost events ends. One that has seen none goes on by itself.
	again := map[string]bool{}
	eventually(t, "both have come to the end, or ended", func() bool {
		before.mu.Lock()
		defer before.mu.Unlock()
		for name, err := range before.errs {
			require.ErrorIs(t, err, store.ErrPositionLost, name)
			again[name] = true
		}
		found, head := r.checkpoints(), int64(len(r.history()))
		return (again["consumer"] || found["consumer"] == head) && (again["projection"] || found["$projection/1/0"] == head)
	})
	before.end()
	after := r.readersOf(es, nil, 0, store.EventFilter{})
	after.caughtUp()
	after.consumed = append(after.consumed, before.consumed...)
	after.has(r.history())
}

// failoverLoad is writers that go on whatever becomes of the database.
type failoverLoad struct {
	appended atomic.Int64
	stop     func()
}

func (l *failoverLoad) start(t *testing.T, b *Backend) {
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	l.stop = func() {
		cancel()
		writers.Wait()
	}
	t.Cleanup(l.stop)
	for n := range 4 {
		es := store.New(b, nil)
		writers.Go(func() {
			for ctx.Err() == nil {
				if _, err := es.Append(ctx, fmt.Sprint("s", n), store.Any, store.Event{Type: "happened", Data: n}); err == nil {
					l.appended.Add(1) // an error says nothing: events may be lost here
				}
			}
		})
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
