package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/store"
)

// hooked is a storage of projections with calls that can be watched, and made to fail.
type hooked struct {
	*sqlite.Backend
	parkedKeys func() error // before ParkedKeys
	beginTx    func()       // before BeginTx
	readStream func()       // before ReadStream
	commitTx   func()       // before CommitTx
}

func (h *hooked) ParkedKeys(ctx context.Context, projection string, partition, partitions int) ([]string, error) {
	if h.parkedKeys != nil {
		if err := h.parkedKeys(); err != nil {
			return nil, err
		}
	}
	return h.Backend.ParkedKeys(ctx, projection, partition, partitions)
}

func (h *hooked) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	if h.beginTx != nil {
		h.beginTx()
	}
	return h.Backend.BeginTx(ctx, opts)
}

func (h *hooked) CommitTx(ctx context.Context, tx *sql.Tx) error {
	if h.commitTx != nil {
		h.commitTx()
	}
	return h.Backend.CommitTx(ctx, tx)
}

func (h *hooked) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	if h.readStream != nil {
		h.readStream()
	}
	return h.Backend.ReadStream(ctx, r)
}

// projecting is a Store with a table of what its projection has applied.
type projecting struct {
	*store.Store
	t       *testing.T
	db      *sql.DB
	storage *hooked
}

func newProjecting(t *testing.T) *projecting {
	t.Helper()
	db := handle(t, file(t), 0)
	p := &projecting{t: t, db: db, storage: &hooked{Backend: backend(t, db, nil)}}
	p.Store = p.open(0)
	_, err := db.ExecContext(t.Context(), "create table applied (number integer not null, id text not null)")
	require.NoError(t, err)
	return p
}

// open opens a Store, as another process would.
func (p *projecting) open(lease time.Duration) *store.Store {
	s := store.New(p.storage, &store.Options{PollInterval: 10 * time.Millisecond, LeaseTTL: lease, HardDelete: true})
	p.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (p *projecting) append(stream string, events int) {
	p.t.Helper()
	list := make([]store.Event, events)
	for i := range list {
		list[i] = store.Event{Type: "happened", Data: i}
	}
	_, err := p.Append(p.t.Context(), stream, store.Any, list...)
	require.NoError(p.t, err)
}

// applied writes a row for each event.
func applied(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
	for _, e := range events {
		_, err := tx.ExecContext(ctx, "insert into applied (number, id) values (?, ?)", e.Number, e.ID.String())
		if err != nil {
			return err
		}
	}
	return nil
}

// run runs the projection until the end of the test, and returns where its error comes if that is before.
func (p *projecting) run(s *store.Store, handler store.BatchHandler, opts store.ProjectOptions) <-chan error {
	opts.MinBackoff, opts.MaxBackoff, opts.RetryInterval = time.Millisecond, 5*time.Millisecond, 5*time.Millisecond
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.t.Context()))
	ended := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { ended <- s.Project(ctx, "report", handler, &opts) })
	p.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return ended
}

// rows returns the numbers of what was applied.
func (p *projecting) rows() (got []int64) {
	p.t.Helper()
	rows, err := p.db.QueryContext(p.t.Context(), "select number from applied order by rowid")
	require.NoError(p.t, err)
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var n int64
		require.NoError(p.t, rows.Scan(&n))
		got = append(got, n)
	}
	require.NoError(p.t, rows.Err())
	return got
}

// has waits until these numbers were applied, and fails if others were.
func (p *projecting) has(want ...int64) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	var got []int64
	for got = p.rows(); len(got) < len(want) && ctx.Err() == nil; got = p.rows() {
	}
	assert.Equal(p.t, want, got)
}

// TestProjectUnreadableParked: what was sent before it is known what is parked comes again if that can't be read.
func TestProjectUnreadableParked(t *testing.T) {
	t.Parallel()
	p := newProjecting(t)
	p.append("a", 3)
	var once sync.Once
	p.storage.parkedKeys = func() (err error) {
		once.Do(func() {
			p.append("a", 2)
			err = errors.New("the connection broke")
		})
		return err
	}
	p.run(p.Store, applied, store.ProjectOptions{})
	p.has(1, 2, 3, 4, 5)
}

// TestProjectStreamAnew: a stream is hard deleted and created again, and the subscription has found out, while a batch of
// the old one is in hand: it does not count as one of the new one.
func TestProjectStreamAnew(t *testing.T) {
	t.Parallel()
	p := newProjecting(t)
	p.append("a", 3)
	var begun, read atomic.Int64
	again := make(chan struct{}, 1)
	p.storage.readStream = func() {
		if read.Load() > 0 {
			select {
			case again <- struct{}{}:
			default:
			}
		}
	}
	p.storage.beginTx = func() {
		if begun.Add(1) != 2 { // the first one creates the projection
			return
		}
		require.NoError(t, p.Delete(t.Context(), "a", store.Any, store.HardDelete))
		read.Add(1) // it may be read as soon as it is there
		p.append("a", 5)
		<-again
	}
	p.run(p.Store, applied, store.ProjectOptions{Stream: "a"})
	p.has(1, 2, 3, 4, 5)
	for e, err := range p.Stream(t.Context(), "a", nil) {
		require.NoError(t, err)
		var n int
		require.NoError(t, p.db.QueryRowContext(t.Context(), "select count(*) from applied where id = ?", e.ID.String()).Scan(&n))
		assert.Equal(t, 1, n, "event %d", e.Number)
	}
}

