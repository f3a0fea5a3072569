package conformance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var projectCases = []testCase{
	{name: "project/once", tx: ownTx, run: projectOnce, why: "P8: every event is applied exactly once and in order, also by the next process"},
	{name: "project/batches", tx: ownTx, run: projectBatches, why: "many events are applied in few transactions, but in none more than was asked for"},
	{name: "project/rolls-back", tx: ownTx, run: projectRollsBack, why: "P8: of a batch that fails nothing is left, and it is applied again"},
	{name: "project/crash", tx: ownTx, run: projectCrash, why: "P8: whatever a process has not committed, its successor applies"},
	{name: "project/commit-unknown", tx: ownTx, run: projectCommitUnknown, why: "P8: a batch that may have been committed is not applied again, nor are its events blamed"},
	{name: "project/fenced", tx: ownTx, run: projectFenced, why: "P8: a process that has lost the lease commits nothing"},
	{name: "project/halves", tx: ownTx, run: projectHalves, why: "an event that fails does not keep those before it from being applied, and is judged alone"},
	{name: "project/not-the-event", tx: ownTx, run: projectNotTheEvent, why: "an event is not blamed for what the database does"},
	{name: "project/swallowed", tx: ownTx, run: projectSwallowed, why: "an error that a handler has passed over does not make it skip events"},
	{name: "project/skip", tx: ownTx, run: projectSkip, why: "a skipped event is left out, and no other"},
	{name: "project/stop", tx: ownTx, run: projectStop, why: "after Stop, Project returns the error, and no later event was applied"},
	{name: "project/panic", tx: ownTx, run: projectPanic, why: "a panic in a handler reaches the caller, and other processes go on"},
	{name: "project/filter", tx: ownTx, run: projectFilter, why: "events that are not asked for are left out, and do not hold up the checkpoint"},
	{name: "project/start", tx: ownTx, run: projectStart, why: "a new projection begins where it was told to, and no other"},
	{name: "project/stream", tx: ownTx, run: projectStream, why: "a projection on one stream counts in it, also when it is created again"},
	{name: "project/stream-gone", tx: ownTx, run: projectStreamGone, why: "an event that fails is not tried for ever once its stream is gone"},
	{name: "project/partitions", tx: ownTx, run: projectPartitions, why: "each key in order, all keys in parallel, nothing twice"},
	{name: "project/share", tx: ownTx, run: projectShare, why: "processes share the partitions evenly, and take over those of a process that leaves or dies"},
	{name: "project/left", tx: ownTx, run: projectLeft, why: "a process that ends leaves its partitions to the others at once, not after a third of the lease time"},
	{name: "project/repartition", tx: ownTx, run: projectRepartition, why: "the number of partitions can be changed while events are applied, and none is lost or repeated"},
	{name: "project/repartition-behind", tx: ownTx, run: projectRepartitionBehind, why: "one partition that is stuck does not keep the others from being changed"},
	{name: "project/options", tx: ownTx, run: projectOptions, why: "a process with other options than the projection was created with gets an error before it does harm"},
	{name: "project/memory", tx: onlyWithoutTx, run: projectMemory, why: "a backend without transactions says so"},
}

func projectOnce(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(3)...)
	f.append("b", store.Any, events(2)...)
	p := f.process()
	p.project(projected, m.handle, nil)
	m.has(span(1, 5)...)
	f.append("a", store.Any, events(2)...)
	m.has(span(1, 7)...)
	p.end()
	f.append("b", store.Any, events(2)...)
	q := f.process()
	q.project(projected, m.handle, nil)
	m.has(span(1, 9)...)
	f.eventually("the checkpoint is there", func() bool { return q.info(projected).Checkpoint() == 9 })
	m.stays("there is nothing more")
	for place, n := range m.tried {
		assert.Equal(f, 1, n, "%s was applied at the first attempt", place)
	}
	assert.Equal(f, int64(9), q.info(projected).Partitions[0].Handled)
}

func projectBatches(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(1000)...)
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{BatchSize: 300, BatchTime: time.Hour})
	m.has(span(1, 1000)...)
	assert.LessOrEqual(f, slices.Max(m.sizes), 300)
	assert.Less(f, len(m.sizes), 20, "batches of %v", m.sizes)
}

