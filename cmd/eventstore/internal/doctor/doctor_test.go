package doctor

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// bad returns what Examine finds that is not good, but for settings: throwaway servers don't care for power failures.
func bad(t *testing.T, d *database.Database, o Options) (list []string) {
	t.Helper()
	found, err := Examine(t.Context(), d, o)
	require.NoError(t, err)
	for _, f := range found {
		if f.Level > Good && (f.Check != "settings" || d.Kind == database.SQLite) {
			assert.NotEmpty(t, f.Advice)
			list = append(list, f.Level.String()+" "+f.Check+": "+f.What)
		}
	}
	return list
}

func TestHealthy(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := store.New(d.Backend, nil)
		_, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "counted", Data: 1})
		require.NoError(t, err)
		assert.Empty(t, bad(t, d, Options{Long: time.Hour}))
	})
}

// TestPooler: one idle session of the server is enough to find a pooler in transaction mode, and one in session mode is none.
func TestPooler(t *testing.T) {
	t.Parallel()
	const found = "note pooler: connected through a pooler in transaction mode"
	for name, c := range map[string]struct {
		settings []string
		want     []string
	}{
		"one session":      {nil, []string{found}},
		"several sessions": {[]string{"server_round_robin = 1", "min_pool_size = 3"}, []string{found}},
		"session mode":     {[]string{"pool_mode = session"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := pgtest.Schema(t)
			require.NoError(t, migrate.Up(t.Context(), databasetest.Open(t, pgtest.URL(t), schema).Backend))
			d := databasetest.Open(t, pgtest.StartPooler(t, pgtest.URL(t), c.settings...).URL(), schema)
			assert.Equal(t, c.want, bad(t, d, Options{Long: time.Hour}))
		})
	}
}

// TestExpected: the lists are complete.
func TestExpected(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		e := &examination{d: d}
		e.postgres()
		if d.Kind == database.SQLite {
			e.sqlite()
		}
		var names []string
		require.NoError(t, e.each(t.Context(), "objects", nil, func(rows *sql.Rows) error {
			var name string
			var usable bool
			err := rows.Scan(&name, &usable)
			if !strings.Contains(name, "eventstore_migrations") && !strings.Contains(name, "sqlite_autoindex") {
				names = append(names, name)
			}
			return err
		}))
		slices.Sort(names)
		want := slices.Sorted(slices.Values(expected(d)))
		assert.Equal(t, want, names)
	})
}

// TestSick makes one thing wrong at a time.
func TestSick(t *testing.T) {
	t.Parallel()
	quoted := func(d *database.Database, text string) string {
		return strings.NewReplacer("S.", `"`+d.Schema+`".`, "P_", d.Schema).Replace(text)
	}
	for _, test := range []struct {
		name, postgres, sqlite string
		want                   string
	}{
		{"index", `alter table S.events drop constraint events_event_id_key`, `drop index P_parked_failed_idx`, "problem objects: index "},
		{"trigger", `drop trigger guard on S.links`, `drop trigger P_events_no_delete`, "problem objects: trigger "},
		{"trigger off", `alter table S.events disable trigger guard`, ``, "problem objects: trigger guard on events is switched off"},
		{"function", `do $$ begin execute (select format('drop function %s', p.oid::regprocedure) from pg_proc as p
			where p.pronamespace = to_regnamespace('SCHEMA') and p.proname like 'hard\_delete%'); end $$`, ``, "problem objects: function hard_delete is missing"},
		{"invalid index", `update pg_index set indisvalid = false where indexrelid = 'S.holes_fence_idx'::regclass`, ``, "problem objects: index holes_fence_idx is switched off, or invalid"},
		{"old", `update S.eventstore_migrations set version = 3`, `update P_eventstore_migrations set version = 3`, "problem schema: the tables are at version 3 of"},
		{"new", `update S.eventstore_migrations set version = 99, oldest = 98`, `update P_eventstore_migrations set version = 99, oldest = 98`,
			"problem schema: the tables are at version 99 and need a program that has migration 98"},
		{"renamed", `do $$ declare f record; begin
				for f in select p.oid::regprocedure as name, p.proname from pg_proc as p
					where p.pronamespace = to_regnamespace('SCHEMA') and p.proname ~ '_[0-9a-f]{10}$' loop
					execute format('alter function %s rename to %I', f.name, left(f.proname, -10) || '0123456789');
				end loop; end $$`, ``, "problem schema: the schema was renamed"},
		{"no tables", `drop schema "SCHEMA" cascade`, `drop table P_eventstore_migrations`, "problem schema: there are no tables"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, d *database.Database) {
				text := test.postgres
				if d.Kind == database.SQLite {
					text = test.sqlite
				}
				if text == "" {
					return // there is no such thing
				}
				_, err := d.ExecContext(t.Context(), strings.ReplaceAll(quoted(d, text), "SCHEMA", d.Schema))
				require.NoError(t, err)
				found := bad(t, d, Options{Long: time.Hour})
				require.Len(t, found, 1)
				assert.Contains(t, found[0], test.want)
			})
		})
	}
}

