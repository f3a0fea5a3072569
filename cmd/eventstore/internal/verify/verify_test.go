package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/internal/queries"
	"github.com/eventstore-go/eventstore/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// open returns the store of d.
func open(t *testing.T, d *database.Database) *store.Store {
	t.Helper()
	es := store.New(d.Backend, &store.Options{HardDelete: true})
	t.Cleanup(func() { require.NoError(t, es.Close()) })
	return es
}

// events returns n new events.
func events(n int) []store.Event {
	list := make([]store.Event, n)
	for i := range list {
		list[i] = store.Event{ID: uuid.New(), Type: "happened", Data: i}
	}
	return list
}

// tick reads all events, which gives them their positions.
func tick(t *testing.T, es *store.Store) {
	t.Helper()
	for _, err := range es.All(t.Context(), nil) {
		require.NoError(t, err)
	}
}

// exec runs statements, separated by semicolons, in which the placeholders of d stand before names.
func exec(t *testing.T, d *database.Database, statements string) {
	t.Helper()
	for _, statement := range strings.Split(d.Queries("-- name: test\n"+statements).Get("test"), ";") {
		_, err := d.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
}

// verify returns what is found with pages of a size.
func verify(t *testing.T, d *database.Database, pageSize int64) (list []Violation, s Summary) {
	t.Helper()
	s, err := run(t.Context(), d, pageSize, func(v Violation) error {
		list = append(list, v)
		return nil
	})
	require.NoError(t, err)
	return list, s
}

func TestEmptyStore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		found, s := verify(t, d, pageSize)
		require.Empty(t, found)
		require.Greater(t, s.Checks, 15)
		s.Checks = 0
		require.Equal(t, Summary{}, s)
	})
}

func TestHealthyStore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := open(t, d)
		live(t, d, es)
		for _, size := range []int64{1, 3, pageSize} {
			found, s := verify(t, d, size)
			require.Empty(t, found, "pages of %d", size)
			require.Equal(t, int64(4), s.Streams)
			require.Equal(t, int64(13), s.Events)
			require.Equal(t, int64(2), s.Links)
			require.Equal(t, int64(5), s.Subscriptions)
			if d.Kind == database.PostgreSQL {
				require.Positive(t, s.LogRows)
			}
		}
	})
}

// live does to a store whatever a program does.
func live(t *testing.T, d *database.Database, es *store.Store) {
	t.Helper()
	ctx := t.Context()
	appended := func(stream string, n int) []store.Event {
		list := events(n)
		_, err := es.Append(ctx, stream, store.Any, list...)
		require.NoError(t, err)
		return list
	}
	account := append(appended("account-1", 1), appended("account-1", 3)...)
	doomed := appended("doomed", 3)
	for _, id := range []uuid.UUID{account[1].ID, doomed[1].ID, account[2].ID, doomed[2].ID} {
		_, err := es.Link(ctx, "linked", store.Any, id)
		require.NoError(t, err)
	}
	_, err := es.Link(ctx, "emptied", store.Any, doomed[0].ID)
	require.NoError(t, err)
	appended("linked", 2)
	subscribe(t, es, "doomed")
	appended("deleted", 2)
	require.NoError(t, es.Delete(ctx, "deleted", store.Any, store.SoftDelete))
	gone := errors.New("rolled back")
	require.ErrorIs(t, es.InTx(ctx, func(tx *sql.Tx) error {
		_, err := es.WithTx(tx).Append(ctx, "account-1", store.Any, events(2)...)
		require.NoError(t, err)
		return gone
	}), gone)
	appended("account-1", 1)
	if d.Kind == database.PostgreSQL { // a number that others overtake: a hole, and then a late append
		require.NoError(t, es.InTx(ctx, func(tx *sql.Tx) error {
			_, err := es.WithTx(tx).Append(ctx, "account-1", store.Any, events(2)...)
			require.NoError(t, err)
			_, err = es.Append(ctx, "linked", store.Any, events(1)...)
			require.NoError(t, err)
			tick(t, es)
			found, _ := verify(t, d, pageSize)
			require.Empty(t, found)
			return nil
		}))
	} else {
		appended("account-1", 2)
		appended("linked", 1)
	}
	tick(t, es)
	require.NoError(t, es.Delete(ctx, "doomed", store.Any, store.HardDelete))
	subscribe(t, es, store.All)
	subscribe(t, es, "account-1")
	project(t, es)
	require.NoError(t, es.RecordSnapshot(ctx, store.Snapshot{SourceID: "account-1", Version: 3, Type: "account", Data: 7}))
	appended("account-1", 1) // has no position yet
}

// subscribe reads a page of a stream in a subscription that stays.
func subscribe(t *testing.T, es *store.Store, stream string) {
	t.Helper()
	sub, err := es.Subscribe(t.Context(), stream, "reader", nil)
	require.NoError(t, err)
	page, err := sub.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, sub.Ack(t.Context(), page...))
	require.NoError(t, sub.Close())
}

// project runs a projection that parks what is in account-1, until it has seen all.
func project(t *testing.T, es *store.Store) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error {
		return es.Project(ctx, "view", func(_ context.Context, _ *sql.Tx, list []store.Recorded) error {
			for _, e := range list {
				if e.Stream == "account-1" {
					return errors.New("not this one")
				}
			}
			return nil
		}, &store.ProjectOptions{Partitions: 2, OnError: store.RetryThen(1, store.Park)})
	})
	head, err := es.Head(ctx)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := es.Projection(ctx, "view")
		if err != nil {
			return false
		}
		for _, p := range info.Partitions {
			if p.Checkpoint < head {
				return false
			}
		}
		return true
	}, 30*time.Second, 10*time.Millisecond)
	stop()
	require.ErrorIs(t, g.Wait(), context.Canceled)
	parked, err := es.Parked(t.Context(), "view", nil)
	require.NoError(t, err)
	require.NotEmpty(t, parked)
}