func projectRollsBack(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(5)...)
	m.fail(errPoison, "a@5")
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{BatchSize: 1})
	m.has(span(1, 4)...)
	f.eventually("it is tried again", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.alone["a@5"] > 2 })
	f.eventually("the error is seen", func() bool { return p.info(projected).Partitions[0].LastError == errPoison.Error() })
	assert.Equal(f, int64(4), p.info(projected).Checkpoint())
	m.has(span(1, 4)...)
	m.fail(nil, "a@5")
	m.has(span(1, 5)...)
	f.eventually("the error is over", func() bool { return p.info(projected).Partitions[0].LastError == "" })
}

func projectCrash(f *fixture) {
	m := f.model()
	for _, point := range []string{"BeginTx", "Advance", "CommitTx", "committed"} {
		f.append("a", store.Any, events(3)...)
		f.append(point, store.Any, events(3)...)
		var p *process
		var calls atomic.Int64
		p = f.process(leases(shortLease), gated(func(_ context.Context, call string) error {
			if n := calls.Add(1); call == point && n > 4 { // not while the projection is created
				p.tap.cut.Store(true)
				return errCut
			}
			return nil
		}))
		p.project(projected, m.handle, &store.ProjectOptions{BatchSize: 2})
		f.eventually("it is cut off at "+point, p.tap.cut.Load)
		p.die()
	}
	q := f.process(leases(shortLease))
	q.project(projected, m.handle, nil)
	m.has(span(1, 24)...)
	m.stays("there is nothing more")
}

func projectCommitUnknown(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(4)...)
	unknown := 0
	p := f.process(gated(func(_ context.Context, call string) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if call == "committed" && len(m.sizes) > 0 && unknown < 3 {
			unknown++
			return fmt.Errorf("the connection broke while the answer was on its way")
		}
		return nil
	}))
	p.project(projected, m.handle, &store.ProjectOptions{BatchSize: 1, OnError: func(store.Recorded, error, int) store.Decision {
		f.Error("an event was blamed")
		return store.Stop
	}})
	m.has(span(1, 4)...)
	assert.Equal(f, 3, unknown)
	for place, n := range m.tried {
		assert.Equal(f, 1, n, "%s was applied once", place)
	}
}

func projectFenced(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(2)...)
	p := f.process()
	id := store.SubscriptionID{Stream: store.All, Name: "$" + projected + "/1/0"}
	taken := make(chan struct{})
	release := make(chan struct{})
	once := false
	m.before = func() {
		m.mu.Lock()
		first := !once
		once = true
		m.mu.Unlock()
		if first {
			close(taken)
			<-release
		}
	}
	var lease store.Lease
	if f.oneWriter() { // it can't be taken over while the transaction is open: before it begins, then
		close(release)
		p.tap.gate = func(_ context.Context, call string) error {
			if call == "BeginTx" && f.row(id.Stream, id.Name).Held && lease.Epoch == 0 {
				lease = f.usurp(id)
			}
			return nil
		}
		p.project(projected, m.handle, nil)
		<-taken
	} else {
		p.project(projected, m.handle, nil)
		<-taken
		lease = f.usurp(id)
		close(release)
	}
	m.has()
	m.stays("the owner that was fenced off writes nothing")
	require.NoError(f, f.rows().ReleaseLease(f.ctx, store.CheckpointRequest{ID: id, Epoch: lease.Epoch}))
	m.has(1, 2)
}

// oneWriter reports whether a transaction keeps all other writers waiting, or there is only one connection.
func (f *fixture) oneWriter() bool {
	tx, err := f.projections().BeginTx(f.ctx, nil)
	require.NoError(f, err)
	defer tx.Rollback() //nolint:errcheck // it has done nothing
	ctx, cancel := context.WithTimeout(f.ctx, 100*time.Millisecond)
	defer cancel()
	_, err = f.rows().RenewLeases(ctx, "nobody", time.Second)
	return err != nil
}

func projectHalves(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(20)...)
	f.append("b", store.Any, events(20)...)
	m.fail(errPoison, "a@7", "b@20")
	type blame struct {
		place   string
		attempt int
	}
	blamed := make(chan blame, 100)
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{OnError: func(e store.Recorded, err error, attempt int) store.Decision {
		assert.ErrorIs(f, err, errPoison)
		blamed <- blame{place(e), attempt}
		if attempt == 3 {
			m.fail(nil, place(e))
		}
		return store.Retry
	}})
	m.has(span(1, 40)...)
	close(blamed)
	var got []blame
	for b := range blamed {
		got = append(got, b)
	}
	assert.Equal(f, []blame{{"a@7", 1}, {"a@7", 2}, {"a@7", 3}, {"b@20", 1}, {"b@20", 2}, {"b@20", 3}}, got)
}

