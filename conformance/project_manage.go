package conformance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var projectManageCases = []testCase{
	{name: "project/park", tx: ownTx, run: projectPark, why: "an event that fails is kept, and those of its key behind it, while other keys go on"},
	{name: "project/replay", tx: ownTx, run: projectReplay, why: "parked events are applied in order, and later events of the key after them"},
	{name: "project/replay-fails", tx: ownTx, run: projectReplayFails, why: "an event that fails again stays parked, and so do those behind it"},
	{name: "project/replay-beside", tx: ownTx, run: projectReplayBeside, why: "the replay of a key does not wait while an event of another key is retried"},
	{name: "project/replay-retried", tx: ownTx, run: projectReplayRetried, why: "while a replayed event is retried, other keys are replayed and new events are applied"},
	{name: "project/replay-pages", tx: ownTx, run: projectReplayPages, why: "parked events that wait for a retry, however many, do not hide others that may be applied"},
	{name: "project/replay-key", tx: ownTx, run: projectReplayKey, why: "one key can be replayed alone, also while no process runs the projection"},
	{name: "project/discard", tx: ownTx, run: projectDiscard, why: "a discarded event is never applied, and does not hold up those behind it"},
	{name: "project/discard-meanwhile", tx: ownTx, run: projectDiscardMeanwhile, why: "an event that is discarded while it is replayed takes no other with it"},
	{name: "project/parked-again", tx: ownTx, run: projectParkedAgain, why: "an id that is used again, once its first event was hard deleted, may be parked again"},
	{name: "project/parked-gone", tx: ownTx, run: projectParkedGone, why: "an event that was hard deleted is not waited for"},
	{name: "project/partition-by", tx: ownTx, run: projectPartitionBy, why: "the key is the caller's: order and parking go by it"},
	{name: "project/partition-by-panics", tx: ownTx, run: projectPartitionByPanics, why: "an event whose partition key can't be had is judged by OnError, not skipped"},
	{name: "project/reset", tx: ownTx, run: projectReset, why: "a read model is rebuilt from the first event, and what happens again is told from what is new"},
	{name: "project/reset-many", tx: ownTx, run: projectResetMany, why: "nothing that was parked before comes up again afterwards, however much it was"},
	{name: "project/replace-parked", tx: ownTx, run: projectReplaceParked, why: "a projection that has parked events takes over only if that is allowed, and the error says how many"},
	{name: "project/replace", tx: ownTx, run: projectReplace, why: "a new read model takes the place of the old one at a moment at which it shows as much"},
	{name: "project/delete", tx: ownTx, run: projectDelete, why: "a projection that is deleted ends, and begins anew"},
	{name: "project/wait-for", tx: ownTx, run: projectWaitFor, why: "WaitFor returns once the read model has the event that the caller wrote"},
	{name: "project/status", tx: ownTx, run: projectStatus, why: "any process can see what a projection does"},
	{name: "project/random", tx: ownTx, run: projectRandom, deadline: longDeadline, why: "P8: exactly once, in order, whatever happens in whatever order"},
	{name: "advance/seen", tx: ownTx, run: advanceSeen, why: "P9: a batch is committed only in the history that its events were read from"},
	{name: "advance/fence", tx: ownTx, run: advanceFence, why: "a checkpoint in a transaction is refused to a process that lost the lease, and when it is sent twice"},
	{name: "advance/error", tx: ownTx, run: advanceError, why: "a batch that passes the event of the last error clears that error, without another write"},
	{name: "advance/rolled-back", tx: ownTx, run: advanceRolledBack, why: "the checkpoint goes with the transaction"},
	{name: "advance/removed", tx: ownTx, run: advanceRemoved, why: "RemoveSubscriptions returns where the subscriptions were, and fences off the processes that ran them"},
	{name: "advance/places", tx: ownTx, run: advancePlaces, why: "Places finds the position of every event that was written"},
}

func projectPark(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(4)...)
	f.append("b", store.Any, events(4)...)
	m.fail(errPoison, "a@2")
	p := f.process()
	p.project(projected, m.handle, parks(3))
	assert.Equal(f, []string{"a@2", "a@3", "a@4"}, p.parked(3))
	m.has(1, 5, 6, 7, 8)
	f.append("a", store.Any, events(1)...)
	f.append("b", store.Any, events(1)...)
	assert.Equal(f, []string{"a@2", "a@3", "a@4", "a@5"}, p.parked(4))
	m.has(1, 5, 6, 7, 8, 10)
	p.end()
	q := f.process()
	q.project(projected, m.handle, parks(3))
	f.append("a", store.Any, events(1)...)
	assert.Equal(f, []string{"a@2", "a@3", "a@4", "a@5", "a@6"}, q.parked(5), "whoever goes on knows what is parked")
	assert.Equal(f, 3, m.alone["a@2"])
	assert.Equal(f, int64(5), q.info(projected).Parked())

	list, err := q.Parked(f.ctx, projected, &store.ParkedFilter{Keys: []string{"a"}, Limit: 2})
	require.NoError(f, err)
	require.Len(f, list, 2)
	assert.Equal(f, store.ParkedEvent{
		Projection: projected, Key: "a", Hash: list[0].Hash, Number: 2, ID: list[0].ID, Stream: "a", Version: 2, Type: "counted",
		Failed: true, Error: errPoison.Error(), Attempts: 3, ParkedAt: list[0].ParkedAt,
	}, list[0])
	assert.NotEqual(f, uuid.Nil, list[0].ID)
	assert.WithinDuration(f, time.Now(), list[0].ParkedAt, time.Hour)
	assert.False(f, list[1].Failed)
	assert.Zero(f, list[1].Attempts)
	for _, filter := range []*store.ParkedFilter{{Keys: []string{"b"}}, {Numbers: []int64{1, 5}}, {AfterNumber: 11}} {
		list, err := q.Parked(f.ctx, projected, filter)
		require.NoError(f, err)
		assert.Empty(f, list, "%+v", filter)
	}
	list, err = q.Parked(f.ctx, projected, &store.ParkedFilter{Numbers: []int64{3, 5}, AfterNumber: 2})
	require.NoError(f, err)
	assert.Len(f, list, 1)
	_, err = q.Parked(f.ctx, "nothing", nil)
	require.ErrorIs(f, err, store.ErrProjectionNotFound)
	_, err = q.Parked(f.ctx, projected, &store.ParkedFilter{Limit: -1})
	require.ErrorIs(f, err, store.ErrInvalid)
}

