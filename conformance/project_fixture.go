package conformance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// projected is what most cases call their projection.
const projected = "model"

// projectionTap is a storage of one process that runs projections: calls can be watched, and made to fail, and the process
// can be cut off. Closing a Store over it does not close the storage.
type projectionTap struct {
	store.Storage
	store.ProjectionStorage
	cut  *atomic.Bool
	gate func(ctx context.Context, call string) error // before JoinProjection, BeginTx, Advance and CommitTx; after it, "committed"

	tamper  func(s store.ProjectionStorage) store.ProjectionStorage // breaks the storage, and what it is in a transaction
	options func(o *store.ProjectOptions)
	handler func(h store.BatchHandler) store.BatchHandler
}

func (t *projectionTap) pass(ctx context.Context, call string) error {
	if t.cut.Load() {
		return errCut
	}
	if t.gate != nil {
		return t.gate(ctx, call)
	}
	return nil
}

func (t *projectionTap) WithTx(tx *sql.Tx) store.Storage {
	u := *t
	u.Storage = t.ProjectionStorage.WithTx(tx)
	u.ProjectionStorage = u.Storage.(store.ProjectionStorage)
	if t.tamper != nil {
		u.ProjectionStorage = t.tamper(u.ProjectionStorage)
	}
	return &u
}

func (t *projectionTap) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	if err := t.pass(ctx, "BeginTx"); err != nil {
		return nil, err
	}
	return t.ProjectionStorage.BeginTx(ctx, opts)
}

func (t *projectionTap) CommitTx(ctx context.Context, tx *sql.Tx) error {
	if err := t.pass(ctx, "CommitTx"); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := t.ProjectionStorage.CommitTx(ctx, tx); err != nil {
		return err
	}
	return t.pass(ctx, "committed")
}

func (t *projectionTap) Advance(ctx context.Context, r store.AdvanceRequest) error {
	if err := t.pass(ctx, "Advance"); err != nil {
		return err
	}
	return t.ProjectionStorage.Advance(ctx, r)
}

func (t *projectionTap) JoinProjection(ctx context.Context, name, owner string, ttl time.Duration) ([]string, error) {
	if err := t.pass(ctx, "JoinProjection"); err != nil {
		return nil, err
	}
	return t.ProjectionStorage.JoinProjection(ctx, name, owner, ttl)
}

func (t *projectionTap) LeaveProjection(ctx context.Context, name, owner string) error {
	if err := t.pass(ctx, "LeaveProjection"); err != nil {
		return err
	}
	return t.ProjectionStorage.LeaveProjection(ctx, name, owner)
}

func (t *projectionTap) RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
	if err := t.pass(ctx, "RenewLeases"); err != nil {
		return nil, err
	}
	return t.ProjectionStorage.RenewLeases(ctx, owner, ttl)
}

func (t *projectionTap) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	if err := t.pass(ctx, "ReleaseLease"); err != nil {
		return err
	}
	return t.ProjectionStorage.ReleaseLease(ctx, r)
}

// projections returns the storage's face for projections, which no fault has touched, or skips the case.
func (f *fixture) projections() store.ProjectionStorage {
	f.Helper()
	s, ok := f.storage.(store.ProjectionStorage)
	if !ok {
		f.counts.add(0, 1)
		f.Skip("excused: this backend keeps no projections")
	}
	return s
}

// process is a Store that runs projections, as one process of several.
type process struct {
	*store.Store
	f       *fixture
	tap     *projectionTap
	running sync.WaitGroup
	stop    context.CancelFunc
	ctx     context.Context
}

// process opens a Store that polls often. change changes its options, and what its storage does.
func (f *fixture) process(change ...func(o *store.Options, t *projectionTap)) *process {
	f.Helper()
	t := &projectionTap{Storage: f.storage, ProjectionStorage: f.projections(), cut: new(atomic.Bool)}
	o := &store.Options{PollInterval: 10 * time.Millisecond, HardDelete: true, Logger: logger(f.TB)}
	for _, c := range change {
		c(o, t)
	}
	f.breakProjection(t)
	p := &process{f: f, tap: t, Store: store.New(t, o)}
	p.ctx, p.stop = context.WithCancel(f.ctx)
	f.Cleanup(func() {
		p.stop()
		p.running.Wait()
		_ = p.Close() // its storage may have been cut off
	})
	return p
}