func projectNotTheEvent(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(3)...)
	m.fail(fmt.Errorf("a statement of the handler: %w", store.ErrRetryTx), "a@2")
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{OnError: func(store.Recorded, error, int) store.Decision {
		f.Error("an event was blamed")
		return store.Stop
	}})
	f.eventually("it is tried again", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.tried["a@2"] > 3 })
	m.has()
	m.fail(nil, "a@2")
	m.has(1, 2, 3)
}

func projectSwallowed(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(2)...)
	p := f.process()
	ended := p.project(projected, func(_ context.Context, tx *sql.Tx, _ []store.Recorded) error {
		return tx.Rollback()
	}, nil)
	err := receive(f, ended)
	require.ErrorIs(f, err, store.ErrInvalid)
	q := f.process()
	q.project(projected, m.handle, nil)
	m.has(1, 2)
}

func projectSkip(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(5)...)
	m.fail(errPoison, "a@2", "a@5")
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{OnError: store.RetryThen(2, store.Skip)})
	f.eventually("it is at the end", func() bool { return p.info(projected).Checkpoint() == 5 })
	m.has(1, 3, 4)
	assert.Equal(f, map[string]int{"a@2": 2, "a@5": 2}, m.alone)
}

func projectStop(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(5)...)
	m.fail(errPoison, "a@3")
	p := f.process()
	err := receive(f, p.project(projected, m.handle, &store.ProjectOptions{OnError: store.RetryThen(2, store.Stop)}))
	require.ErrorIs(f, err, errPoison)
	m.has(1, 2)
	i := p.info(projected)
	assert.False(f, i.Partitions[0].Held, "it has given the lease up")
	m.fail(nil, "a@3")
	p.project(projected, m.handle, nil)
	m.has(span(1, 5)...)
}

func projectPanic(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(2)...)
	p, q := f.process(), f.process()
	panicked := make(chan any, 1)
	var handler store.BatchHandler = func(context.Context, *sql.Tx, []store.Recorded) error { panic("by the handler") }
	if p.tap.handler != nil {
		handler = p.tap.handler(handler)
	}
	p.running.Go(func() {
		defer func() { panicked <- recover() }()
		_ = p.Project(p.ctx, projected, handler, nil)
	})
	assert.Equal(f, "by the handler", receive(f, panicked))
	q.project(projected, m.handle, nil)
	m.has(1, 2)
}

func projectFilter(f *fixture) {
	m := f.model()
	f.append("a-1", store.Any, events(3)...)
	f.append("b-1", store.Any, events(3)...)
	f.append("a-2", store.Any, store.Event{Type: "other", Data: 1})
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{Filter: store.EventFilter{StreamPrefix: "a-", Types: []string{"counted"}}})
	m.has(1, 2, 3)
	f.eventually("the checkpoint goes on", func() bool { return p.info(projected).Checkpoint() == 7 })
}

func projectStart(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(5)...)
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{Start: store.StartAfter(3)})
	m.has(4, 5)
	p.end()
	q := f.process()
	q.project(projected, m.handle, &store.ProjectOptions{Start: store.StartOrigin})
	f.append("a", store.Any, events(1)...)
	m.has(4, 5, 6)
	require.ErrorIs(f, receive(f, q.project("beyond", m.handle, &store.ProjectOptions{Start: store.StartAfter(100)})), store.ErrInvalid)
	n := f.model()
	q.project("current", n.handle, &store.ProjectOptions{Start: store.StartCurrent})
	f.eventually("it is there", func() bool {
		i, err := q.Projection(f.ctx, "current")
		return err == nil && len(i.Partitions) == 1
	})
	f.append("a", store.Any, events(1)...)
	n.has(7)
}