func projectReplay(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(4)...)
	f.append("b", store.Any, events(4)...)
	m.fail(errPoison, "a@2", "b@1")
	p := f.process()
	p.project(projected, m.handle, parks(1))
	p.parked(7)
	m.fail(nil, "a@2", "b@1")
	m.stays("nothing is replayed by itself")
	n, err := p.ReplayParked(f.ctx, projected, nil)
	require.NoError(f, err)
	assert.Equal(f, int64(7), n)
	m.has(span(1, 8)...)
	p.parked(0)
	f.append("a", store.Any, events(2)...)
	m.has(span(1, 10)...)
	assert.Equal(f, int64(10), p.info(projected).Partitions[0].Handled, "what was applied later counts, too")
	assert.Equal(f, int64(10), p.info(projected).Checkpoint())
}

func projectReplayFails(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(5)...)
	m.fail(errPoison, "a@2", "a@4")
	p := f.process()
	p.project(projected, m.handle, parks(2))
	p.parked(4)
	other := errors.New("another reason")
	m.fail(other, "a@2")
	_, err := p.ReplayParked(f.ctx, projected, nil)
	require.NoError(f, err)
	failed := func(place string, attempts int, text string) {
		f.Helper()
		f.eventually(place+" has failed again", func() bool {
			list, err := p.Parked(f.ctx, projected, nil)
			require.NoError(f, err)
			return len(list) > 0 && fmt.Sprintf("a@%d", list[0].Version) == place && list[0].Failed && list[0].Attempts == attempts && list[0].Error == text
		})
	}
	failed("a@2", 4, other.Error())
	m.has(1)
	m.fail(nil, "a@2")
	_, err = p.ReplayParked(f.ctx, projected, nil)
	require.NoError(f, err)
	failed("a@4", 2, errPoison.Error())
	m.has(1, 2, 3)
	m.fail(nil, "a@4")
	_, err = p.ReplayParked(f.ctx, projected, nil)
	require.NoError(f, err)
	m.has(span(1, 5)...)
}

// parksOnly parks what has failed on streams, and retries all else.
func parksOnly(streams ...string) *store.ProjectOptions {
	return &store.ProjectOptions{MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond, OnError: func(e store.Recorded, _ error, _ int) store.Decision {
		if slices.Contains(streams, e.Stream) {
			return store.Park
		}
		return store.Retry
	}}
}

func projectReplayBeside(f *fixture) {
	m := f.model()
	f.append("b", store.Any, events(2)...)
	m.fail(errPoison, "b@1", "a@1")
	p := f.process()
	p.project(projected, m.handle, parksOnly("b"))
	p.parked(2)
	f.append("a", store.Any, events(2)...)
	f.eventually("a is retried", func() bool { return m.failed("a@1") > 2 })
	m.fail(nil, "b@1")
	_, err := p.ReplayParked(f.ctx, projected, nil)
	require.NoError(f, err)
	m.has(1, 2)
	p.parked(0)
	before := m.failed("a@1")
	f.eventually("a is still retried", func() bool { return m.failed("a@1") > before })
	m.fail(nil, "a@1")
	m.has(1, 2, 3, 4)
}

// projectReplayRetried parks two keys, and retries one of them when it is replayed.
func projectReplayRetried(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(2)...)
	f.append("b", store.Any, events(2)...)
	m.fail(errPoison, "a@1", "b@1")
	opts := parksOnly("b")
	var parked atomic.Bool
	retry := opts.OnError
	opts.OnError = func(e store.Recorded, err error, attempt int) store.Decision {
		if e.Stream == "a" && !parked.Load() {
			return store.Park
		}
		return retry(e, err, attempt)
	}
	p := f.process()
	p.project(projected, m.handle, opts)
	p.parked(4)
	parked.Store(true)
	before := m.failed("a@1")
	m.fail(nil, "b@1")
	_, err := p.ReplayParked(f.ctx, projected, &store.ParkedFilter{Keys: []string{"a"}})
	require.NoError(f, err)
	f.eventually("a is retried", func() bool { return m.failed("a@1") > before+2 })
	f.append("c", store.Any, events(1)...)
	m.has(5)
	_, err = p.ReplayParked(f.ctx, projected, &store.ParkedFilter{Keys: []string{"b"}})
	require.NoError(f, err)
	m.has(3, 4, 5)
	f.append("a", store.Any, events(1)...)
	p.parked(3)
	before = m.failed("a@1")
	f.eventually("a is still retried", func() bool { return m.failed("a@1") > before })
	m.fail(nil, "a@1")
	m.has(span(1, 6)...)
	p.parked(0)
}