// TestLiveStore verifies while others append, link, roll back, delete, read and project.
func TestLiveStore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := open(t, d)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var g errgroup.Group
		for w := range 2 {
			g.Go(func() error {
				defer stop()
				for i := 0; ctx.Err() == nil; i++ {
					if err := work(t.Context(), es, fmt.Sprintf("s-%d", i%3), i+w); err != nil {
						return fmt.Errorf("turn %d: %w", i, err)
					}
				}
				return nil
			})
		}
		g.Go(func() error {
			defer stop()
			apply := func(context.Context, *sql.Tx, []store.Recorded) error { return nil }
			if err := es.Project(ctx, "view", apply, &store.ProjectOptions{Partitions: 2, BatchSize: 10}); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		})
		var last Summary
		for i := 0; i < 15 || last.Events == 0; i++ {
			if _, err := es.Projection(ctx, "view"); err == nil && i%5 == 4 {
				require.NoError(t, es.Repartition(ctx, "view", 1+i%3))
			}
			var found []Violation
			found, last = verify(t, d, []int64{7, pageSize}[i%2])
			require.Empty(t, found)
		}
		stop()
		require.NoError(t, g.Wait())
		require.Positive(t, last.Events)
		found, _ := verify(t, d, 100)
		require.Empty(t, found)
	})
}

// work does one turn of what a program does with a store.
func work(ctx context.Context, es *store.Store, stream string, turn int) error {
	list := events(1 + turn%5)
	if _, err := es.Append(ctx, stream, store.Any, list...); err != nil {
		return err
	}
	gone := errors.New("rolled back")
	switch {
	case turn%23 == 0:
		if err := es.Delete(ctx, stream, store.Any, store.HardDelete); err != nil && !errors.Is(err, store.ErrStreamNotFound) {
			return err
		}
	case turn%7 == 0:
		err := es.InTx(ctx, func(tx *sql.Tx) error {
			if _, err := es.WithTx(tx).Append(ctx, stream, store.Any, events(2)...); err != nil {
				return err
			}
			return gone
		})
		if !errors.Is(err, gone) {
			return err
		}
	case turn%5 == 0:
		if _, err := es.Link(ctx, "links", store.Any, list[0].ID); err != nil && !errors.Is(err, store.ErrEventNotFound) {
			return err
		}
	case turn%3 == 0:
		if _, err := es.Page(ctx, store.All, &store.ReadOptions{Backward: true}); err != nil {
			return err
		}
	}
	return nil
}

func TestManyViolationsAreCounted(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		exec(t, d, map[database.Kind]string{
			database.PostgreSQL: `insert into /*schema.*/snapshots (version, created_at, source_id, source_type, data)
				select -1, now(), 's-' || i, 't', '' from generate_series(1, 250) as i`,
			database.SQLite: `with recursive n (i) as (select 1 union all select i + 1 from n where i < 250)
				insert into /*prefix*/snapshots (version, created_at, source_id, source_type, data) select -1, 0, 's-' || i, 't', x'' from n`,
		}[d.Kind])
		found, s := verify(t, d, pageSize)
		require.Len(t, found, mostReported+1)
		require.Equal(t, Violation{Check: "snapshot-row", What: "and 150 more", Fix: fixes["snapshot-row"]}, found[mostReported])
		require.Equal(t, int64(250), s.Violations)
	})
}

func TestReportEndsRun(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		damaged(t, d, inBoth(d.Kind)[0].sql)
		enough := errors.New("enough")
		n := 0
		_, err := Run(t.Context(), d, func(Violation) error { n++; return enough })
		require.ErrorIs(t, err, enough)
		require.Equal(t, 1, n)
	})
}

func TestErrors(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := Run(ctx, d, func(Violation) error { return nil })
		require.ErrorIs(t, err, context.Canceled)
	})
	for _, kind := range []database.Kind{database.PostgreSQL, database.SQLite} {
		d := databasetest.Open(t, databasetest.URL(t, kind), databasetest.Schema(t, kind))
		_, err := Run(t.Context(), d, func(Violation) error { return nil })
		require.ErrorIs(t, err, store.ErrSchema)
	}
}

// TestNobodyIsWaitedFor verifies while a transaction has appended and goes on, and appends while it reports.
func TestNobodyIsWaitedFor(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		damaged(t, d, inBoth(d.Kind)[2].sql)
		es := open(t, d)
		n := 0
		require.NoError(t, es.InTx(t.Context(), func(tx *sql.Tx) error {
			_, err := es.WithTx(tx).Append(t.Context(), "open", store.NoStream, events(3)...)
			require.NoError(t, err)
			found, s := verify(t, d, 2)
			require.Len(t, found, 1)
			require.Equal(t, int64(10), s.Events)
			return nil
		}))
		_, err := Run(t.Context(), d, func(Violation) error {
			n++
			_, err := es.Append(t.Context(), "open", store.Any, events(1)...)
			return err
		})
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

func TestStatementsAreUsed(t *testing.T) {
	t.Parallel()
	for file, steps := range map[string][]step{postgresFile: postgresSteps, sqliteFile: sqliteSteps} {
		used := map[string]bool{"counts": true, "settings": true}
		for _, s := range steps {
			used[s.query], used[s.pages] = true, true
		}
		for name := range queries.Parse(file) {
			require.True(t, used[name], name)
		}
	}
}
