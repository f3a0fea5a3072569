package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// What readers do when a standby that lagged takes the place of their database. A copy of the database stands for the
// standby: it has what was committed before it was made, and goes on by itself.

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