func projectReplayPages(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(2)...)
	f.append("b", store.Any, events(2)...)
	m.fail(errPoison, "a@1", "b@1")
	opts, again := onceParked()
	opts.BatchSize, opts.MinBackoff, opts.MaxBackoff = 1, time.Hour, time.Hour
	p := f.process()
	p.project(projected, m.handle, opts)
	p.parked(4)
	again()
	before := m.failed("a@1")
	m.fail(nil, "b@1")
	_, err := p.ReplayParked(f.ctx, projected, nil)
	require.NoError(f, err)
	m.has(3, 4)
	assert.Equal(f, []string{"a@1", "a@2"}, p.parked(2))
	assert.Equal(f, before+1, m.failed("a@1"), "it is tried once, and waits")
}

// onceParked returns options that park what has failed until again is called, and retry it from then on.
func onceParked() (opts *store.ProjectOptions, again func()) {
	var parked atomic.Bool
	return &store.ProjectOptions{OnError: func(store.Recorded, error, int) store.Decision {
		if parked.Load() {
			return store.Retry
		}
		return store.Park
	}}, func() { parked.Store(true) }
}

// failed returns how often the handler has failed on an event alone.
func (m *model) failed(place string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.alone[place]
}

func projectReplayKey(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(2)...)
	f.append("b", store.Any, events(2)...)
	m.fail(errPoison, "a@1", "b@1")
	p := f.process()
	p.project(projected, m.handle, parks(1))
	p.parked(4)
	p.end()
	m.fail(nil, "a@1", "b@1")
	q := f.process()
	n, err := q.ReplayParked(f.ctx, projected, &store.ParkedFilter{Keys: []string{"b"}})
	require.NoError(f, err)
	assert.Equal(f, int64(2), n)
	q.project(projected, m.handle, parks(1))
	m.has(3, 4)
	assert.Equal(f, []string{"a@1", "a@2"}, q.parked(2))
	n, err = q.ReplayParked(f.ctx, projected, &store.ParkedFilter{Numbers: []int64{1}})
	require.NoError(f, err)
	assert.Equal(f, int64(1), n)
	m.has(1, 2, 3, 4) // what is behind an event that is not in the way any more was not failed itself
}

func projectDiscard(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(4)...)
	f.append("b", store.Any, events(2)...)
	m.fail(errPoison, "a@2", "b@1")
	p := f.process()
	p.project(projected, m.handle, parks(1))
	p.parked(5)
	n, err := p.DiscardParked(f.ctx, projected, &store.ParkedFilter{Numbers: []int64{2}})
	require.NoError(f, err)
	assert.Equal(f, int64(1), n)
	m.has(1, 3, 4)
	n, err = p.DiscardParked(f.ctx, projected, &store.ParkedFilter{Keys: []string{"b"}})
	require.NoError(f, err)
	assert.Equal(f, int64(2), n)
	p.parked(0)
	m.stays("what was discarded is not applied")
	f.append("b", store.Any, events(1)...)
	m.has(1, 3, 4, 7)
}

func projectDiscardMeanwhile(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(2)...)
	m.fail(errPoison, "a@1")
	p := f.process()
	p.project(projected, m.handle, parks(1))
	p.parked(2)
	p.end()
	m.fail(nil, "a@1")
	admin := f.process()
	_, err := admin.ReplayParked(f.ctx, projected, nil)
	require.NoError(f, err)
	f.append("b", store.Any, events(3)...)
	var once sync.Once
	q := f.process(gated(func(ctx context.Context, call string) (err error) {
		if call == "BeginTx" { // what is ready was read
			once.Do(func() { _, err = admin.DiscardParked(f.ctx, projected, &store.ParkedFilter{Numbers: []int64{1}}) })
		}
		return err
	}))
	q.project(projected, m.handle, parks(1))
	m.has(2, 3, 4, 5)
	f.append("b", store.Any, events(1)...)
	m.has(2, 3, 4, 5, 6)
	q.parked(0)
}

func projectParkedGone(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(2)...)
	f.append("b", store.Any, events(1)...)
	m.fail(errPoison, "a@1", "b@1") // while something is parked, the projection looks whether that was changed
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{
		PartitionBy: func(store.Recorded) string { return "all" }, OnError: store.RetryThen(1, store.Park),
	})
	p.parked(3)
	gone, err := p.Parked(f.ctx, projected, &store.ParkedFilter{Limit: 1})
	require.NoError(f, err)
	f.delete("a", store.HardDelete)
	// What was being parked at that moment, which the delete could not see.
	f.parkAgain(projected, gone)
	m.fail(nil, "b@1")
	_, err = p.ReplayParked(f.ctx, projected, nil)
	require.NoError(f, err)
	p.parked(0)
	m.has(3)
}

// parkAgain parks events that were parked before.
func (f *fixture) parkAgain(projection string, list []store.ParkedEvent) {
	f.Helper()
	for i := range list {
		list[i].Projection = projection
	}
	require.NoError(f, f.projections().Park(f.ctx, list))
}