func projectStream(f *fixture) {
	m := f.model()
	f.append("other", store.Any, events(2)...)
	f.append("a", store.Any, events(3)...)
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{Stream: "a"})
	m.has(1, 2, 3)
	require.NoError(f, p.WaitForPosition(f.ctx, projected, 3))
	f.delete("a", store.HardDelete)
	m.exec("delete from " + m.table)
	f.append("a", store.Any, events(2)...)
	m.has(1, 2)
	f.append("a", store.Any, events(2)...)
	m.has(1, 2, 3, 4)
}

func projectStreamGone(f *fixture) {
	m := f.model()
	m.fail(errCallback, "a@3")
	f.append("a", store.Any, events(3)...)
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{Stream: "a"})
	f.eventually("the third is tried again", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.alone["a@3"] > 1 })
	m.has(1, 2)
	f.delete("a", store.HardDelete)
	m.exec("delete from " + m.table)
	f.append("a", store.Any, events(2)...)
	m.has(1, 2)
}

func projectPartitions(f *fixture) {
	m := f.model()
	total := 0
	fill := func() {
		for n := range 20 {
			f.append(fmt.Sprintf("s-%d", n), store.Any, events(3)...)
			total += 3
		}
	}
	fill()
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{Partitions: 4, BatchSize: 7})
	fill()
	m.has(span(1, int64(total))...)
	i := p.info(projected)
	require.Len(f, i.Partitions, 4)
	var handled int64
	for _, part := range i.Partitions {
		handled += part.Handled
		assert.Positive(f, part.Handled, "partition %d has some of 20 keys", part.Partition)
	}
	assert.Equal(f, int64(total), handled)
	f.eventually("all checkpoints are at the end", func() bool { return p.info(projected).Checkpoint() == int64(total) })
}

// owners returns how many partitions each process runs, in descending order.
func owners(i store.ProjectionInfo) []int {
	count := map[string]int{}
	for _, part := range i.Partitions {
		if part.Held {
			count[part.Owner]++
		}
	}
	var list []int
	for _, n := range count {
		list = append(list, n)
	}
	slices.Sort(list)
	slices.Reverse(list)
	return list
}

func projectShare(f *fixture) {
	m := f.model()
	opts := func() *store.ProjectOptions { return &store.ProjectOptions{Partitions: 7} }
	a := f.process(leases(shortLease))
	a.project(projected, m.handle, opts())
	shares := func(want ...int) {
		f.Helper()
		f.eventually(fmt.Sprintf("the shares are %v", want), func() bool {
			i := a.info(projected)
			return slices.Equal(want, owners(i)) && i.Members == len(want)
		})
	}
	f.eventually("it runs all", func() bool {
		i, err := a.Projection(f.ctx, projected)
		return err == nil && len(i.Partitions) == 7 && slices.Equal([]int{7}, owners(i))
	})
	b := f.process(leases(shortLease))
	b.project(projected, m.handle, opts())
	shares(4, 3)
	c := f.process(leases(shortLease))
	c.project(projected, m.handle, opts())
	shares(3, 2, 2)
	f.append("s", store.Any, events(5)...)
	f.append("t", store.Any, events(5)...)
	m.has(span(1, 10)...)
	b.end()
	shares(4, 3)
	c.die()
	shares(7)
	f.append("u", store.Any, events(5)...)
	m.has(span(1, 15)...)
}

func projectLeft(f *fixture) {
	m := f.model()
	a, b, admin := f.process(leases(long)), f.process(leases(long)), f.process()
	has := func(want ...int) {
		f.Helper()
		f.eventually(fmt.Sprintf("the shares are %v", want), func() bool {
			i, err := admin.Projection(f.ctx, projected)
			return err == nil && slices.Equal(want, owners(i))
		})
	}
	opts := func() *store.ProjectOptions { return &store.ProjectOptions{Partitions: 3} }
	a.project(projected, m.handle, opts())
	has(3)
	shares := make(chan struct{}, 100)
	other := opts()
	other.OnState = func(_ int, s store.SubscriptionState) {
		if errors.Is(s.Err, store.ErrLeaseHeld) {
			shares <- struct{}{}
		}
	}
	b.project(projected, m.handle, other)
	<-shares // of three partitions it waits for one or two, and leaves the rest to a
	a.end()
	f.append("s", store.Any, events(3)...)
	f.append("t", store.Any, events(3)...)
	f.append("u", store.Any, events(3)...)
	m.has(span(1, 9)...)
	has(3)
}

