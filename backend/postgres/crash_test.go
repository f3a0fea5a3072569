package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/eventstore-go/eventstore/internal/history"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// What is left when a session's process, or the whole server, is killed with signal 9.

// numbers returns n different names.
func numbers(name string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", name, i)
	}
	return names
}

// eventsNamed returns events with these names as their data, and ids made of them.
func eventsNamed(names []string) []store.Event {
	events := make([]store.Event, len(names))
	for i, name := range names {
		events[i] = store.Event{ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)), Type: "happened", Data: name}
	}
	return events
}

func TestKilledInMidAppend(t *testing.T) {
	t.Parallel()
	// Nobody is this standby: a commit that waits for one is durable here, and never acknowledged.
	server := pgtest.StartServer(t, "synchronous_standby_names=nobody")
	local := server.URL() + "&synchronous_commit=local"

	// takeID keeps an event's id in a transaction: whoever wants it waits until that ends.
	takeID := func(t *testing.T, b *Backend, e store.Event) {
		_, err := store.New(b, nil).WithTx(begin(t, b)).Append(t.Context(), "other", store.Any, e)
		require.NoError(t, err)
	}
	for i, test := range []struct {
		name   string
		events int
		url    string // of the session that appends
		block  func(t *testing.T, b *Backend, events []store.Event)
		wait   string // the event that it then waits for
		there  bool   // whether the append is there after all
	}{
		{
			name: "before it has the stream", events: 3, url: local, wait: "Lock",
			block: func(t *testing.T, b *Backend, _ []store.Event) { appendTo(t, b.WithTx(begin(t, b)), "a", 1) },
		},
		{
			name: "with some of the events written", events: 100, url: local, wait: "Lock",
			block: func(t *testing.T, b *Backend, events []store.Event) { takeID(t, b, events[99]) },
		},
		{
			name: "in the second statement of a large append", events: maxChunkEvents + 10, url: local, wait: "Lock",
			block: func(t *testing.T, b *Backend, events []store.Event) { takeID(t, b, events[maxChunkEvents+5]) },
		},
		{
			name: "committed but not acknowledged", events: 3, url: server.URL(), wait: "SyncRep", there: true,
			block: func(*testing.T, *Backend, []store.Event) {},
		},
	} {
		// One after the other: a killed process takes all sessions of its server with it.
		t.Run(test.name, func(t *testing.T) {
			opts := &Options{Schema: fmt.Sprintf("test_%d", i)}
			b := New(pgtest.Open(t, "pgx", local), opts)
			install(t, b)
			appendTo(t, b, "a", 2)
			names := numbers("event", test.events)
			events := eventsNamed(names)
			test.block(t, b, events)

			victim := store.New(New(pgtest.Open(t, "pgx", test.url), opts), nil)
			defer victim.Close() //nolint:errcheck // its sessions are dead
			appended := make(chan error, 1)
			go func() {
				_, err := victim.Append(t.Context(), "a", store.Any, events...)
				appended <- err
			}()
			var pid int
			eventually(t, "the append waits", func() bool {
				err := b.db.QueryRowContext(t.Context(), `select pid from pg_stat_activity
					where (wait_event_type = $1 or wait_event = $1) and query like '%".append%'`, test.wait).Scan(&pid)
				require.Empty(t, appended, "the append has ended")
				return err == nil
			})
			witness, err := b.db.Conn(t.Context())
			require.NoError(t, err)
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			require.Error(t, <-appended)
			recovered(t, b.db, witness)

			// Nothing, or all of it.
			es := store.New(New(b.db, opts), nil)
			have := int64(2)
			if test.there {
				have += int64(test.events)
			}
			info, err := es.StreamInfo(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, have, info.Version)
			for range 2 {
				res, err := es.Append(t.Context(), "a", store.Any, events...)
				require.NoError(t, err)
				require.Equal(t, store.AppendResult{Stream: "a", First: 3, Last: int64(test.events) + 2, Retried: test.there}, placed(res))
				test.there = true
			}
			var got []string
			for e, err := range es.All(t.Context(), &store.ReadOptions{After: 2}) {
				require.NoError(t, err)
				require.EqualValues(t, len(got)+3, e.Number)
				require.EqualValues(t, len(got)+3, e.Version)
				id, err := store.Decode[string](e)
				require.NoError(t, err)
				got = append(got, id)
			}
			require.Equal(t, names, got)
			noHoles(t, b)
			require.NoError(t, es.Close())
		})
	}
}