func projectParkedAgain(f *fixture) {
	m := f.model()
	m.fail(errPoison, "a@1", "b@1")
	event := events(1)[0]
	event.ID = uuid.New()
	f.append("a", store.Any, event)
	p := f.process()
	p.project(projected, m.handle, parks(1))
	assert.Equal(f, []string{"a@1"}, p.parked(1))
	gone, err := p.Parked(f.ctx, projected, nil)
	require.NoError(f, err)
	f.delete("a", store.HardDelete)
	f.parkAgain(projected, gone) // as if it had been parked at that moment
	f.append("b", store.Any, event)
	f.append("c", store.Any, events(1)...)
	m.has(3)
	assert.Equal(f, []string{"b@1"}, p.parked(1))
	m.fail(nil, "b@1")
	n, err := p.ReplayParked(f.ctx, projected, nil)
	require.NoError(f, err)
	assert.Equal(f, int64(1), n)
	m.has(2, 3)
}

func projectPartitionBy(f *fixture) {
	m := f.model()
	for range 3 {
		for _, stream := range []string{"a-1", "a-2", "b-1", "b-2"} {
			f.append(stream, store.Any, events(1)...)
		}
	}
	m.fail(errPoison, "a-1@1")
	p := f.process()
	opts := parks(1)
	opts.Partitions = 3
	opts.PartitionBy = func(e store.Recorded) string { return e.Stream[:1] }
	p.project(projected, m.handle, opts)
	assert.Equal(f, []string{"a-1@1", "a-2@1", "a-1@2", "a-2@2", "a-1@3", "a-2@3"}, p.parked(6))
	m.has(3, 4, 7, 8, 11, 12)
	require.NoError(f, p.Repartition(f.ctx, projected, 2))
	m.fail(nil, "a-1@1")
	_, err := p.ReplayParked(f.ctx, projected, &store.ParkedFilter{Keys: []string{"a"}})
	require.NoError(f, err)
	m.has(span(1, 12)...)
}

func projectPartitionByPanics(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(3)...)
	asked := make(chan int, 100)
	p := f.process()
	p.project(projected, m.handle, &store.ProjectOptions{
		PartitionBy: func(e store.Recorded) string {
			if e.Version == 2 {
				panic("no key")
			}
			return e.Stream
		},
		OnError: func(e store.Recorded, err error, attempt int) store.Decision {
			assert.Equal(f, "a@2", place(e))
			assert.ErrorContains(f, err, "no key")
			asked <- attempt
			return store.RetryThen(2, store.Skip)(e, err, attempt)
		},
	})
	assert.Equal(f, 1, receive(f, asked))
	assert.Equal(f, 2, receive(f, asked))
	m.has(1, 3)
}

func projectReset(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(3)...)
	f.append("b", store.Any, events(3)...)
	m.fail(errPoison, "b@2")
	p := f.process(leases(shortLease))
	opts := parks(1)
	opts.Partitions = 2
	p.project(projected, m.handle, opts)
	p.parked(2)
	m.has(1, 2, 3, 4)
	m.fail(nil, "b@2")
	require.NoError(f, p.ResetProjection(f.ctx, projected, m.clear))
	m.has(span(1, 6)...)
	p.parked(0)
	i := p.info(projected)
	assert.Equal(f, int64(6), i.ReplayUntil)
	f.append("a", store.Any, events(1)...)
	m.has(span(1, 7)...)
	m.mu.Lock()
	assert.Equal(f, map[string]bool{"a@1": true, "a@2": true, "a@3": true, "b@1": true, "b@2": true, "b@3": true, "a@4": false}, m.replay)
	m.mu.Unlock()
	require.NoError(f, p.WaitForPosition(f.ctx, projected, 7))
	done, left, ok := p.info(projected).Remaining()
	assert.True(f, ok)
	assert.Equal(f, []any{1.0, time.Duration(0)}, []any{done, left})

	failed := errors.New("the table is not to be emptied")
	require.ErrorIs(f, p.ResetProjection(f.ctx, projected, func(context.Context, *sql.Tx) error { return failed }), failed)
	m.stays("nothing was reset")
	assert.Equal(f, int64(7), p.info(projected).Checkpoint())
	require.ErrorIs(f, p.ResetProjection(f.ctx, "nothing", nil), store.ErrProjectionNotFound)
}

func projectResetMany(f *fixture) {
	p, s := f.process(), f.projectionKeeper()
	_, err := s.AddProjection(f.ctx, store.ProjectionRecord{Name: "p", Stream: store.All, Partitions: 1, Generation: 1})
	require.NoError(f, err)
	list := make([]store.ParkedEvent, 2*store.DefaultPageSize+1)
	for i := range list { // some have the same number, for which a page may end between them
		list[i] = store.ParkedEvent{Projection: "p", Key: "k", Number: int64(1 + i/7), ID: uuid.New(), Stream: "s", Version: 1, Type: "t"}
	}
	require.NoError(f, s.Park(f.ctx, list))
	parked := func() int {
		list, err := p.Parked(f.ctx, "p", nil)
		require.NoError(f, err)
		return len(list)
	}
	require.Equal(f, len(list), parked())
	require.NoError(f, p.ResetProjection(f.ctx, "p", nil))
	assert.Zero(f, parked())
}

