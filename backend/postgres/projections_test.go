package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestProjectTerminated: whoever's session is ended while a batch is applied, no event is blamed, lost or applied twice.
func TestProjectTerminated(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			p := newProjecting(t, driver, pgtest.Database(t))
			p.fill(10, 50)
			killer := pgtest.Open(t, "pgx", p.url)
			var batches atomic.Int64
			handler := func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				if err := applied(ctx, tx, events); err != nil {
					return err
				}
				if n := batches.Add(1); n%3 == 0 && n < 16 {
					var pid int
					if err := tx.QueryRowContext(ctx, `select pg_backend_pid()`).Scan(&pid); err != nil {
						return err
					}
					if _, err := killer.ExecContext(ctx, `select pg_terminate_backend($1)`, pid); err != nil {
						return err
					}
					if n%2 == 0 { // it is noticed here, or not before the commit
						_, err := tx.ExecContext(ctx, `select 1`)
						return err
					}
				}
				return nil
			}
			p.run(handler, &store.ProjectOptions{Partitions: 2, BatchSize: 10, OnError: blameNobody(t)})
			p.has(500, 500)
		})
	}
}

// TestProjectRestart: the server dies while batches are applied.
func TestProjectRestart(t *testing.T) {
	t.Parallel()
	s := pgtest.StartServer(t, "fsync=on")
	for _, driver := range pgtest.Drivers() {
		admin := pgtest.Open(t, "pgx", s.URL())
		_, err := admin.ExecContext(t.Context(), `create database d_`+driver)
		require.NoError(t, err)
		require.NoError(t, admin.Close())
		p := newProjecting(t, driver, s.DatabaseURL("d_"+driver))
		p.fill(10, 50)
		var batches atomic.Int64
		handler := func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
			if err := applied(ctx, tx, events); err != nil {
				return err
			}
			if batches.Add(1) == 7 {
				s.Kill()
				s.Restart()
			}
			return nil
		}
		p.run(handler, &store.ProjectOptions{Partitions: 2, BatchSize: 10, OnError: blameNobody(t)})
		p.has(500, 500)
	}
}

// TestProjectDeferredConstraint: what the database refuses at the commit is the event's fault, and found down to it.
func TestProjectDeferredConstraint(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			p := newProjecting(t, driver, pgtest.Database(t))
			p.fill(2, 10)
			handler := func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				if err := applied(ctx, tx, events); err != nil {
					return err
				}
				for _, e := range events {
					if e.Number == 5 { // a second time
						return applied(ctx, tx, []store.Recorded{e})
					}
				}
				return nil
			}
			p.run(handler, &store.ProjectOptions{OnError: store.RetryThen(2, store.Park)})
			p.has(20, 14)
			list, err := p.Parked(t.Context(), "report", nil)
			require.NoError(t, err)
			require.Len(t, list, 6)
			assert.Equal(t, int64(5), list[0].Number)
			assert.Contains(t, list[0].Error, "applied_once")
			assert.Equal(t, 2, list[0].Attempts)
		})
	}
}

// TestProjectSwallowedError: a handler that passes over an error of a statement commits nothing, and its event is blamed.
func TestProjectSwallowedError(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			p := newProjecting(t, driver, pgtest.Database(t))
			p.fill(1, 6)
			handler := func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				for _, e := range events {
					if e.Number == 3 {
						_, _ = tx.ExecContext(ctx, `select 1/0`)
					}
				}
				_ = applied(ctx, tx, events)
				return nil
			}
			p.run(handler, &store.ProjectOptions{OnError: store.RetryThen(1, store.Skip)})
			p.has(6, 5)
		})
	}
}

// TestProjectSerializable: where the server makes every transaction serializable, one that the database gives up is
// tried again, and no event is blamed.
func TestProjectSerializable(t *testing.T) {
	t.Parallel()
	p := newProjecting(t, "pgx", pgtest.Database(t))
	_, err := p.db.ExecContext(t.Context(), `do $$ begin execute format('alter database %I set default_transaction_isolation = serializable', current_database()); end $$`)
	require.NoError(t, err)
	p.db.SetMaxIdleConns(0) // new sessions from here on
	p.db.SetMaxIdleConns(2)
	_, err = p.db.ExecContext(t.Context(), `create table reports.total (n bigint not null)`)
	require.NoError(t, err)
	_, err = p.db.ExecContext(t.Context(), `insert into reports.total values (0)`)
	require.NoError(t, err)
	p.fill(10, 20)
	handler := func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
		var level string
		if err := tx.QueryRowContext(ctx, `show transaction_isolation`).Scan(&level); err != nil || level != "serializable" {
			return fmt.Errorf("the isolation level is %q: %w", level, err)
		}
		if _, err := tx.ExecContext(ctx, `update reports.total set n = n + $1`, len(events)); err != nil { // of all partitions
			return err
		}
		return applied(ctx, tx, events)
	}
	p.run(handler, &store.ProjectOptions{Partitions: 4, BatchSize: 5, OnError: blameNobody(t)})
	p.has(200, 200)
	var total int
	require.NoError(t, p.db.QueryRowContext(t.Context(), `select n from reports.total`).Scan(&total))
	assert.Equal(t, 200, total)
}