// recovered waits until the server has noticed that a process of its died, and takes connections again. It rids the pool
// of those that died with it, as the witness did.
func recovered(t *testing.T, db *sql.DB, witness *sql.Conn) {
	t.Helper()
	eventually(t, "the server ends all sessions", func() bool { return witness.PingContext(t.Context()) != nil })
	_ = witness.Close() // it is dead
	db.SetMaxIdleConns(0)
	eventually(t, "the server is back", func() bool { return db.PingContext(t.Context()) == nil })
	db.SetMaxIdleConns(2)
}

func TestKilledServerUnderLoad(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, driver, fsync, options string
		lossy                        bool
	}{
		{"pgx", "pgx", "on", "", false},
		{"lib_pq", "postgres", "off", "", false},
		// Acknowledged appends may be lost, but none that somebody saw, and positions don't move.
		{"asynchronous commits", "pgx", "off", "&synchronous_commit=off", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.StartServer(t, "fsync="+test.fsync)
			db := pgtest.Open(t, test.driver, server.URL()+test.options)
			b := New(db, nil)
			install(t, b)
			db.SetMaxOpenConns(20)
			db.SetMaxIdleConns(20)
			admin := pgtest.Open(t, "pgx", server.URL())
			admin.SetMaxIdleConns(0) // none that has ended with the server
			l := &load{db: db, es: store.New(b, nil)}
			var running errgroup.Group
			running.Go(func() error { return l.run(t.Context(), 8) })

			for range 3 {
				if test.lossy {
					stopWALWriter(t, admin) // so that only ticks write the server's log to disk
				}
				enough := l.acknowledged.Load() + 100
				eventually(t, "appends are acknowledged", func() bool { return l.acknowledged.Load() >= enough || l.failed.Load() })
				l.up.Lock()
				server.Kill()
				server.Restart()
				l.up.Unlock()
				eventually(t, "appends go on", func() bool { return l.acknowledged.Load() > enough || l.failed.Load() })
			}
			l.stopped.Store(true)
			require.NoError(t, running.Wait())

			h := l.rec.History()
			h.Lossy = test.lossy
			require.NoError(t, h.ReadFinal(t.Context(), l.es))
			require.Empty(t, h.Check())
			noHoles(t, b)
			lost := len(h.Writes) - int(number(t, b, `select count(distinct append_seq) from /*schema.*/events`))
			t.Logf("%d appends, %d of them by a retry, %d lost; %d pages", len(h.Writes), l.retried.Load(), lost, len(h.Pages))
			if !test.lossy {
				assert.Zero(t, lost)
			}
			require.Equal(t, h.Head, int64(len(h.Final)), "positions are 1 … n")
		})
	}
}

// stopWALWriter stops the process that writes the server's log to disk in the background. It stops it in its sleep: with a
// lock of the log in its hands it would stop the whole server.
func stopWALWriter(t *testing.T, db *sql.DB) {
	t.Helper()
	eventually(t, "the WAL writer is stopped in its sleep", func() bool {
		var pid int
		require.NoError(t, db.QueryRowContext(t.Context(), `select pid from pg_stat_activity where backend_type = 'walwriter'`).Scan(&pid))
		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
		var asleep bool
		require.NoError(t, db.QueryRowContext(t.Context(),
			`select coalesce(lower(wait_event) = 'walwritermain', false) from pg_stat_activity where pid = $1`, pid).Scan(&asleep))
		if !asleep {
			require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
		}
		return asleep
	})
}

// load is writers and readers that go on through crashes of the server.
type load struct {
	db   *sql.DB
	es   *store.Store
	name string // what names of streams and events begin with
	rec  history.Recorder

	clock        atomic.Int64
	acknowledged atomic.Int64 // appends
	retried      atomic.Int64 // appends that were there when they were tried again
	stopped      atomic.Bool  // no more appends
	failed       atomic.Bool
	up           sync.RWMutex // whoever stops the server holds it
}