// projectReplaceParked: readers must not be given a read model that lacks events.
func projectReplaceParked(f *fixture) {
	old, fresh := f.model(), f.model()
	f.append("a", store.Any, events(3)...)
	f.append("b", store.Any, events(3)...)
	fresh.fail(errPoison, "a@2")
	p := f.process()
	ended := p.project("old", old.handle, nil)
	old.has(span(1, 6)...)
	p.project("fresh", fresh.handle, &store.ProjectOptions{Partitions: 2, OnError: store.RetryThen(1, store.Park)})
	switched := 0
	switchOver := func(context.Context, *sql.Tx) error {
		switched++
		return nil
	}
	f.eventually("the new one is there", func() bool {
		_, err := p.Projection(f.ctx, "fresh")
		return err == nil
	})
	err := p.ReplaceProjection(f.ctx, "old", "fresh", switchOver, nil)
	var parked *store.ParkedError
	require.ErrorAs(f, err, &parked)
	require.ErrorIs(f, err, store.ErrParked)
	assert.Equal(f, store.ParkedError{Projection: "fresh", Count: 2}, *parked)
	assert.Zero(f, switched, "nothing has changed")
	f.append("b", store.Any, events(1)...)
	old.has(span(1, 7)...)
	fresh.fail(nil, "a@2")
	_, err = p.ReplayParked(f.ctx, "fresh", nil)
	require.NoError(f, err)
	fresh.has(span(1, 7)...)
	fresh.fail(errPoison, "b@5")
	f.append("b", store.Any, events(1)...)
	old.has(span(1, 8)...)
	require.NoError(f, p.ReplaceProjection(f.ctx, "old", "fresh", switchOver, &store.ReplaceOptions{AllowParked: true}))
	assert.Equal(f, 1, switched)
	require.ErrorIs(f, receive(f, ended), store.ErrProjectionReplaced)
}

func projectReplace(f *fixture) {
	old, fresh := f.model(), f.model()
	for n := range 6 {
		f.append(fmt.Sprintf("s-%d", n), store.Any, events(5)...)
	}
	p := f.process(leases(shortLease))
	ended := p.project("old", old.handle, nil)
	old.has(span(1, 30)...)
	block := make(chan struct{})
	fresh.before = func() { <-block }
	if f.oneWriter() { // the others would wait, too
		close(block)
	}
	p.project("fresh", fresh.handle, &store.ProjectOptions{Partitions: 3})
	f.eventually("it is there", func() bool {
		_, err := p.Projection(f.ctx, "fresh")
		return err == nil
	})
	var applied []int64
	replaced := make(chan error, 1)
	p.running.Go(func() {
		replaced <- p.ReplaceProjection(f.ctx, "old", "fresh", func(ctx context.Context, tx *sql.Tx) error {
			rows, err := tx.QueryContext(ctx, "select number from "+fresh.table+" order by number")
			if err != nil {
				return err
			}
			defer rows.Close() //nolint:errcheck // Err tells
			for rows.Next() {
				var n int64
				if err := rows.Scan(&n); err != nil {
					return err
				}
				applied = append(applied, n)
			}
			return rows.Err()
		}, nil)
	})
	select {
	case <-block:
	default:
		f.glance()
		select {
		case err := <-replaced:
			f.Errorf("replaced before the new one has caught up: %v", err)
		default:
		}
		close(block)
	}
	require.NoError(f, receive(f, replaced))
	assert.Equal(f, span(1, 30), applied, "what the new read model shows when it takes over")
	require.ErrorIs(f, receive(f, ended), store.ErrProjectionReplaced)
	require.ErrorIs(f, receive(f, p.project("old", old.handle, nil)), store.ErrProjectionReplaced)
	f.append("s-1", store.Any, events(1)...)
	fresh.has(span(1, 31)...)
	old.has(span(1, 30)...)
	assert.Equal(f, "fresh", p.info("old").ReplacedBy)
	nothing := func(context.Context, *sql.Tx) error { return nil }
	require.ErrorIs(f, p.ReplaceProjection(f.ctx, "fresh", "fresh", nothing, nil), store.ErrInvalid)
	require.ErrorIs(f, p.ReplaceProjection(f.ctx, "old", "fresh", nothing, nil), store.ErrProjectionReplaced)
	require.ErrorIs(f, p.ReplaceProjection(f.ctx, "nothing", "fresh", nothing, nil), store.ErrProjectionNotFound)
}

func projectDelete(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(3)...)
	m.fail(errPoison, "a@3")
	p := f.process(leases(shortLease))
	ended := p.project(projected, m.handle, parks(1))
	p.parked(1)
	require.NoError(f, p.DeleteProjection(f.ctx, projected))
	require.ErrorIs(f, receive(f, ended), store.ErrProjectionNotFound)
	require.ErrorIs(f, p.DeleteProjection(f.ctx, projected), store.ErrProjectionNotFound)
	_, err := p.Projection(f.ctx, projected)
	require.ErrorIs(f, err, store.ErrProjectionNotFound)
	m.exec("delete from " + m.table)
	m.fail(nil, "a@3")
	p.project(projected, m.handle, nil)
	m.has(1, 2, 3)
}