// breakProjection builds the fault in that is tried.
func (f *fixture) breakProjection(t *projectionTap) {
	if f.breakProjections == nil {
		return
	}
	f.breakProjections(t)
	if t.tamper != nil {
		t.ProjectionStorage = t.tamper(t.ProjectionStorage)
	}
}

// projectionKeeper returns the storage's face for projections, for cases that are about nothing else.
func (f *fixture) projectionKeeper() store.ProjectionStorage {
	f.Helper()
	t := &projectionTap{Storage: f.storage, ProjectionStorage: f.projections(), cut: new(atomic.Bool)}
	f.breakProjection(t)
	return t
}

// leases makes the leases of a process short.
func leases(ttl time.Duration) func(o *store.Options, t *projectionTap) {
	return func(o *store.Options, _ *projectionTap) { o.LeaseTTL = ttl }
}

// gated sets what calls of a process have to pass.
func gated(gate func(ctx context.Context, call string) error) func(o *store.Options, t *projectionTap) {
	return func(_ *store.Options, t *projectionTap) { t.gate = gate }
}

// project runs a projection in the background and returns where its error comes.
func (p *process) project(name string, handler store.BatchHandler, opts *store.ProjectOptions) <-chan error {
	if opts == nil {
		opts = &store.ProjectOptions{}
	}
	if opts.MinBackoff == 0 {
		opts.MinBackoff, opts.MaxBackoff = time.Millisecond, 5*time.Millisecond
	}
	opts.RetryInterval = 10 * time.Millisecond
	if p.tap.options != nil {
		p.tap.options(opts)
	}
	if p.tap.handler != nil && handler != nil {
		handler = p.tap.handler(handler)
	}
	ended := make(chan error, 1)
	p.running.Go(func() {
		err := p.Project(p.ctx, name, handler, opts)
		if p.ctx.Err() == nil {
			p.f.Logf("projection %q has ended: %v", name, err)
		}
		ended <- err
	})
	return ended
}

// die cuts the process off, as if it had been killed: it gives nothing back.
func (p *process) die() {
	p.tap.cut.Store(true)
	p.stop()
	p.running.Wait()
}

// end ends the process in good order.
func (p *process) end() {
	p.f.Helper()
	p.stop()
	p.running.Wait()
	require.NoError(p.f, p.Close())
}

// model is a read model: a table with a row for each event that was applied.
type model struct {
	f     *fixture
	table string

	mu     sync.Mutex
	fails  map[string]error // by "stream@version": what the handler returns for the event
	tried  map[string]int   // how often it was given an event
	alone  map[string]int   // how often it failed on it alone
	sizes  []int            // of batches
	replay map[string]bool  // events that came with Replaying
	before func()           // called first
}

// model makes the table.
func (f *fixture) model() *model {
	f.Helper()
	m := &model{
		f: f, table: fmt.Sprintf("conformance_%016x", rand.Uint64()), fails: map[string]error{}, tried: map[string]int{}, //nolint:gosec // a name
		alone: map[string]int{}, replay: map[string]bool{},
	}
	f.projections()
	m.exec(fmt.Sprintf("create table %s (number bigint not null primary key, stream varchar(100) not null, version bigint not null, nth bigint not null)", m.table))
	f.Cleanup(func() { m.exec("drop table " + m.table) })
	return m
}

// exec runs a statement in a transaction of its own.
func (m *model) exec(statement string) {
	m.f.Helper()
	ctx := context.WithoutCancel(m.f.ctx)
	tx, err := m.f.projections().BeginTx(ctx, nil)
	require.NoError(m.f, err)
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	_, err = tx.ExecContext(ctx, statement)
	require.NoError(m.f, err, statement)
	require.NoError(m.f, tx.Commit())
}

// place is "stream@version".
func place(e store.Recorded) string { return fmt.Sprintf("%s@%d", e.Stream, e.Version) }