func (l *load) now(context.Context) (int64, error) { return l.clock.Add(1), nil }

// run runs so many writers, and two readers, until it is stopped and the readers have read all.
func (l *load) run(ctx context.Context, n int) error {
	var writers, readers errgroup.Group
	var written atomic.Bool
	for i := range n {
		writers.Go(func() error { return l.noted(l.write(ctx, i)) })
	}
	for i := range 2 {
		readers.Go(func() error { return l.noted(l.read(ctx, fmt.Sprintf("reader %d", i), &written)) })
	}
	err := writers.Wait()
	written.Store(true)
	return errors.Join(err, readers.Wait())
}

func (l *load) noted(err error) error {
	if err != nil {
		l.failed.Store(true)
	}
	return err
}

// again returns nil if what failed may be tried again, as soon as the server is up.
func (l *load) again(err error) error {
	for _, fatal := range []error{context.Canceled, store.ErrWrongExpectedVersion, store.ErrDuplicateEvent, store.ErrInvalid, store.ErrPositionLost, store.ErrSchema} {
		if errors.Is(err, fatal) {
			return err
		}
	}
	if l.failed.Load() {
		return err
	}
	l.up.RLock()
	defer l.up.RUnlock()
	return nil
}

// write appends, each time until it is acknowledged.
func (l *load) write(ctx context.Context, i int) error {
	rng := rand.New(rand.NewPCG(1, uint64(i)))
	for made := 0; !l.stopped.Load(); made++ {
		n := 1
		if rng.IntN(3) == 0 {
			n = 3 // appends in one transaction
		}
		writes := make([]history.Write, n)
		for j := range writes {
			writes[j] = history.Write{
				Kind: history.Append, Stream: fmt.Sprintf("%ss-%d", l.name, rng.IntN(6)), Began: l.clock.Add(1),
				IDs: numbers(fmt.Sprintf("%s%d-%d-%d", l.name, i, made, j), 1+rng.IntN(4)),
			}
		}
		slices.SortStableFunc(writes, func(x, y history.Write) int { return strings.Compare(x.Stream, y.Stream) }) // no deadlocks
		results, err := l.append(ctx, writes)
		for err != nil {
			if err := l.again(err); err != nil {
				return err
			}
			results, err = l.append(ctx, writes)
		}
		ended := l.clock.Add(1)
		for j, res := range results {
			if res.Retried != results[0].Retried {
				return fmt.Errorf("a transaction was committed in part: %+v", results)
			}
			if res.Retried {
				l.retried.Add(1)
			}
			writes[j].First, writes[j].Ended, writes[j].Outcome = res.First, ended, history.Committed
		}
		l.rec.Wrote(writes...)
		l.acknowledged.Add(int64(n))
	}
	return nil
}

// append makes the appends, in one transaction if there are several.
func (l *load) append(ctx context.Context, writes []history.Write) ([]store.AppendResult, error) {
	if len(writes) == 1 {
		res, err := l.es.Append(ctx, writes[0].Stream, store.Any, eventsNamed(writes[0].IDs)...)
		return []store.AppendResult{res}, err
	}
	var results []store.AppendResult
	err := l.es.InTx(ctx, func(tx *sql.Tx) error {
		for _, w := range writes {
			res, err := l.es.WithTx(tx).Append(ctx, w.Stream, store.Any, eventsNamed(w.IDs)...)
			if err != nil {
				return err
			}
			results = append(results, res)
		}
		return nil
	})
	return results, err
}

// read reads on until everything is written and read.
func (l *load) read(ctx context.Context, name string, written *atomic.Bool) error {
	const size = 100
	r := history.Reader{Name: name, Store: l.es, Recorder: &l.rec, Clock: l.now}
	for {
		last := written.Load()
		page, err := r.Next(ctx, size)
		if err == nil && len(page) < size {
			if last {
				return nil
			}
			_, err = l.db.ExecContext(ctx, `select pg_sleep(0.005)`)
		}
		if err != nil {
			if err := l.again(err); err != nil {
				return err
			}
		}
	}
}
