package hatest_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/history/child"
	"github.com/eventstore-go/eventstore/internal/history/delivery"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// tables are the application's own.
const tables = `
	create table orders (id uuid primary key, stream text not null);
	create table sums (stream text primary key, cents bigint not null, version bigint not null, applied bigint not null, disorder bigint not null);`

// load is the processes that use a cluster.
type load struct {
	*cluster

	db       *sql.DB
	es       *store.Store
	children []*child.Process
	journals []string
}

// newLoad creates the store and starts one process with each driver.
func newLoad(c *cluster) *load {
	c.Helper()
	l := &load{cluster: c, db: pgtest.Open(c, "pgx", c.url("pgx", "test"))}
	l.db.SetMaxIdleConns(0) // none to a server that was the leader
	b := postgres.New(l.db, &postgres.Options{Schema: schema})
	require.NoError(c, migrate.Up(c.Context(), b))
	_, err := l.db.ExecContext(c.Context(), tables)
	require.NoError(c, err)
	l.es = store.New(b, nil)
	c.Cleanup(func() { require.NoError(c, l.es.Close()) })
	dir := c.TempDir()
	for _, driver := range pgtest.Drivers() {
		p := plan{Name: driver, Driver: driver, URL: c.url(driver, driver), Journal: filepath.Join(dir, driver)}
		l.journals = append(l.journals, p.Journal)
		l.children = append(l.children, child.Start(c, driver, p))
	}
	return l
}

// lines returns what the processes have noted so far, in the order of time.
func (l *load) lines() (all []line) {
	l.Helper()
	for _, path := range l.journals {
		lines, err := delivery.Read[line](path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the process is starting
		}
		require.NoError(l, err)
		all = append(all, lines...)
	}
	slices.SortStableFunc(all, func(x, y line) int { return int(x.At - y.At) })
	return all
}

// goesOn waits until each writer has appended more since a time, and both readers have come to where the store ends then.
func (l *load) goesOn(since int64) {
	l.Helper()
	l.eventually("every writer appends", func() bool {
		l.alive()
		made := map[string]int{}
		for _, at := range l.lines() {
			if at.Kind == acked && at.At > since {
				made[writerOf(at.Stream)]++
			}
		}
		enough := 0
		for _, n := range made {
			if n >= 50 {
				enough++
			}
		}
		return enough == 2*len(l.children)
	})
	head, err := l.es.Head(l.Context())
	require.NoError(l, err)
	l.caughtUp(head)
}

// caughtUp waits until the subscription and all partitions of the projection have come as far as a position.
func (l *load) caughtUp(head int64) {
	l.Helper()
	l.eventually("the readers go on", func() bool {
		l.alive()
		checkpoints, err := l.checkpoints()
		if err != nil || len(checkpoints) != 1+partitions {
			return false
		}
		for _, checkpoint := range checkpoints {
			if checkpoint < head {
				return false
			}
		}
		return true
	})
}

// checkpoints returns those of the subscription and of the partitions of the projection.
func (l *load) checkpoints() (all []int64, err error) {
	rows, err := l.db.QueryContext(l.Context(), `select checkpoint from shop.subscriptions`)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err is looked at
	for rows.Next() {
		var checkpoint int64
		if err := rows.Scan(&checkpoint); err != nil {
			return nil, err
		}
		all = append(all, checkpoint)
	}
	return all, rows.Err()
}

// alive fails the test if a process has ended.
func (l *load) alive() {
	l.Helper()
	for _, p := range l.children {
		p.Alive()
	}
}

// finish ends the writers, waits for the readers, and ends the processes. It returns what they noted.
func (l *load) finish() []line {
	l.Helper()
	for _, p := range l.children {
		p.GoOn()
	}
	l.eventually("the writers have ended", func() bool {
		l.alive()
		n := 0
		for _, at := range l.lines() {
			if at.Kind == quiet {
				n++
			}
		}
		return n == 2*len(l.children)
	})
	head, err := l.es.Head(l.Context())
	require.NoError(l, err)
	l.caughtUp(head)
	for _, p := range l.children {
		require.True(l, p.Finish(time.Minute), "%s", p.Verdict())
	}
	return l.lines()
}

// writerOf returns the name of the writer that has a stream.
func writerOf(stream string) string { return stream[:strings.LastIndexByte(stream, '-')] }

// gap returns the longest time between two lines of a kind since a time.
func gap(lines []line, since int64, kinds ...string) (longest time.Duration) {
	last := since
	for _, l := range lines {
		if l.At < since || !slices.Contains(kinds, l.Kind) {
			continue
		}
		longest = max(longest, time.Duration(l.At-last))
		last = l.At
	}
	return longest.Round(100 * time.Millisecond)
}

// report logs what users saw of a fault.
func (l *load) report(since int64) {
	l.Helper()
	lines := l.lines()
	errs := map[string]int{}
	for _, at := range lines {
		if at.At >= since && at.Error != "" {
			errs[at.Kind+" "+writerOfOrName(at)+": "+at.Error]++
		}
	}
	l.Logf("without an append for %v, without a delivery for %v, without a batch of the projection for %v",
		gap(lines, since, acked), gap(lines, since, delivered), gap(lines, since, applied))
	for text, n := range errs {
		l.Logf("%d times %s", n, text)
	}
}

func writerOfOrName(l line) string {
	if l.Kind == ended {
		return l.Stream
	}
	return writerOf(l.Stream)
}