func projectWaitFor(f *fixture) {
	m := f.model()
	p, q := f.process(), f.process()
	_, err := q.Append(f.ctx, "before", store.Any, events(3)...)
	require.NoError(f, err)
	hasty := f.process(leases(shortLease))
	require.ErrorIs(f, hasty.WaitFor(f.ctx, projected, store.AppendResult{Stream: "before", First: 1, Last: 3}), store.ErrProjectionNotFound)
	opts := parks(1)
	opts.Partitions = 3
	p.project(projected, m.handle, opts)
	require.NoError(f, q.WaitFor(f.ctx, projected, store.AppendResult{Stream: "before", First: 1, Last: 3}), "it may just be starting")
	for n := range 10 {
		for _, who := range []*process{p, q} {
			stream := fmt.Sprintf("s-%d", n)
			res, err := who.Append(f.ctx, stream, store.Any, events(2)...)
			require.NoError(f, err)
			ctx, cancel := f.soon()
			require.NoError(f, who.WaitFor(ctx, projected, res))
			cancel()
			_, streams := m.rows()
			assert.Contains(f, streams[stream], res.Last, "the event is in the read model")
		}
	}
	head, err := q.Head(f.ctx)
	require.NoError(f, err)
	require.NoError(f, q.WaitForPosition(f.ctx, projected, head))
	require.ErrorIs(f, q.WaitFor(f.ctx, projected, store.AppendResult{Stream: "nothing", First: 1, Last: 1}), store.ErrEventNotFound)
	ctx, cancel := context.WithTimeout(f.ctx, glance)
	defer cancel()
	require.ErrorIs(f, q.WaitForPosition(ctx, projected, head+1), context.DeadlineExceeded)

	m.fail(errPoison, "bad@1")
	res, err := q.Append(f.ctx, "bad", store.Any, events(2)...)
	require.NoError(f, err)
	require.ErrorIs(f, q.WaitFor(f.ctx, projected, res), store.ErrParked)
	m.fail(nil, "bad@1")
	_, err = q.ReplayParked(f.ctx, projected, nil)
	require.NoError(f, err)
	require.NoError(f, q.WaitFor(f.ctx, projected, res), "it is about to be applied")
	p.parked(0)

	one := f.model()
	p.project("one", one.handle, &store.ProjectOptions{Stream: "s-1"})
	one.has(1, 2, 3, 4)
	require.NoError(f, q.WaitFor(f.ctx, "one", store.AppendResult{Stream: "s-1", First: 3, Last: 4}))
	require.ErrorIs(f, q.WaitFor(f.ctx, "one", res), store.ErrInvalid)
}

func projectStatus(f *fixture) {
	m := f.model()
	p, q := f.process(), f.process()
	list, err := q.Projections(f.ctx)
	require.NoError(f, err)
	assert.Empty(f, list)
	f.append("a", store.Any, events(3)...)
	m.fail(errPoison, "a@3")
	p.project(projected, m.handle, nil)
	f.eventually("it is at the event that fails", func() bool {
		i, err := q.Projection(f.ctx, projected)
		return err == nil && i.Checkpoint() == 2
	})
	f.eventually("the error is seen", func() bool { return q.info(projected).Partitions[0].LastError != "" })
	list, err = q.Projections(f.ctx)
	require.NoError(f, err)
	require.Len(f, list, 1)
	i := list[0]
	assert.Equal(f, projected, i.Name)
	assert.Equal(f, store.All, i.Stream)
	assert.Equal(f, 1, i.Members)
	assert.Equal(f, int64(1), i.Lag())
	require.Len(f, i.Partitions, 1)
	part := i.Partitions[0]
	assert.True(f, part.Held)
	assert.Equal(f, []int64{2, 3, 2}, []int64{part.Checkpoint, part.Head, part.Handled})
	assert.Equal(f, errPoison.Error(), part.LastError)
	assert.Positive(f, part.Rate)
	assert.Positive(f, part.Delay())
	assert.WithinDuration(f, time.Now(), part.HandledAt, time.Hour)
	done, _, ok := i.Remaining()
	assert.True(f, ok)
	assert.InDelta(f, 2.0/3, done, 0.01)
	m.fail(nil, "a@3")
	m.has(1, 2, 3)
	f.eventually("it has caught up", func() bool { return q.info(projected).Lag() == 0 })
	assert.Zero(f, q.info(projected).Partitions[0].Delay())
}

