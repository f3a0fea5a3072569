package conformance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var projectDeletedCases = []testCase{
	{name: "project/hard-deleted-parked", tx: ownTx, run: projectHardDeletedParked, why: "a hard delete takes what is parked of the stream, and what was parked behind it is applied"},
	{name: "project/hard-deleted-idle", tx: ownTx, run: projectHardDeletedIdle, why: "a hard delete takes what is parked of the stream also while nobody runs the projection, and only if it is committed"},
	{name: "project/hard-deleted-stream", tx: ownTx, run: projectHardDeletedStream, why: "a hard delete of the projection's stream removes what is parked, also links: a new stream of the name is another one"},
	{name: "project/soft-deleted-parked", tx: ownTx, run: projectSoftDeletedParked, why: "parked events of a soft-deleted stream can be replayed: the events are still there"},
}

// oneKey is for a projection of one key: what comes behind an event that is parked is parked, too.
func oneKey() *store.ProjectOptions {
	return &store.ProjectOptions{
		PartitionBy: func(store.Recorded) string { return "all" }, OnError: store.RetryThen(1, store.Park),
	}
}

// parkedRows returns what a projection has parked, as the storage has it now.
func (f *fixture) parkedRows(projection string) (list []string) {
	f.Helper()
	page, err := f.projections().ReadParked(f.ctx, store.ParkedRequest{Projection: projection, AfterNumber: -1, ToNumber: math.MaxInt64, Limit: 1000})
	require.NoError(f, err)
	for _, e := range page {
		list = append(list, fmt.Sprintf("%s@%d", e.Stream, e.Version))
	}
	return list
}

func projectHardDeletedParked(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(3)...)
	f.append("b", store.Any, events(2)...)
	m.fail(errPoison, "a@1")
	p := f.process()
	p.project(projected, m.handle, oneKey())
	p.parked(5)
	f.delete("a", store.HardDelete)
	m.has(4, 5)
	p.parked(0)
	f.append("a", store.Any, events(1)...)
	m.fail(nil, "a@1")
	m.has(4, 5, 6)
}

func projectHardDeletedIdle(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(2)...)
	f.append("b", store.Any, events(2)...)
	m.fail(errPoison, "a@1")
	p := f.process()
	p.project(projected, m.handle, oneKey())
	p.project("other", m.handle, oneKey())
	p.parked(4)
	f.eventually("the other has parked all", func() bool { return len(f.parkedRows("other")) == 4 })
	p.end()
	undone := errors.New("undone")
	admin := f.process()
	require.ErrorIs(f, admin.InTx(f.ctx, func(tx *sql.Tx) error {
		require.NoError(f, admin.WithTx(tx).Delete(f.ctx, "a", store.Any, store.HardDelete))
		return undone
	}), undone)
	assert.Len(f, f.parkedRows(projected), 4)
	f.delete("a", store.HardDelete)
	assert.Equal(f, []string{"b@1", "b@2"}, f.parkedRows(projected))
	assert.Equal(f, []string{"b@1", "b@2"}, f.parkedRows("other"))
	q := f.process()
	q.project(projected, m.handle, oneKey())
	m.has(3, 4)
	q.parked(0)
}

func projectHardDeletedStream(f *fixture) {
	m := f.model()
	source := f.fill("t", 2)
	f.link("s", store.NoStream, source...)
	m.fail(errPoison, "t@1")
	p := f.process()
	opts := parks(1)
	opts.Stream = "s"
	p.project(projected, m.handle, opts)
	p.parked(2)
	f.delete("s", store.HardDelete)
	p.parked(0)
	assert.Empty(f, f.parkedRows(projected))
	m.fail(nil, "t@1")
	f.link("s", store.NoStream, source...)
	m.has(1, 2)
	assert.Equal(f, []int64{1, 2}, numbers(f.read("t", nil)), "the events themselves are where they were")
}

func projectSoftDeletedParked(f *fixture) {
	m := f.model()
	f.append("a", store.Any, events(2)...)
	m.fail(errPoison, "a@1")
	p := f.process()
	p.project(projected, m.handle, parks(1))
	p.parked(2)
	f.delete("a", store.SoftDelete)
	assert.Equal(f, []string{"a@1", "a@2"}, f.parkedRows(projected))
	m.fail(nil, "a@1")
	_, err := p.ReplayParked(context.WithoutCancel(f.ctx), projected, nil)
	require.NoError(f, err)
	m.has(1, 2)
}
