package dqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/canonical/go-dqlite/client"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/store"
)

// load is writers, a subscription and a projection on one store.
type load struct {
	es *store.Store

	mu           sync.Mutex
	acknowledged map[uuid.UUID]bool
	failed       int           // appends that returned an error, and were sent again
	progress     chan struct{} // holds one: an append was acknowledged
	consumed     []int64       // positions, as the subscription got them
}

// write appends events one by one until ctx ends, each with an id of its own. One that fails is sent again with the same id: the store
// knows it if it was written.
func (l *load) write(ctx context.Context, writer int) {
	for i := 0; ctx.Err() == nil; i++ {
		e := store.Event{ID: uuid.New(), Type: "happened", Data: i}
		stream := "shared"
		if i%2 == 0 {
			stream = fmt.Sprint("writer-", writer)
		}
		for {
			_, err := l.es.Append(ctx, stream, store.Any, e)
			if err == nil {
				l.note(func() { l.acknowledged[e.ID] = true })
				break
			}
			if ctx.Err() != nil {
				return // nobody knows what became of it
			}
			l.note(func() { l.failed++ })
		}
	}
}

func (l *load) note(change func()) {
	l.mu.Lock()
	change()
	l.mu.Unlock()
	select {
	case l.progress <- struct{}{}:
	default:
	}
}

// wait waits until so many appends are acknowledged.
func (l *load) wait(t *testing.T, ctx context.Context, n int) {
	t.Helper()
	for {
		l.mu.Lock()
		have := len(l.acknowledged)
		l.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-l.progress:
		case <-ctx.Done():
			require.Fail(t, "appends have stopped", "at %d of %d: %v", have, n, ctx.Err())
		}
	}
}

// TestLeaderKilled: the leader is killed with SIGKILL under load, twice. No append that was acknowledged is lost or doubled; writers, the
// subscription and the projection go on with the next leader, and none of them is started again.
func TestLeaderKilled(t *testing.T) {
	const writers, rounds, each = 4, 2, 300
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c := Start(t)
	b := backend(t, c, "events")
	_, err := b.DB().ExecContext(ctx, "create table applied (position integer primary key, id text not null unique)")
	require.NoError(t, err)
	l := &load{acknowledged: map[uuid.UUID]bool{}, progress: make(chan struct{}, 1)}
	l.es = store.New(b, &store.Options{LeaseTTL: 5 * time.Second})
	defer l.es.Close() //nolint:errcheck // that is the end

	readers, stop := context.WithCancel(ctx)
	defer stop()
	var reading sync.WaitGroup
	reading.Go(func() {
		assert.ErrorIs(t, l.es.Consume(readers, store.All, "copy", func(_ context.Context, e store.Recorded) error {
			l.note(func() { l.consumed = append(l.consumed, e.Number) })
			return nil
		}, nil), context.Canceled)
	})
	reading.Go(func() {
		assert.ErrorIs(t, l.es.Project(readers, "applied", func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
			for _, e := range events {
				if _, err := tx.ExecContext(ctx, "insert into applied (position, id) values (?, ?)", e.Number, e.ID.String()); err != nil {
					return err
				}
			}
			return nil
		}, &store.ProjectOptions{OnError: store.RetryThen(1, store.Stop), MaxBackoff: time.Second}), context.Canceled)
	})
	work, done := context.WithCancel(ctx)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() { l.write(work, w) })
	}
	l.wait(t, ctx, each)
	for round := range rounds {
		began := time.Now()
		killed := c.KillLeader(ctx)
		l.mu.Lock()
		have := len(l.acknowledged)
		l.mu.Unlock()
		l.wait(t, ctx, have+1)
		gap := time.Since(began)
		l.wait(t, ctx, have+each)
		t.Logf("round %d: the leader %s was killed; the next append was acknowledged %v later", round+1, killed.address, gap.Round(time.Millisecond))
		c.start(killed)
	}
	done()
	writing.Wait()
	head := l.check(t, ctx, b.DB())
	checkDump(t, ctx, c, head)
	stop()
	reading.Wait()
}

// check compares what is stored with what was acknowledged, consumed and applied.
func (l *load) check(t *testing.T, ctx context.Context, db *sql.DB) (head int64) {
	t.Helper()
	stored, versions := map[uuid.UUID]int64{}, map[string]int64{}
	for e, err := range l.es.All(ctx, nil) {
		require.NoError(t, err)
		head++
		versions[e.Stream]++
		require.Equal(t, head, e.Number, "positions have no gaps")
		require.Equal(t, versions[e.Stream], e.Version, "versions have no gaps")
		require.Zero(t, stored[e.ID], "an event is stored twice")
		stored[e.ID] = e.Number
	}
	for id := range l.acknowledged {
		require.NotZero(t, stored[id], "an acknowledged append is lost")
	}
	require.NoError(t, l.es.WaitForPosition(ctx, "applied", head))
	rows, err := db.QueryContext(ctx, "select position, id from applied")
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // it was only read
	applied := map[uuid.UUID]int64{}
	for rows.Next() {
		var position int64
		var id string
		require.NoError(t, rows.Scan(&position, &id))
		applied[uuid.MustParse(id)] = position
	}
	require.NoError(t, rows.Err())
	require.Equal(t, stored, applied, "the projection has applied each event once")
	l.consumedAll(t, ctx, head)
	t.Logf("%d appends acknowledged, %d attempts failed, %d events stored, consumed %d times", len(l.acknowledged), l.failed, head, len(l.consumed))
	return head
}

// checkDump takes a backup from the leader, and reads it as the file of SQLite that it is.
func checkDump(t *testing.T, ctx context.Context, c *Cluster, head int64) {
	t.Helper()
	leader, err := client.FindLeader(ctx, c.store)
	require.NoError(t, err)
	defer leader.Close() //nolint:errcheck // it was only read
	files, err := leader.Dump(ctx, "events")
	require.NoError(t, err)
	dir := t.TempDir()
	for _, f := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600))
	}
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "events")+"?_busy_timeout=10000")
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // it was only read
	got, err := store.New(sqlite.New(db, nil), nil).Head(ctx)
	require.NoError(t, err)
	require.Equal(t, head, got)
}

// consumedAll waits until the subscription has come to the head, and checks that it got every event, in order but for what was
// delivered again.
func (l *load) consumedAll(t *testing.T, ctx context.Context, head int64) {
	t.Helper()
	last, checked := int64(0), 0
	for {
		l.mu.Lock()
		list := l.consumed
		l.mu.Unlock()
		for ; checked < len(list); checked++ {
			require.LessOrEqual(t, list[checked], last+1, "the subscription has left out an event")
			last = max(last, list[checked])
		}
		if last == head {
			return
		}
		select {
		case <-l.progress:
		case <-ctx.Done():
			require.Fail(t, "the subscription stands", "at %d of %d", last, head)
		}
	}
}