// TestProjectSnapshotOlderThanTheHead: while a batch is applied in a transaction that keeps its first snapshot, events are
// read that the projection leaves out. Its checkpoint does not pass what the transaction can't see.
func TestProjectSnapshotOlderThanTheHead(t *testing.T) {
	t.Parallel()
	p := newProjecting(t, "pgx", pgtest.Database(t))
	_, err := p.db.ExecContext(t.Context(), `do $$ begin execute format('alter database %I set default_transaction_isolation = serializable', current_database()); end $$`)
	require.NoError(t, err)
	p.db.SetMaxIdleConns(0) // new sessions from here on
	p.db.SetMaxIdleConns(2)
	watcher, err := p.Watch(t.Context(), store.All, nil)
	require.NoError(t, err)
	p.fill(1, 1)
	var once sync.Once
	p.run(func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
		if err := tx.QueryRowContext(ctx, `select 1`).Scan(new(int)); err != nil { // takes the snapshot
			return err
		}
		var err error
		once.Do(func() {
			for range 50 {
				if _, err = p.Append(ctx, "left out", store.Any, store.Event{Type: "left out", Data: 1}); err != nil {
					return
				}
			}
			for n := 0; n < 51; { // what the watcher has been sent, the projection's subscription has been sent, too
				var sent []store.Recorded
				if sent, err = watcher.Next(ctx); err != nil {
					return
				}
				n += len(sent)
			}
		})
		if err != nil {
			return err
		}
		return applied(ctx, tx, events)
	}, &store.ProjectOptions{Filter: store.EventFilter{Types: []string{"happened"}}, OnError: blameNobody(t)})
	p.has(51, 1)
}

// TestProjectResetMeanwhile: while a batch is applied, a reset waits for the tables that the batch has written to. The
// batch does not wait for the reset.
func TestProjectResetMeanwhile(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			p := newProjecting(t, driver, pgtest.Database(t))
			p.fill(1, 5)
			watch := pgtest.Open(t, "pgx", p.url)
			written, waited := make(chan struct{}), make(chan struct{})
			var once sync.Once
			p.run(func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				err := applied(ctx, tx, events)
				once.Do(func() {
					close(written)
					<-waited
				})
				return err
			}, &store.ProjectOptions{OnError: blameNobody(t)})
			<-written
			reset := make(chan error, 1)
			go func() {
				reset <- p.ResetProjection(t.Context(), "report", func(ctx context.Context, tx *sql.Tx) error {
					_, err := tx.ExecContext(ctx, `truncate reports.applied`)
					return err
				})
			}()
			require.Eventually(t, func() bool {
				var n int
				err := watch.QueryRowContext(t.Context(), `select count(*) from pg_locks where not granted and relation = 'reports.applied'::regclass`).Scan(&n)
				require.NoError(t, err)
				return n == 1
			}, time.Minute, time.Millisecond)
			close(waited)
			require.NoError(t, <-reset)
			p.has(5, 5)
		})
	}
}

// renewing renews leases between what a call that manages a projection reads first, and what it does.
type renewing struct {
	store.Storage
	store.ProjectionStorage
	renew func()
}

func (r renewing) WithTx(tx *sql.Tx) store.Storage {
	r.Storage = r.ProjectionStorage.WithTx(tx)
	r.ProjectionStorage = r.Storage.(store.ProjectionStorage)
	return r
}

func (r renewing) LockProjection(ctx context.Context, name string) (store.ProjectionRecord, error) {
	p, err := r.ProjectionStorage.LockProjection(ctx, name)
	r.renew()
	return p, err
}