// projectRandom lets two processes run a projection while streams grow, events fail, are parked, replayed and discarded,
// partitions change, and processes end, die and come back. At the end everything was applied once, in order.
func projectRandom(f *fixture) {
	seed := rand.Uint64()
	f.Cleanup(func() {
		if f.Failed() {
			f.Logf("seed %d", seed)
		}
	})
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's
	m := f.model()
	opts := func() *store.ProjectOptions {
		o := parks(2)
		o.Partitions, o.BatchSize = 3, 1+random.IntN(10)
		return o
	}
	versions := map[string]int64{}
	var bad []string
	processes := make([]*process, 2)
	start := func(n int) {
		processes[n] = f.process(leases(shortLease))
		processes[n].project(projected, m.handle, opts())
	}
	start(0)
	start(1)
	f.eventually("it is there", func() bool {
		_, err := processes[0].Projection(f.ctx, projected)
		return err == nil
	})
	admin := f.process()
	total := int64(0)
	for range 60 {
		switch what := random.IntN(20); {
		case what < 10:
			stream := fmt.Sprintf("s-%d", random.IntN(6))
			n := 1 + random.IntN(5)
			f.append(stream, store.Any, events(n)...)
			versions[stream] += int64(n)
			total += int64(n)
		case what < 13: // before it is there, so that it fails when it comes
			stream := fmt.Sprintf("s-%d", random.IntN(6))
			place := fmt.Sprintf("%s@%d", stream, versions[stream]+1)
			m.fail(errPoison, place)
			bad = append(bad, place)
		case what < 15 && len(bad) > 0:
			m.fail(nil, bad[random.IntN(len(bad))])
			_, err := admin.ReplayParked(f.ctx, projected, nil)
			require.NoError(f, err)
		case what < 17:
			require.NoError(f, admin.Repartition(f.ctx, projected, 1+random.IntN(5)))
		case what < 18:
			n := random.IntN(2)
			processes[n].end()
			start(n)
		case what < 19:
			n := random.IntN(2)
			processes[n].die()
			start(n)
		default:
			f.glance()
		}
	}
	m.fail(nil, bad...)
	ctx, cancel := f.soon()
	defer cancel()
	require.NoError(f, admin.WaitForPosition(ctx, projected, total))
	f.eventually("all that was parked is replayed", func() bool {
		_, err := admin.ReplayParked(f.ctx, projected, nil)
		require.NoError(f, err)
		return admin.info(projected).Parked() == 0
	})
	m.has(span(1, total)...)
	_, streams := m.rows()
	for stream, n := range versions {
		assert.Equal(f, span(1, n), streams[stream], "%s in order", stream)
	}
}

// advance moves a checkpoint in a transaction of its own.
func (f *fixture) advance(s store.ProjectionStorage, r store.AdvanceRequest) error {
	f.Helper()
	tx, err := s.BeginTx(f.ctx, nil)
	require.NoError(f, err)
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	if err := s.WithTx(tx).(store.ProjectionStorage).Advance(f.ctx, r); err != nil {
		require.NoError(f, tx.QueryRowContext(f.ctx, "select 1").Scan(new(int)), "the transaction can be used on")
		return err
	}
	return s.CommitTx(f.ctx, tx)
}

func advanceFence(f *fixture) {
	s := f.projectionKeeper()
	f.positions(20) // for checkpoints on All to be in
	l := f.acquire(s, onAll("p"), "a")
	request := func(from, to, streamID int64) store.AdvanceRequest {
		return store.AdvanceRequest{CheckpointRequest: checkpoint(l, to, streamID), From: from, Handled: 2, Rate: 1.5}
	}
	require.NoError(f, f.advance(s, request(1, 10, 0)))
	got := f.subscription(s, l.ID)
	assert.Equal(f, []any{int64(10), int64(2), 1.5}, []any{got.Checkpoint, got.Handled, got.Rate})
	assert.WithinDuration(f, time.Now(), got.HandledAt, time.Hour)
	for _, from := range []int64{1, 9, 10} {
		require.ErrorIs(f, f.advance(s, request(from, 20, 0)), store.ErrLeaseLost, "from %d: it was applied before", from)
	}
	require.NoError(f, f.advance(s, request(15, 20, 0)), "numbers between were left out")
	require.NoError(f, f.advance(s, request(0, 0, 0)), "it claims nothing")
	assert.Equal(f, int64(20), f.subscription(s, l.ID).Checkpoint)
	require.NoError(f, f.advance(s, request(1, 2, 7)), "another stream counts anew")
	got = f.subscription(s, l.ID)
	assert.Equal(f, []int64{2, 7, 8}, []int64{got.Checkpoint, got.StreamID, got.Handled})
	require.NoError(f, s.ResetSubscription(f.ctx, l.ID, 2, 7))
	require.ErrorIs(f, f.advance(s, request(3, 4, 7)), store.ErrLeaseLost, "the epoch is over")
	require.ErrorIs(f, f.advance(s, request(0, 0, 7)), store.ErrLeaseLost, "also for who claims nothing")
	l = f.acquire(s, l.ID, "b")
	require.NoError(f, f.advance(s, request(3, 4, 7)))
	require.NoError(f, s.DeleteSubscription(f.ctx, l.ID))
	require.ErrorIs(f, f.advance(s, request(5, 6, 7)), store.ErrLeaseLost, "it is not there any more")
}

func advanceError(f *fixture) {
	s := f.projectionKeeper()
	l := f.acquire(s, store.SubscriptionID{Stream: "absent", Name: "p"}, "a")
	advance := func(from, to, streamID int64) {
		f.Helper()
		require.NoError(f, f.advance(s, store.AdvanceRequest{CheckpointRequest: checkpoint(l, to, streamID), From: from, Handled: 1}))
	}
	note := func(number int64) {
		f.Helper()
		require.NoError(f, s.SaveError(f.ctx, l.ID, l.Epoch, "trouble", number))
	}
	advance(1, 1, 7)
	note(5)
	advance(2, 4, 7)
	f.hasError(s, l.ID, "trouble", 5, "the batch before it")
	advance(0, 0, 7)
	f.hasError(s, l.ID, "trouble", 5, "what was parked before it")
	advance(5, 5, 7)
	f.hasError(s, l.ID, "", 0, "the event itself")
	note(6)
	advance(6, 9, 7)
	f.hasError(s, l.ID, "", 0, "a batch with the event")
	note(3)
	advance(0, 0, 7)
	f.hasError(s, l.ID, "", 0, "what was parked itself")
	note(50)
	advance(1, 1, 8)
	f.hasError(s, l.ID, "", 0, "the event is gone with its stream")
}

