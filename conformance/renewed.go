package conformance

import (
	"context"
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subRenewedCases = []testCase{
	{name: "sub/lag-created-again", tx: noTx, run: subLagCreatedAgain, why: "a checkpoint in a stream that is gone hides no lag in the stream that has its name"},
	{name: "sub/watch-created-again", tx: noTx, run: subWatchCreatedAgain, why: "a watcher receives the events of a stream that was hard deleted and created again"},
	{name: "sub/soft-deleted-refused", tx: noTx, run: subSoftDeletedRefused, why: "a refused subscription leaves nothing in the database"},
}

var projectRenewedCases = []testCase{
	{name: "project/lag-created-again", tx: ownTx, run: projectLagCreatedAgain, why: "a projection's lag counts in the stream that is there"},
	{name: "project/soft-deleted-refused", tx: ownTx, run: projectSoftDeletedRefused, why: "a refused projection leaves nothing in the database"},
	{name: "project/wait-for-links", tx: ownTx, run: projectWaitForLinks, why: "WaitFor of links waits for all events that they point to, in whatever order"},
	{name: "project/wait-for-links-streams", tx: ownTx, run: projectWaitForLinksStreams, why: "WaitFor of links waits for the partitions that apply the events"},
	{name: "project/wait-for-links-parked", tx: ownTx, run: projectWaitForLinksParked, why: "WaitFor of links reports a parked event wherever it is in the links, and no other"},
}

func subLagCreatedAgain(f *fixture) {
	f.fill("s", 5)
	p := f.party()
	r := p.subscribe("s", subscription, nil)
	f.takes(r, 1, 2, 3, 4, 5)
	require.NoError(f, r.Close())
	f.saved("s", subscription, 5)
	lag := func(head, want int64, replaced bool) {
		f.Helper()
		list, err := p.Subscriptions(f.ctx)
		require.NoError(f, err)
		require.Len(f, list, 1)
		assert.Equal(f, []int64{head, want}, []int64{list[0].Head, list[0].Lag()})
		assert.Equal(f, replaced, list[0].Replaced())
		assert.Equal(f, head-want, min(list[0].Passed(), head))
	}
	lag(5, 0, false)
	f.delete("s", store.HardDelete)
	lag(0, 0, false)
	for n := range int64(7) { // below the checkpoint, at it, and above
		f.fill("s", 1)
		lag(n+1, n+1, true)
	}
	r = p.subscribe("s", subscription, nil)
	f.takes(r, 1, 2, 3, 4, 5, 6, 7)
	require.NoError(f, r.Close())
	f.saved("s", subscription, 7)
	lag(7, 0, false)
}

func subWatchCreatedAgain(f *fixture) {
	f.fill("s", 4)
	p := f.party()
	w := p.watch("s", nil)
	p.fill("s", 1)
	assert.Equal(f, []int64{5}, numbers(f.hold(w, 1)))
	f.delete("s", store.HardDelete)
	fresh := f.fill("s", 2)
	assert.Equal(f, store.IDs(fresh...), store.IDs(f.hold(w, 2)...))
	p.fill("s", 1)
	assert.Equal(f, []int64{3}, numbers(f.hold(w, 1)))
	late := p.watch("s", nil)
	f.delete("s", store.HardDelete)
	p.fill("s", 5)
	for _, w := range []watcher{w, late} {
		assert.Equal(f, span(1, 5), numbers(f.hold(w, 5)))
	}
}

func subSoftDeletedRefused(f *fixture) {
	f.fill("s", 3)
	p := f.party()
	kept := p.live("s", "kept", nil)
	f.takes(kept, 1, 2, 3)
	require.NoError(f, kept.Close())
	f.delete("s", store.SoftDelete)
	for name, start := range map[string]store.Start{"origin": store.StartOrigin, "current": store.StartCurrent, "after": store.StartAfter(2)} {
		r, err := p.Subscribe(f.ctx, "s", name, &store.SubscribeOptions{Start: start})
		if err == nil {
			err = f.fails(r)
		}
		require.ErrorIs(f, err, store.ErrStreamDeleted)
		err = p.Consume(f.ctx, "s", name, func(context.Context, store.Recorded) error { return nil }, nil)
		require.ErrorIs(f, err, store.ErrStreamDeleted)
	}
	w, err := p.Watch(f.ctx, "s", nil)
	if err == nil {
		_, err = w.Next(f.ctx)
	}
	require.ErrorIs(f, err, store.ErrStreamDeleted)
	r, err := p.Subscribe(f.ctx, "s", "kept", nil)
	if err == nil {
		err = f.fails(r)
	}
	require.ErrorIs(f, err, store.ErrStreamDeleted)
	list, err := f.rows().ListSubscriptions(f.ctx)
	require.NoError(f, err)
	require.Len(f, list, 1, "the one that was there before")
	assert.Equal(f, "kept", list[0].Name)
	assert.Equal(f, int64(3), list[0].Checkpoint)
}

func projectLagCreatedAgain(f *fixture) {
	m := f.model()
	p, q := f.process(), f.process()
	f.append("s", store.Any, events(5)...)
	opts := &store.ProjectOptions{Stream: "s"}
	p.project(projected, m.handle, opts)
	m.has(1, 2, 3, 4, 5)
	f.eventually("it has caught up", func() bool { return q.info(projected).Lag() == 0 })
	p.end()
	f.delete("s", store.HardDelete)
	f.append("s", store.Any, events(5)...)
	i := q.info(projected)
	assert.Equal(f, []int64{0, 5}, []int64{i.Checkpoint(), i.Lag()})
	assert.True(f, i.Partitions[0].Replaced())
	assert.Positive(f, i.Partitions[0].Delay())
	done, _, ok := i.Remaining()
	assert.True(f, !ok || done < 1, "nothing of it is applied")
	m.exec("delete from " + m.table)
	again := f.process()
	again.project(projected, m.handle, opts)
	m.has(1, 2, 3, 4, 5)
	f.eventually("it has caught up", func() bool { return q.info(projected).Lag() == 0 })
	assert.Equal(f, int64(5), q.info(projected).Checkpoint())
}

func projectSoftDeletedRefused(f *fixture) {
	m := f.model()
	p := f.process()
	f.append("s", store.Any, events(3)...)
	f.delete("s", store.SoftDelete)
	for _, start := range []store.Start{store.StartOrigin, store.StartCurrent} {
		err := p.Project(f.ctx, projected, m.handle, &store.ProjectOptions{Stream: "s", Start: start, Partitions: 2})
		require.ErrorIs(f, err, store.ErrStreamDeleted)
	}
	list, err := p.Projections(f.ctx)
	require.NoError(f, err)
	assert.Empty(f, list)
	rows, err := f.rows().ListSubscriptions(f.ctx)
	require.NoError(f, err)
	assert.Empty(f, rows)
}

// reversed links the events to a stream, the last one first.
func (f *fixture) reversed(stream string, list ...store.Recorded) store.AppendResult {
	f.Helper()
	var links []store.Recorded
	for i := range list {
		links = append(links, list[len(list)-1-i])
	}
	return f.link(stream, store.Any, links...)
}

func projectWaitForLinks(f *fixture) {
	m := f.model()
	p, q := f.process(), f.process()
	list := f.fill("s", 2)
	m.fail(errPoison, "s@2")
	p.project(projected, m.handle, nil)
	m.has(1)
	res := f.reversed("links", list...)
	require.NoError(f, q.WaitFor(f.ctx, projected, f.link("first only", store.Any, list[0])))
	ctx, cancel := context.WithTimeout(f.ctx, glance)
	defer cancel()
	require.ErrorIs(f, q.WaitFor(ctx, projected, res), context.DeadlineExceeded, "the event of the first link is not applied")
	m.fail(nil, "s@2")
	ctx, cancel = f.soon()
	defer cancel()
	require.NoError(f, q.WaitFor(ctx, projected, res))
	all, _ := m.rows()
	assert.Equal(f, []int64{1, 2}, all)
	f.delete("s", store.HardDelete)
	require.ErrorIs(f, q.WaitFor(f.ctx, projected, res), store.ErrEventNotFound, "nothing is left of the links")
}

func projectWaitForLinksStreams(f *fixture) {
	m := f.model()
	p, q := f.process(), f.process()
	const partitions = 8
	partition := func(stream string) int64 {
		_, hash := store.PartitionKey(stream)
		return hash % partitions
	}
	var list []store.Recorded
	for n := 0; len(list) < 3; n++ { // in partitions of their own, none of them that of the links' name
		stream := fmt.Sprint("s", n)
		mine := partition(stream)
		taken := mine == partition("links")
		for _, e := range list {
			taken = taken || mine == partition(e.Stream)
		}
		if !taken {
			list = append(list, f.fill(stream, 1)...)
		}
	}
	poisoned := list[1].Stream + "@1"
	m.fail(errPoison, poisoned)
	p.project(projected, m.handle, &store.ProjectOptions{Partitions: partitions})
	m.has(1, 3)
	head := f.append("links", store.Any, events(1)...) // the partition of the links' name has passed all of them
	require.NoError(f, q.WaitFor(f.ctx, projected, head))
	require.NoError(f, q.WaitFor(f.ctx, projected, f.link("others", store.Any, list[2], list[0])))
	res := f.reversed("links", list...)
	ctx, cancel := context.WithTimeout(f.ctx, glance)
	defer cancel()
	require.ErrorIs(f, q.WaitFor(ctx, projected, res), context.DeadlineExceeded, "one of them is not applied")
	m.fail(nil, poisoned)
	ctx, cancel = f.soon()
	defer cancel()
	require.NoError(f, q.WaitFor(ctx, projected, res))
	_, streams := m.rows()
	assert.Equal(f, []int64{1}, streams[list[1].Stream])
}

func projectWaitForLinksParked(f *fixture) {
	m := f.model()
	p, q := f.process(), f.process()
	list := f.fill("a", 2)
	bad := f.fill("bad", 1)
	list = append(list, f.fill("a", 2)...)
	m.fail(errPoison, "bad@1")
	p.project(projected, m.handle, parks(1))
	p.parked(1)
	all := f.link("all", store.Any, list[3], bad[0], list[0])
	require.ErrorIs(f, q.WaitFor(f.ctx, projected, all), store.ErrParked)
	first := f.link("first", store.Any, bad[0], list[1])
	require.ErrorIs(f, q.WaitFor(f.ctx, projected, first), store.ErrParked)
	ctx, cancel := f.soon()
	defer cancel()
	around := f.link("around", store.Any, list[3], list[0])
	require.NoError(f, q.WaitFor(ctx, projected, around), "what is parked is none of these")
}