// TestProjectCreatedAgain: a projection is deleted while one process runs it, and at once created by another with more
// partitions. The first one is told, and does not go on with what it knows of the old one.
func TestProjectCreatedAgain(t *testing.T) {
	t.Parallel()
	p := newProjecting(t)
	held := func(n int) bool {
		i, err := p.Projection(t.Context(), "report")
		require.NoError(t, err)
		for _, part := range i.Partitions {
			if part.Held {
				n--
			}
		}
		return n == 0
	}
	first, second := p.open(300*time.Millisecond), p.open(300*time.Millisecond)
	p.append("a", 1)
	ended := p.run(first, applied, store.ProjectOptions{})
	p.has(1)
	require.NoError(t, p.DeleteProjection(t.Context(), "report"))
	err := second.Project(t.Context(), "report", func(context.Context, *sql.Tx, []store.Recorded) error {
		return errors.New("it is there")
	}, &store.ProjectOptions{Partitions: 4, OnError: store.RetryThen(1, store.Stop)})
	require.ErrorContains(t, err, "it is there")
	_, err = p.db.ExecContext(t.Context(), "delete from applied")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(ended) > 0 || held(4) }, 20*time.Second, 5*time.Millisecond)
	want := []int64{1}
	for n := range 12 {
		p.append(string(rune('b'+n)), 1)
		want = append(want, int64(n+2))
	}
	if assert.NotEmpty(t, ended, "it was not told") {
		require.ErrorIs(t, <-ended, store.ErrProjectionNotFound)
		p.run(second, applied, store.ProjectOptions{})
	}
	require.NoError(t, p.WaitForPosition(t.Context(), "report", 13))
	assert.ElementsMatch(t, want, p.rows())
}

// TestWaitForStreamAnew: a projection on a stream that was hard deleted and created again has applied nothing of the new
// one, however far it had come in the old one.
func TestWaitForStreamAnew(t *testing.T) {
	t.Parallel()
	p := newProjecting(t)
	p.append("a", 3)
	first := p.open(0)
	p.run(first, applied, store.ProjectOptions{Stream: "a"})
	p.has(1, 2, 3)
	require.NoError(t, first.Close())
	require.NoError(t, p.Delete(t.Context(), "a", store.Any, store.HardDelete))
	res, err := p.Append(t.Context(), "a", store.Any, store.Event{Type: "happened", Data: 1})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.WaitFor(ctx, "report", res), context.DeadlineExceeded)
	require.ErrorIs(t, p.WaitForPosition(ctx, "report", 1), context.DeadlineExceeded)
	p.run(p.Store, applied, store.ProjectOptions{Stream: "a"})
	require.NoError(t, p.WaitFor(t.Context(), "report", res))
	p.has(1, 2, 3, 1)
}

// TestWaitForLinks: links in a projection's stream are in the partitions of the streams that they come from.
func TestWaitForLinks(t *testing.T) {
	t.Parallel()
	p := newProjecting(t)
	const partitions = 4
	partition := func(stream string) int64 {
		_, hash := store.PartitionKey(stream)
		return hash % partitions
	}
	var other string // in another partition than the stream that is projected
	for n := 0; other == "" || partition(other) == partition("links"); n++ {
		other = string(rune('a' + n))
	}
	p.append("links", 1)
	blocked := make(chan struct{})
	var failing sync.Once
	fails := errors.New("not yet")
	p.run(p.Store, func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
		for _, e := range events {
			if e.Stream == other {
				failing.Do(func() { close(blocked) })
				return fails
			}
		}
		return applied(ctx, tx, events)
	}, store.ProjectOptions{Stream: "links", Partitions: partitions})
	p.has(1)
	e := store.Event{ID: uuid.New(), Type: "happened", Data: 1}
	_, err := p.Append(t.Context(), other, store.Any, e)
	require.NoError(t, err)
	res, err := p.Link(t.Context(), "links", store.Any, e.ID)
	require.NoError(t, err)
	<-blocked
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	require.ErrorIs(t, p.WaitFor(ctx, "report", res), context.DeadlineExceeded)
}

// TestProjectRolledBack: SQLite answers some errors by rolling back the whole transaction. A handler that passes over one
// has its batch refused.
func TestProjectRolledBack(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]string{
		"conflict":  "insert or rollback into once (id) values (1), (1)",
		"interrupt": "insert into once (id) with recursive n (i) as (select 1 union all select i + 1 from n where i < 1000000000) select i from n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProjecting(t)
			_, err := p.db.ExecContext(t.Context(), "create table once (id integer not null primary key)")
			require.NoError(t, err)
			p.append("a", 3)
			broken := false
			p.run(p.Store, func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				if err := applied(ctx, tx, events); err != nil {
					return err
				}
				if !broken {
					broken = true
					ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
					defer cancel()
					_, err := tx.ExecContext(ctx, breaks)
					assert.Error(t, err)
				}
				return nil
			}, store.ProjectOptions{})
			p.has(1, 2, 3)
		})
	}
}

// TestProjectEndedAtCommit: when Project's context ends as a batch is committed, the partition is given up all the same,
// so that others go on at once.
func TestProjectEndedAtCommit(t *testing.T) {
	t.Parallel()
	for range 20 { // it is a matter of who is faster
		p := newProjecting(t)
		p.append("a", 3)
		ctx, cancel := context.WithCancel(t.Context())
		handled := false
		p.storage.commitTx = func() {
			if handled {
				cancel()
			}
		}
		err := p.Project(ctx, "report", func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
			handled = true
			return applied(ctx, tx, events)
		}, nil)
		require.ErrorIs(t, err, context.Canceled)
		i, err := p.Projection(t.Context(), "report")
		require.NoError(t, err)
		assert.False(t, i.Partitions[0].Held)
	}
}