// TestProjectManageSerializable: where the server makes every transaction serializable, calls that change a projection
// which runs are tried again when the database gives them up.
func TestProjectManageSerializable(t *testing.T) {
	t.Parallel()
	p := newProjecting(t, "pgx", pgtest.Database(t))
	p.fill(2, 5)
	p.run(applied, &store.ProjectOptions{})
	require.Eventually(t, func() bool { _, err := p.Projection(t.Context(), "report"); return err == nil }, time.Minute, time.Millisecond)
	p.has(10, 10)
	_, err := p.db.ExecContext(t.Context(), `do $$ begin execute format('alter database %I set default_transaction_isolation = serializable', current_database()); end $$`)
	require.NoError(t, err)
	b := postgres.New(pgtest.Open(t, "pgx", p.url), &postgres.Options{Schema: "events"})
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	renewed := 0
	admin := store.New(renewing{Storage: b, ProjectionStorage: b, renew: func() {
		if renewed++; renewed%2 == 1 {
			_, err := p.db.ExecContext(t.Context(), `update events.subscriptions set lease_until = clock_timestamp() + interval '2 seconds'`)
			require.NoError(t, err)
		}
	}}, nil)
	require.NoError(t, admin.Repartition(t.Context(), "report", 2))
	calls := 0
	require.NoError(t, admin.ResetProjection(t.Context(), "report", func(ctx context.Context, tx *sql.Tx) error {
		calls++
		_, err := tx.ExecContext(ctx, `delete from reports.applied`)
		return err
	}))
	assert.Positive(t, calls)
	p.has(10, 10)
	assert.GreaterOrEqual(t, renewed, 4, "two attempts each; more if the projection renews its leases in between, too")
}

// TestProjectReadOnly: a server that takes no writes, as one that has become a standby, says nothing of the event.
func TestProjectReadOnly(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			p := newProjecting(t, driver, pgtest.Database(t))
			p.fill(1, 5)
			refused := 0
			p.run(func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				if refused < 20 {
					refused++
					if _, err := tx.ExecContext(ctx, `set transaction read only`); err != nil {
						return err
					}
				}
				return applied(ctx, tx, events)
			}, &store.ProjectOptions{OnError: blameNobody(t)})
			p.has(5, 5)
		})
	}
}

// TestProjectOwnDeadline: a handler that gives its statement up after a time of its own has failed on the event, also
// where the driver has closed the connection for it.
func TestProjectOwnDeadline(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			p := newProjecting(t, driver, pgtest.Database(t))
			p.fill(1, 5)
			p.run(func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				for _, e := range events {
					if e.Number == 3 {
						short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
						defer cancel()
						if _, err := tx.ExecContext(short, `select pg_sleep(60)`); err != nil {
							return err
						}
					}
				}
				return applied(ctx, tx, events)
			}, &store.ProjectOptions{OnError: store.RetryThen(2, store.Skip)})
			p.has(5, 4)
		})
	}
}

// watched is a storage whose records of projections somebody waits to be read.
type watched struct {
	store.Storage
	store.ProjectionStorage
	reads chan struct{}
}

func (w watched) ReadProjections(ctx context.Context, name string) ([]store.ProjectionRecord, error) {
	list, err := w.ProjectionStorage.ReadProjections(ctx, name)
	select {
	case w.reads <- struct{}{}:
	default:
	}
	return list, err
}

// TestProjectPanicMeanwhile: a panic reaches the caller also if the partitions are just being replaced by others.
func TestProjectPanicMeanwhile(t *testing.T) {
	t.Parallel()
	p := newProjecting(t, "pgx", pgtest.Database(t))
	p.fill(1, 1)
	b := postgres.New(p.db, &postgres.Options{Schema: "events"})
	reads := make(chan struct{})
	es := store.New(watched{Storage: b, ProjectionStorage: b, reads: reads}, &store.Options{LeaseTTL: 300 * time.Millisecond})
	t.Cleanup(func() { _ = es.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	panicked := make(chan any, 1)
	first := true
	go func() {
		defer func() { panicked <- recover() }()
		_ = es.Project(ctx, "report", func(context.Context, *sql.Tx, []store.Recorded) error {
			if first {
				first = false
				assert.NoError(t, p.Repartition(ctx, "report", 1))
				<-reads // now it waits for this partition to end
				panic("by the handler")
			}
			cancel()
			return nil
		}, nil)
	}()
	assert.Equal(t, "by the handler", <-panicked)
	assert.NoError(t, ctx.Err(), "it has gone on")
}
