// Package notifytest tests notifiers that listen to PostgreSQL.
package notifytest

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the store's driver
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/internal/tcpproxy"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// New makes a notifier with short back-off.
type New func(connString, channel string, log *slog.Logger, keepAlive time.Duration) (store.Notifier, error)

const patience = 30 * time.Second

// Run runs all tests of a notifier.
func Run(t *testing.T, newNotifier New) {
	t.Helper()
	for name, test := range map[string]func(*fixture){
		"tick": tick, "terminated": terminated, "cut": cut, "stalled": stalled, "end": end, "unreachable": unreachable, "wrong password": wrongPassword,
		"pooler": pooler, "pooler with several sessions": roundRobin, "session pooler": sessionPooler, "slow server": slow, "one connection": alone,
	} {
		t.Run(name, func(t *testing.T) { test(newFixture(t, newNotifier, pgtest.Schema(t))) })
	}
	for _, schema := range []string{`Capitals`, `with "quotes"`, `with.dots`, strings.Repeat("long", 13)} {
		t.Run(schema, func(t *testing.T) {
			f := newFixture(t, newNotifier, schema)
			defer func() {
				_, err := f.backend.DB().ExecContext(context.WithoutCancel(t.Context()), `drop schema "`+quoted(schema)+`" cascade`)
				require.NoError(t, err)
			}()
			tick(f)
		})
	}
	t.Run("invalid", func(t *testing.T) {
		for _, test := range [][2]string{{"postgres://user:secret@host:notaport/db", "c"}, {"postgres://host/db", ""}, {"postgres://host/db", string(make([]byte, 64))}} {
			_, err := newNotifier(test[0], test[1], nil, 0)
			require.ErrorIs(t, err, store.ErrInvalid)
			require.NotContains(t, err.Error(), "secret")
		}
	})
}

func quoted(name string) string {
	return string(bytes.ReplaceAll([]byte(name), []byte(`"`), []byte(`""`)))
}

// fixture is a store and a notifier.
type fixture struct {
	*testing.T
	newNotifier New
	backend     *postgres.Backend
	woken       chan struct{}
	log         syncBuffer
}

func newFixture(t *testing.T, newNotifier New, schema string) *fixture {
	t.Helper()
	f := &fixture{T: t, newNotifier: newNotifier, woken: make(chan struct{}, 1)}
	f.backend = postgres.New(pgtest.Open(t, "pgx", pgtest.URL(t)), &postgres.Options{Schema: schema})
	require.NoError(t, migrate.Up(t.Context(), f.backend))
	t.Cleanup(func() { require.NoError(t, f.backend.Close()) })
	return f
}

func (f *fixture) logged() string { return f.log.String() }

// listen starts the notifier, and returns a function that stops it.
func (f *fixture) listen(connString string, keepAlive time.Duration) (stop func()) {
	f.Helper()
	n, err := f.newNotifier(connString, f.backend.Channel(), slog.New(slog.NewTextHandler(&f.log, nil)), keepAlive)
	require.NoError(f, err)
	ctx, cancel := context.WithCancel(f.Context())
	done := make(chan error, 1)
	go func() {
		done <- n.Listen(ctx, func() {
			select {
			case f.woken <- struct{}{}:
			default:
			}
		})
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				require.ErrorIs(f, err, context.Canceled)
			case <-time.After(patience):
				f.Error("it does not stop")
			}
		})
	}
	f.Cleanup(stop)
	return stop
}

// wakes waits for a call of wake.
func (f *fixture) wakes(why string) {
	f.Helper()
	select {
	case <-f.woken:
	case <-time.After(patience):
		f.Fatalf("never woken: %s\n%s", why, f.logged())
	}
}

// append appends an event and ticks.
func (f *fixture) append() {
	f.Helper()
	_, err := store.New(f.backend, nil).Append(f.Context(), "a", store.Any, store.Event{Type: "happened"})
	require.NoError(f, err)
	placed, err := f.backend.Tick(f.Context())
	require.NoError(f, err)
	require.EqualValues(f, 1, placed)
}

// hears checks that a tick wakes the notifier, which may have been woken by its connection more than once before.
func (f *fixture) hears() {
	f.Helper()
	f.until("the channel is listened to", func() bool {
		select {
		case <-f.woken:
		default:
		}
		f.append()
		select {
		case <-f.woken:
			return true
		case <-time.After(time.Second):
			return false
		}
	})
}

// until waits until a condition holds.
func (f *fixture) until(what string, holds func() bool) {
	f.Helper()
	require.Eventually(f, holds, patience, 10*time.Millisecond, "%s\n%s", what, f.logged())
}

func tick(f *fixture) {
	f.listen(pgtest.URL(f), 0)
	f.wakes("when it has connected")
	f.append()
	f.wakes("by the tick")
}

// pids returns the server processes that listen, told by the name of their application.
func (f *fixture) pids(application string) (pids []int) {
	f.Helper()
	rows, err := f.backend.DB().QueryContext(f.Context(), `select pid from pg_stat_activity where application_name = $1`, application)
	require.NoError(f, err)
	defer rows.Close() //nolint:errcheck // rows.Err counts
	for rows.Next() {
		var pid int
		require.NoError(f, rows.Scan(&pid))
		pids = append(pids, pid)
	}
	require.NoError(f, rows.Err())
	return pids
}