func projectRepartition(f *fixture) {
	m := f.model()
	total := 0
	fill := func() {
		for n := range 10 {
			f.append(fmt.Sprintf("s-%d", n), store.Any, events(4)...)
			total += 4
		}
	}
	p, q := f.process(leases(shortLease)), f.process(leases(shortLease))
	for _, who := range []*process{p, q} {
		who.project(projected, m.handle, &store.ProjectOptions{Partitions: 4, BatchSize: 3})
	}
	fill()
	m.has(span(1, int64(total))...)
	for _, n := range []int{3, 8, 1, 5} {
		fill()
		require.NoError(f, p.Repartition(f.ctx, projected, n))
		fill()
		m.has(span(1, int64(total))...)
		assert.Len(f, p.info(projected).Partitions, n)
	}
	m.stays("there is nothing more")
	for _, n := range []int{0, -1, store.MaxPartitions + 1} {
		require.ErrorIs(f, p.Repartition(f.ctx, projected, n), store.ErrInvalid)
	}
	require.ErrorIs(f, p.Repartition(f.ctx, "nothing", 2), store.ErrProjectionNotFound)
}

func projectRepartitionBehind(f *fixture) {
	m := f.model()
	for n := range 8 {
		f.append(fmt.Sprintf("s-%d", n), store.Any, events(2)...)
	}
	m.fail(errPoison, "s-3@1")
	p := f.process(leases(shortLease))
	p.project(projected, m.handle, &store.ProjectOptions{Partitions: 3})
	f.eventually("one partition is stuck, the others are at the end", func() bool {
		at := 0
		for _, part := range p.info(projected).Partitions {
			if part.Checkpoint == 16 {
				at++
			}
		}
		return at == 2
	})
	for _, n := range []int{2, 5, 4} {
		require.NoError(f, p.Repartition(f.ctx, projected, n))
		f.eventually("the new partitions run", func() bool {
			for _, part := range p.info(projected).Partitions {
				if !part.Held {
					return false
				}
			}
			return true
		})
		f.glance()
	}
	m.fail(nil, "s-3@1")
	m.has(span(1, 16)...)
	m.stays("nothing comes again")
	require.NoError(f, p.WaitForPosition(f.ctx, projected, 16))
}

func projectOptions(f *fixture) {
	m := f.model()
	p := f.process()
	p.project(projected, m.handle, nil)
	f.eventually("it is there", func() bool {
		_, err := p.Projection(f.ctx, projected)
		return err == nil
	})
	q := f.process()
	run := func(name string, handler store.BatchHandler, opts *store.ProjectOptions) error {
		return receive(f, q.project(name, handler, opts))
	}
	for name, opts := range map[string]*store.ProjectOptions{
		"stream":       {Stream: "a"},
		"partition by": {PartitionBy: func(e store.Recorded) string { return e.Type }},
		"partitions":   {Partitions: -1},
		"batch size":   {BatchSize: -1},
		"backoff":      {MinBackoff: -1},
		"start":        {Start: store.StartAfter(-1)},
		"stream name":  {Stream: "\xff"},
	} {
		require.ErrorIs(f, run(projected, m.handle, opts), store.ErrInvalid, name)
	}
	require.ErrorIs(f, run("", m.handle, nil), store.ErrInvalid)
	require.ErrorIs(f, run("x", nil, nil), store.ErrInvalid)
	require.ErrorIs(f, receive(f, p.project(projected, m.handle, nil)), store.ErrProjectionRuns)
	_, err := q.Subscribe(f.ctx, store.All, "$"+projected+"/1/0", nil)
	require.ErrorIs(f, err, store.ErrInvalid, "a partition is not to be subscribed to")
	list, err := q.Subscriptions(f.ctx)
	require.NoError(f, err)
	assert.Empty(f, list, "partitions are not listed as subscriptions")
}

func projectMemory(f *fixture) {
	nothing := func(context.Context, *sql.Tx, []store.Recorded) error { return nil }
	require.ErrorIs(f, f.store.Project(f.ctx, projected, nothing, nil), store.ErrNoTransactions)
	_, err := f.store.Projections(f.ctx)
	require.ErrorIs(f, err, store.ErrNoTransactions)
	require.ErrorIs(f, f.store.WaitForPosition(f.ctx, projected, 1), store.ErrNoTransactions)
}