func advanceRolledBack(f *fixture) {
	s := f.projectionKeeper()
	f.positions(20) // for checkpoints on All to be in
	l := f.acquire(s, onAll("p"), "a")
	before := f.subscription(s, l.ID)
	tx, err := s.BeginTx(f.ctx, nil)
	require.NoError(f, err)
	bound := s.WithTx(tx).(store.ProjectionStorage)
	require.NoError(f, bound.Advance(f.ctx, store.AdvanceRequest{CheckpointRequest: checkpoint(l, 10, 0), From: 1, Handled: 1}))
	require.NoError(f, bound.Park(f.ctx, []store.ParkedEvent{{Projection: "p", Key: "k", Number: 1, ID: uuid.New(), Stream: "s", Version: 1, Type: "t"}}))
	added, err := bound.AddProjection(f.ctx, store.ProjectionRecord{Name: "p", Stream: store.All, Partitions: 1, Generation: 1})
	require.NoError(f, err)
	assert.True(f, added)
	require.NoError(f, bound.AddSubscriptions(f.ctx, []store.SubscriptionID{onAll("q")}, 3, 0))
	require.NoError(f, tx.Rollback())
	assert.Equal(f, before, f.subscription(s, l.ID))
	list, err := s.ReadParked(f.ctx, store.ParkedRequest{Projection: "p", AfterNumber: -1, ToNumber: 10, Limit: 10})
	require.NoError(f, err)
	assert.Empty(f, list)
	records, err := s.ReadProjections(f.ctx, "")
	require.NoError(f, err)
	assert.Empty(f, records)
	assert.Zero(f, f.row(store.All, "q"))
}

func advanceRemoved(f *fixture) {
	s := f.projectionKeeper()
	f.positions(20) // for checkpoints on All to be in
	ids := []store.SubscriptionID{onAll("$p/1/0"), onAll("$p/1/1"), onAll("$p/1/2"), onAll("$p/1/10")}
	require.NoError(f, s.AddSubscriptions(f.ctx, ids[1:], 5, 3))
	i := f.subscription(s, ids[1])
	assert.False(f, i.Held)
	assert.Equal(f, []int64{5, 3}, []int64{i.Checkpoint, i.StreamID})
	l := f.acquire(s, ids[2], "a")
	require.NoError(f, f.advance(s, store.AdvanceRequest{CheckpointRequest: checkpoint(l, 9, 3), From: 6}))
	list, err := s.RemoveSubscriptions(f.ctx, ids)
	require.NoError(f, err)
	were := map[store.SubscriptionID]int64{}
	for _, l := range list {
		were[l.ID] = l.Checkpoint
		assert.Equal(f, int64(3), l.StreamID)
	}
	assert.Equal(f, map[store.SubscriptionID]int64{ids[1]: 5, ids[2]: 9, ids[3]: 5}, were)
	require.ErrorIs(f, f.advance(s, store.AdvanceRequest{CheckpointRequest: checkpoint(l, 10, 3), From: 10}), store.ErrLeaseLost)
	_, err = s.AcquireLease(f.ctx, store.LeaseRequest{ID: ids[2], Owner: "a", TTL: time.Minute})
	require.ErrorIs(f, err, store.ErrSubscriptionNotFound)
	require.NoError(f, s.AddSubscriptions(f.ctx, ids, 1, 0))
	require.ErrorIs(f, f.advance(s, store.AdvanceRequest{CheckpointRequest: checkpoint(l, 10, 0), From: 10}), store.ErrLeaseLost, "its epoch is not used again")
}

func advancePlaces(f *fixture) {
	s := f.projectionKeeper()
	f.append("a", store.Any, events(3)...)
	all := f.fill("b", 3)
	gone := f.fill("gone", 1)
	f.link("c", store.Any, all[1], gone[0])
	f.append("c", store.Any, events(1)...)
	f.link("c", store.Any, f.read("a", &store.ReadOptions{From: 2, Limit: 1})[0], all[0])
	f.delete("gone", store.HardDelete)
	for _, want := range []struct {
		stream      string
		first, last int64
		places      []store.Place
	}{
		{"a", 1, 1, []store.Place{{Position: 1, Stream: "a"}}},
		{"a", 3, 3, []store.Place{{Position: 3, Stream: "a"}}},
		{"a", 2, 9, []store.Place{{Position: 2, Stream: "a"}, {Position: 3, Stream: "a"}}},
		{"b", 1, 3, []store.Place{{Position: 4, Stream: "b"}, {Position: 5, Stream: "b"}, {Position: 6, Stream: "b"}}},
		{"c", 1, 1, []store.Place{{Position: 5, Stream: "b"}}},
		{"c", 2, 2, nil},
		{"c", 1, 5, []store.Place{{Position: 5, Stream: "b"}, {Position: 8, Stream: "c"}, {Position: 2, Stream: "a"}, {Position: 4, Stream: "b"}}},
		{"c", 6, 6, nil},
		{"nothing", 1, 1, nil},
	} {
		got, err := s.Places(f.ctx, want.stream, want.first, want.last)
		require.NoError(f, err)
		assert.Equal(f, want.places, got, "%s@%d-%d", want.stream, want.first, want.last)
	}
	assert.True(f, slices.IsSorted(numbers(f.all())))
}