func terminated(f *fixture) {
	name := "terminated-" + pgtest.Schema(f)
	f.listen(pgtest.URL(f)+"&application_name="+name, 0)
	f.wakes("when it has connected")
	f.until("it has one connection", func() bool { return len(f.pids(name)) == 1 }) // the others have ended, with which it tried itself
	_, err := f.backend.DB().ExecContext(f.Context(), `select pg_terminate_backend($1)`, f.pids(name)[0])
	require.NoError(f, err)
	f.wakes("when it has connected again: hints were lost meanwhile")
	f.hears()
}

// through returns the URL of the test's database through a proxy.
func (f *fixture) through() (*tcpproxy.Proxy, string) {
	f.Helper()
	u, err := url.Parse(pgtest.URL(f))
	require.NoError(f, err)
	p := tcpproxy.Start(f, u.Host)
	u.Host = p.Addr()
	return p, u.String()
}

func cut(f *fixture) {
	p, connString := f.through()
	f.listen(connString, 0)
	f.wakes("when it has connected")
	p.Cut()
	f.until("it says that it has lost the connection", func() bool { return f.logged() != "" })
	p.Restore()
	f.wakes("when it has connected again")
	f.hears()
}

func stalled(f *fixture) {
	p, connString := f.through()
	f.listen(connString, time.Second)
	f.wakes("when it has connected")
	f.hears()
	p.Stall()
	f.until("it notices that nothing answers", func() bool { return f.logged() != "" })
	p.Resume()
	f.hears()
}

func end(f *fixture) {
	name := "end-" + pgtest.Schema(f)
	stop := f.listen(pgtest.URL(f)+"&application_name="+name, 0)
	f.wakes("when it has connected")
	f.until("it has one connection", func() bool { return len(f.pids(name)) == 1 })
	stop()
	f.until("its connection is gone", func() bool { return len(f.pids(name)) == 0 })
}

func unreachable(f *fixture) {
	p, connString := f.through()
	p.Cut()
	stop := f.listen(connString, 0)
	f.until("it says that it can't connect", func() bool { return f.logged() != "" })
	p.Restore()
	f.wakes("when it has connected after all")
	f.hears()
	p.Cut()
	stop() // while it tries
}

func wrongPassword(f *fixture) {
	u, err := url.Parse(pgtest.URL(f))
	require.NoError(f, err)
	u.User = url.UserPassword(u.User.Username(), "not-the-secret")
	f.listen(u.String(), 0)
	f.until("it says that it can't log in", func() bool { return f.logged() != "" })
	require.NotContains(f, f.logged(), "not-the-secret")
}

// goesNowhere checks that the notifier finds out that it hears nothing, and gives up.
func (f *fixture) goesNowhere(connString string) {
	f.Helper()
	n, err := f.newNotifier(connString, f.backend.Channel(), slog.New(slog.NewTextHandler(&f.log, nil)), 0)
	require.NoError(f, err)
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	err = n.Listen(ctx, func() { f.Error("it was woken") })
	require.ErrorIs(f, err, store.ErrNoNotifications)
	require.ErrorContains(f, err, f.backend.Channel())

	// A Store says so in its log, and finds events all the same.
	var log syncBuffer
	es := store.New(f.backend, &store.Options{Notifier: n, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer func() { require.NoError(f, es.Close()) }()
	w, err := es.Watch(ctx, store.All, nil)
	require.NoError(f, err)
	_, err = es.Append(ctx, "a", store.Any, store.Event{Type: "happened"})
	require.NoError(f, err)
	events, err := w.Next(ctx)
	require.NoError(f, err)
	require.Len(f, events, 1)
	f.until("the store's log has it", func() bool { return strings.Contains(log.String(), "notifications do not arrive") })
}

func pooler(f *fixture) {
	f.goesNowhere(pgtest.StartPooler(f, pgtest.URL(f)).URL())
}

func roundRobin(f *fixture) {
	f.goesNowhere(pgtest.StartPooler(f, pgtest.URL(f), "server_round_robin = 1", "min_pool_size = 3").URL())
}

// sessionPooler: a pooler that keeps sessions is as good as none.
func sessionPooler(f *fixture) {
	f.listen(pgtest.StartPooler(f, pgtest.URL(f), "pool_mode = session").URL(), 0)
	f.wakes("when it has connected")
	f.hears()
	require.Empty(f, f.logged())
}

// slow: whoever waits long for each answer hears itself all the same.
func slow(f *fixture) {
	p, connString := f.through()
	p.Delay(50 * time.Millisecond)
	f.listen(connString, 0)
	f.wakes("when it has connected")
	f.hears()
	require.Empty(f, f.logged())
}

// alone: a role that may have one connection can't try, says so, and listens.
func alone(f *fixture) {
	role := "alone_" + pgtest.Schema(f)
	exec := func(ctx context.Context, statement string) {
		_, err := f.backend.DB().ExecContext(ctx, statement)
		require.NoError(f, err)
	}
	exec(f.Context(), `create role "`+role+`" login connection limit 1 password 'only'`)
	u, err := url.Parse(pgtest.URL(f))
	require.NoError(f, err)
	u.User = url.UserPassword(role, "only")
	stop := f.listen(u.String(), 0)
	f.Cleanup(func() {
		stop()
		exec(context.WithoutCancel(f.Context()), `drop role "`+role+`"`)
	})
	f.wakes("when it has connected")
	f.hears()
	require.Contains(f, f.logged(), "could not find out whether notifications arrive")
}

// syncBuffer collects a log.
type syncBuffer struct {
	mu  sync.Mutex
	log bytes.Buffer // guarded by mu
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}