func TestLongTransaction(t *testing.T) {
	t.Parallel()
	d := databasetest.New(t, database.PostgreSQL)
	tx, err := d.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = store.New(d.Backend, nil).WithTx(tx).Append(t.Context(), "a", store.Any, store.Event{Type: "counted", Data: 1})
	require.NoError(t, err)
	found := bad(t, d, Options{Long: time.Nanosecond})
	assert.Condition(t, func() bool {
		return slices.ContainsFunc(found, func(f string) bool {
			return strings.HasPrefix(f, "problem long-transactions: process ") && strings.HasSuffix(f, "idle in transaction; it holds locks on the store")
		})
	}, "%q", found)
	require.NoError(t, tx.Rollback())
}

func TestSettings(t *testing.T) {
	t.Parallel()
	d := databasetest.New(t, database.PostgreSQL)
	found, err := Examine(t.Context(), d, Options{})
	require.NoError(t, err)
	var fsync string
	require.NoError(t, d.QueryRowContext(t.Context(), "show fsync").Scan(&fsync))
	i := slices.IndexFunc(found, func(f Finding) bool { return strings.HasPrefix(f.What, "fsync is ") })
	assert.Equal(t, fsync == "off", i >= 0)
	if i >= 0 {
		assert.Equal(t, Problem, found[i].Level)
	}
}

func TestReaders(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := store.New(d.Backend, &store.Options{PollInterval: 10 * time.Millisecond})
		parked := uuid.New()
		for _, id := range []uuid.UUID{parked, uuid.New(), uuid.New()} {
			_, err := es.Append(t.Context(), "a", store.Any, store.Event{ID: id, Type: "counted", Data: 1})
			require.NoError(t, err)
		}
		ctx, stop := context.WithCancel(t.Context())
		err := es.Consume(ctx, "a", "stopped", func(context.Context, store.Recorded) error {
			stop()
			return nil
		}, nil)
		require.ErrorIs(t, err, context.Canceled)
		id := store.SubscriptionID{Stream: "a", Name: "stopped"}
		lease, err := d.Backend.AcquireLease(t.Context(), store.LeaseRequest{ID: id, Owner: "o", TTL: time.Microsecond})
		require.NoError(t, err)
		n, err := d.Backend.(store.ParkedStorage).SaveParked(t.Context(), store.ParkedChange{
			ID: id, Epoch: lease.Epoch, StreamID: lease.StreamID,
			Park: []store.ParkedEvent{{Subscription: id, Key: "a", Number: 1, ID: parked, Stream: "a", Version: 1, Type: "counted", Failed: true}},
		})
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		ctx, stop = context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- es.Project(ctx, "balances", func(context.Context, *sql.Tx, []store.Recorded) error { return errors.New("broken") },
				&store.ProjectOptions{OnError: store.RetryThen(1, store.Park), MinBackoff: time.Millisecond})
		}()
		require.Eventually(t, func() bool {
			p, err := es.Projection(t.Context(), "balances")
			return err == nil && p.Parked() == 3
		}, 20*time.Second, 10*time.Millisecond)
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
		findings, err := Examine(t.Context(), d, Options{Long: time.Hour, Lag: 10})
		require.NoError(t, err)
		for _, f := range findings {
			assert.False(t, f.Level == Good && strings.Contains(f.What, "has parked nothing"), f.What)
		}
		_, err = es.Append(t.Context(), "a", store.Any, store.Event{Type: "counted", Data: 1})
		require.NoError(t, err)
		found := strings.Join(bad(t, d, Options{Long: time.Hour}), "\n")
		assert.Contains(t, found, `warning subscriptions: "stopped" on "a" is 3 behind, and no process runs it`)
		assert.Contains(t, found, `warning subscriptions: "stopped" on "a" has parked events: 1`)
		assert.Contains(t, found, `warning projections: projection "balances" has parked events: 3`)
		assert.Contains(t, found, `warning projections: projection "balances" is 1 behind, and no process runs it`)
	})
}