// handle is the handler: it writes a row for each event, and then fails on one of the batch that is to fail.
func (m *model) handle(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
	m.mu.Lock()
	before := m.before
	m.sizes = append(m.sizes, len(events))
	m.mu.Unlock()
	if before != nil {
		before()
	}
	for _, e := range events {
		m.mu.Lock()
		m.tried[place(e)]++
		m.replay[place(e)] = e.Replaying
		m.mu.Unlock()
		_, err := tx.ExecContext(ctx, fmt.Sprintf(
			"insert into %s (number, stream, version, nth) select %d, '%s', %d, count(*) + 1 from %s where stream = '%s'",
			m.table, e.Number, e.Stream, e.Version, m.table, e.Stream))
		if err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range events {
		if err := m.fails[place(e)]; err != nil {
			if len(events) == 1 {
				m.alone[place(e)]++
			}
			return err
		}
	}
	return nil
}

// fail makes the handler fail on events, or with nil not any more.
func (m *model) fail(err error, places ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range places {
		m.fails[p] = err
	}
}

// clear empties the table.
func (m *model) clear(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "delete from "+m.table)
	return err
}

// rows returns what was applied: numbers in their order, and the versions of each stream in the order in which they were.
func (m *model) rows() (all []int64, streams map[string][]int64) {
	m.f.Helper()
	tx, err := m.f.projections().BeginTx(m.f.ctx, nil)
	require.NoError(m.f, err)
	defer tx.Rollback() //nolint:errcheck // it has read
	rows, err := tx.QueryContext(m.f.ctx, fmt.Sprintf("select number, stream, version from %s order by number", m.table))
	require.NoError(m.f, err)
	defer rows.Close() //nolint:errcheck // Err tells
	streams = map[string][]int64{}
	for rows.Next() {
		var number, version int64
		var stream string
		require.NoError(m.f, rows.Scan(&number, &stream, &version))
		all = append(all, number)
	}
	require.NoError(m.f, rows.Err())
	ordered, err := tx.QueryContext(m.f.ctx, fmt.Sprintf("select stream, version from %s order by stream, nth", m.table))
	require.NoError(m.f, err)
	defer ordered.Close() //nolint:errcheck // Err tells
	for ordered.Next() {
		var version int64
		var stream string
		require.NoError(m.f, ordered.Scan(&stream, &version))
		streams[stream] = append(streams[stream], version)
	}
	require.NoError(m.f, ordered.Err())
	return all, streams
}

// has waits until the events with these numbers were applied, and fails if others were, or a stream's in another order.
func (m *model) has(want ...int64) {
	m.f.Helper()
	var all []int64
	var streams map[string][]int64
	m.f.eventually(fmt.Sprintf("%d events are applied", len(want)), func() bool {
		all, streams = m.rows()
		return len(all) >= len(want)
	})
	same(m.f, want, all, "what was applied")
	for stream, versions := range streams {
		for i := 1; i < len(versions); i++ {
			require.Less(m.f, versions[i-1], versions[i], "the order in which events of %q were applied: %v", stream, versions)
		}
	}
}

// stays fails if what was applied changes.
func (m *model) stays(why string) {
	m.f.Helper()
	before, _ := m.rows()
	m.f.glance()
	after, _ := m.rows()
	assert.Equal(m.f, before, after, why)
}

// info returns what is known of a projection.
func (p *process) info(name string) store.ProjectionInfo {
	p.f.Helper()
	var i store.ProjectionInfo
	p.f.eventually("the projection is there", func() bool {
		var err error
		i, err = p.Projection(p.f.ctx, name)
		if !errors.Is(err, store.ErrProjectionNotFound) {
			require.NoError(p.f, err)
		}
		return err == nil
	})
	return i
}

// parked waits until so many events are parked, and returns their places.
func (p *process) parked(n int) []string {
	p.f.Helper()
	var list []store.ParkedEvent
	p.f.eventually(fmt.Sprintf("%d events are parked", n), func() bool {
		var err error
		list, err = p.Parked(p.f.ctx, projected, nil)
		if !errors.Is(err, store.ErrProjectionNotFound) {
			require.NoError(p.f, err)
		}
		return err == nil && len(list) == n
	})
	places := make([]string, n)
	for i, e := range list {
		places[i] = fmt.Sprintf("%s@%d", e.Stream, e.Version)
	}
	return places
}

var errPoison = errors.New("poison")

// parks parks what has failed n times.
func parks(n int) *store.ProjectOptions {
	return &store.ProjectOptions{OnError: store.RetryThen(n, store.Park)}
}
