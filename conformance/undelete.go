package conformance

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var undeleteCases = []testCase{
	{name: "undelete/restores", run: undeleteRestores, why: "an undeleted stream is what it was before its soft delete: events, links, versions, id and times"},
	{name: "undelete/again", run: undeleteAgain, why: "a stream can be deleted and undeleted any number of times, and every kind of delete can follow"},
	{name: "undelete/others-untouched", run: undeleteOthers, why: "an undelete reaches one stream only"},
	{
		name: "matrix/undelete", deadline: longDeadline,
		why: "an undelete is a decision about a state of the stream, and is judged as one; a stream that is not deleted has nothing to undo",
		run: undeleteMatrix,
	},
	{name: "concurrent/undelete", tx: manyTx, run: concurrentUndelete, why: "exactly one of many undeletes a stream"},
	{name: "tx/undelete", tx: ownTx, run: txUndelete, why: "an undelete in a transaction counts when that is committed, and not at all when it is rolled back"},
	{name: "sub/undeleted", tx: noTx, run: subUndeleted, why: "a subscription that a soft delete has ended goes on behind its checkpoint once the stream is undeleted"},
}

func (f *fixture) undelete(stream string) {
	f.Helper()
	require.NoError(f, f.es.Undelete(f.ctx, stream, store.Any), "undelete %q", stream)
}

func undeleteRestores(f *fixture) {
	own := f.fill("s", 2)
	f.link("s", store.Version(2), f.fill("source", 1)...)
	f.link("links", store.NoStream, own...)
	was, list, all := f.info("s"), f.read("s", nil), f.all()
	f.delete("s", store.SoftDelete)
	f.undelete("s")

	assert.Equal(f, was, f.info("s"))
	assert.Equal(f, store.Active, f.info("s").Status())
	assert.Equal(f, list, f.read("s", nil))
	assert.Equal(f, all, f.all(), "$all")
	assert.Len(f, f.read("links", nil), 2)
	page, err := f.es.Streams(f.ctx, &store.ListOptions{StreamFilter: store.StreamFilter{Status: store.Deleted}})
	require.NoError(f, err)
	assert.Empty(f, page.Streams, "listed as deleted")
	assert.Equal(f, int64(4), f.append("s", store.Version(3), events(1)...).First)
	assert.Equal(f, int64(5), f.link("s", store.Version(4), f.fill("source", 1)...).First)
	assert.Equal(f, span(1, 5), numbers(f.read("s", nil)))
}

func undeleteAgain(f *fixture) {
	f.fill("s", 1)
	for n := range int64(3) {
		require.NoError(f, f.es.Delete(f.ctx, "s", store.Version(n+1), store.SoftDelete))
		require.NoError(f, f.es.Undelete(f.ctx, "s", store.Version(n+1)))
		f.append("s", store.Version(n+1), events(1)...)
	}
	f.delete("s", store.HardDelete)
	assert.ErrorIs(f, f.es.Undelete(f.ctx, "s", store.Any), store.ErrStreamNotFound)
	f.append("s", store.NoStream, events(1)...)
	assert.ErrorIs(f, f.es.Undelete(f.ctx, "s", store.Any), store.ErrStreamNotDeleted)
	assert.Equal(f, int64(1), f.info("s").Version)
}

func undeleteOthers(f *fixture) {
	for _, name := range []string{"s", "S", "s1", "s%"} {
		f.fill(name, 1)
		f.delete(name, store.SoftDelete)
	}
	f.undelete("s%")
	f.undelete("s")
	for name, is := range sorted(map[string]store.StreamStatus{"s": store.Active, "s%": store.Active, "S": store.Deleted, "s1": store.Deleted}) {
		assert.Equal(f, is, f.info(name).Status(), name)
	}
}

var notDeleted = verdict{store.ErrStreamNotDeleted}

var undeletes = []belief{
	{"any", store.Any, []verdict{notFound, notDeleted, ok, notFound}},
	{"no-stream", store.NoStream, []verdict{notFound, notDeleted, exists, notFound}},
	{"stream-exists", store.StreamExists, []verdict{notFound, notDeleted, ok, notFound}},
	{"version-0", store.Version(0), []verdict{notFound, notDeleted, wrong, notFound}},
	{"version-n", store.Version(atN), []verdict{wrong, notDeleted, ok, wrong}},
	{"lower-version", store.Version(atN - 1), []verdict{wrong, notDeleted, wrong, wrong}},
	{"higher-version", store.Version(atN + 1), []verdict{wrong, notDeleted, wrong, wrong}},
	{"negative-version", store.Version(-1), []verdict{wrong, notDeleted, wrong, wrong}},
}

// undeleteMatrix tries an undelete in each cell.
func undeleteMatrix(f *fixture) {
	cells(f, undeletes, func(f *fixture, stream string, b belief, v verdict) {
		was, status := f.version(stream)
		v.check(f, f.es.Undelete(f.ctx, stream, b.expected))
		if len(v) == 0 {
			status = store.Active
		}
		now, statusNow := f.version(stream)
		assert.Equal(f, was, now, "the version moved")
		assert.Equal(f, status, statusNow)
	})
}

func concurrentUndelete(f *fixture) {
	f.each(func(stream string) {
		f.fill(stream, 2)
		f.delete(stream, store.SoftDelete)
		f.oneWins(together(callers, func(int) error { return f.es.Undelete(f.ctx, stream, store.Any) }), store.ErrStreamNotDeleted)
		f.append(stream, store.Version(2), events(1)...)
	})
}

func txUndelete(f *fixture) {
	for _, name := range []string{"rolled back", "committed"} {
		f.fill(name, 2)
		f.delete(name, store.SoftDelete)
	}
	was := f.info("rolled back")
	tx := f.begin()
	in := f.in(tx)
	in.undelete("rolled back")
	in.append("rolled back", store.Version(2), events(1)...)
	require.ErrorIs(f, in.es.Undelete(f.ctx, "rolled back", store.Any), store.ErrStreamNotDeleted)
	require.ErrorIs(f, in.es.Undelete(f.ctx, "absent", store.Any), store.ErrStreamNotFound)
	require.ErrorIs(f, in.es.Undelete(f.ctx, "committed", store.Version(7)), store.ErrWrongExpectedVersion)
	assert.Len(f, in.read("rolled back", nil), 3, "the transaction goes on after errors")
	require.NoError(f, tx.Rollback())
	assert.Equal(f, was, f.info("rolled back"))
	f.hidden("rolled back", store.ErrStreamDeleted)

	f.within(func(in *fixture) {
		in.undelete("committed")
		in.append("committed", store.Version(2), events(1)...)
	})
	assert.Equal(f, span(1, 3), numbers(f.read("committed", nil)))
}

func subUndeleted(f *fixture) {
	f.fill("s", 3)
	p := f.party()
	r := p.live("s", subscription, &store.SubscribeOptions{BufferSize: 2})
	queued := f.hold(r, 2)
	f.delete("s", store.SoftDelete)
	f.ack(r, queued...)
	f.takes(r, 3)
	require.ErrorIs(f, f.fails(r), store.ErrStreamDeleted)
	f.undelete("s")
	f.fill("s", 1)
	again := p.subscribe("s", subscription, nil)
	f.takes(again, 4)
	f.saved("s", subscription, 4)
	assert.Empty(f, f.row("s", subscription).LastError, "the error is over")
	w := p.watch("s", nil)
	f.fill("s", 1)
	f.hold(w, 1)
}