// TestStalledReaders: a reader whose handler hangs is a problem from --long on, and one that waits for events is not.
func TestStalledReaders(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := store.New(d.Backend, &store.Options{PollInterval: 10 * time.Millisecond, Name: "mailer-1"})
		ctx, stop := context.WithCancel(t.Context())
		hangs := make(chan struct{}, 2)
		var running sync.WaitGroup
		running.Go(func() {
			_ = es.Consume(ctx, "a", "hangs", func(ctx context.Context, e store.Recorded) error {
				if e.Number == 1 {
					return nil
				}
				hangs <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}, nil)
		})
		running.Go(func() {
			_ = es.Consume(ctx, "b", "idle", func(context.Context, store.Recorded) error { return nil }, nil)
		})
		projects := d.Kind == database.PostgreSQL // in SQLite a handler that hangs keeps all others from writing
		running.Go(func() {
			if !projects {
				hangs <- struct{}{}
				return
			}
			_ = es.Project(ctx, "balances", func(ctx context.Context, _ *sql.Tx, _ []store.Recorded) error {
				hangs <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}, nil)
		})
		defer func() {
			stop()
			running.Wait()
			require.NoError(t, es.Close())
		}()
		_, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "counted", Data: 1}, store.Event{Type: "counted", Data: 1})
		require.NoError(t, err)
		<-hangs
		<-hangs
		require.Eventually(t, func() bool {
			list, err := es.Subscriptions(t.Context())
			return err == nil && len(list) == 2 && list[0].Checkpoint == 1 && list[1].Held
		}, 20*time.Second, 10*time.Millisecond)
		found := bad(t, d, Options{Long: time.Nanosecond})
		has := func(parts ...string) bool {
			return slices.ContainsFunc(found, func(f string) bool {
				return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(f, part) })
			})
		}
		assert.True(t, has(`problem subscriptions: "hangs" on "a" is 1 behind and has not moved for `, "; mailer-1/"), "%q", found)
		assert.Equal(t, projects, has(`problem projections: partition 0 of projection "balances" is 2 behind and has not moved for `), "%q", found)
		assert.False(t, has(`"idle"`), "%q", found)
		found = bad(t, d, Options{Long: time.Hour})
		assert.False(t, has("has not moved"), "%q", found)
	})
}

// TestLastErrors: what a reader failed on last, and when, until it is over.
func TestLastErrors(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := store.New(d.Backend, nil)
		_, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "counted", Data: 1}, store.Event{Type: "counted", Data: 1})
		require.NoError(t, err)
		fails := func(e store.Recorded) error {
			if e.Number == 2 {
				return errors.New("broken")
			}
			return nil
		}
		ctx, stop := context.WithCancel(t.Context())
		failed := make(chan struct{})
		ended := make(chan error, 1)
		go func() {
			ended <- es.Consume(ctx, "a", "fails", func(_ context.Context, e store.Recorded) error { return fails(e) }, &store.ConsumeOptions{
				MinBackoff: time.Hour, OnError: func(store.Recorded, error, int) store.Decision { close(failed); return store.Retry },
			})
		}()
		<-failed
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
		found := strings.Join(bad(t, d, Options{Long: time.Hour}), "\n")
		assert.Regexp(t, `warning subscriptions: "fails" on "a" failed on event 2 at 20\S+Z: broken`, found)
		ctx, stop = context.WithCancel(t.Context())
		err = es.Consume(ctx, "a", "fails", func(_ context.Context, e store.Recorded) error {
			if e.Number == 2 {
				stop()
			}
			return nil
		}, nil)
		require.ErrorIs(t, err, context.Canceled)
		assert.NotContains(t, strings.Join(bad(t, d, Options{Long: time.Hour}), "\n"), "broken")
		require.NoError(t, es.Close())
	})
}

// TestReader: a user who may only read gets findings, no errors.
func TestReader(t *testing.T) {
	t.Parallel()
	where := pgtest.Database(t)
	d := databasetest.Open(t, where, "events")
	require.NoError(t, migrate.Up(t.Context(), d.Backend))
	_, err := d.ExecContext(t.Context(), `create role doctor_reader; grant usage on schema events to doctor_reader; grant select on all tables in schema events to doctor_reader`)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := d.ExecContext(context.Background(), `drop owned by doctor_reader; drop role doctor_reader`)
		require.NoError(t, err)
	})
	sep := "?"
	if strings.Contains(where, "?") {
		sep = "&"
	}
	reader := databasetest.Open(t, where+sep+"options=-c%20role%3Ddoctor_reader", "events")
	found := bad(t, reader, Options{Long: time.Hour})
	assert.Contains(t, found, "warning privileges: this user may not do: events: INSERT")
}
