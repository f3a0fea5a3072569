package conformance

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var allCases = []testCase{
	{name: "all/empty", run: allEmpty, why: "$all always exists"},
	{name: "all/ranges", run: allRanges, why: "a read of $all gives exactly the events between its bounds, whatever the page size and the size of the appends"},
	{name: "all/positions", run: allPositions, why: "P3: positions are 1, 2, 3 without gaps, and failed appends use none"},
	{name: "all/stable", run: allStable, why: "P3: a position never changes and never goes to another event"},
	{name: "all/order", run: allOrder, why: "P5: an append begun after another was committed comes after it; events of one append are adjacent"},
	{name: "all/origin", run: allOrigin, why: "a reader of $all knows which stream and version it is looking at"},
	{name: "all/by-name", run: allByName, why: "$all is read as any stream is"},
	{name: "all/links", run: allLinks, why: "$all shows each event once, however often it is linked"},
	{name: "all/soft-deleted", run: allSoftDeleted, why: "a soft delete hides a stream, not what happened"},
	{name: "all/hard-deleted", run: allHardDeleted, why: "P3: a hard delete leaves positions unused; those of other events stay"},
	{name: "all/hard-deleted-tail", run: allHardDeletedTail, why: "P3: positions at the end that were hard deleted never go to other events, which a reader behind them would miss"},
	{name: "all/hard-deleted-whole", run: allHardDeletedWhole, why: "P3: even with nothing left, numbering goes on"},
	{name: "all/hard-deleted-stretch", run: allHardDeletedStretch, deadline: longDeadline, why: "a stretch of unused positions longer than a page is not the end"},
	{name: "all/head", run: allHead, why: "the head is what a reader's lag is measured by"},
}

func allEmpty(f *fixture) {
	assert.Empty(f, f.all())
	assert.Empty(f, f.read(store.All, &store.ReadOptions{Backward: true}))
	assert.Empty(f, f.read(store.All, &store.ReadOptions{From: 7}))
	assert.Zero(f, f.head())
	page, err := f.es.Page(f.ctx, store.All, nil)
	require.NoError(f, err)
	assert.Empty(f, page)
	_, err = f.es.Page(f.ctx, store.All, &store.ReadOptions{After: 1})
	assert.ErrorIs(f, err, store.ErrPositionLost)
}

func allRanges(f *fixture) {
	f.append("a", store.NoStream, events(4)...)
	f.append("b", store.NoStream, events(1)...)
	f.append("a", store.Any, events(1)...)
	f.append("c", store.NoStream, events(3)...)
	f.append("b", store.Any, events(1)...)
	readWindows(f, store.All)
}

func allPositions(f *fixture) {
	known := named(1)
	f.append("known", store.NoStream, known...)
	want := int64(1)
	for i := range 12 {
		f.append(fmt.Sprint("s", i%5), store.Any, events(1+i%3)...)
		want += int64(1 + i%3)
		_, err := f.es.Append(f.ctx, "s0", store.Version(1000), events(2)...)
		require.ErrorIs(f, err, store.ErrWrongExpectedVersion)
		_, err = f.es.Append(f.ctx, "s1", store.Any, append(named(2), known[0])...)
		require.ErrorIs(f, err, store.ErrDuplicateEvent)
		if i%4 == 0 {
			assert.Equal(f, want, f.head())
		}
	}
	assert.Equal(f, span(1, want), numbers(f.all()))
}

func allStable(f *fixture) {
	position := map[int64]uuid.UUID{}
	for i := range 6 {
		f.append(fmt.Sprint("s", i%2), store.Any, events(2)...)
		for _, e := range f.all() {
			if id, seen := position[e.Number]; seen {
				require.Equal(f, id, e.ID, "another event at position %d", e.Number)
			}
			position[e.Number] = e.ID
		}
		assert.Len(f, position, 2*(i+1))
	}
	f.delete("s0", store.HardDelete)
	f.append("s0", store.NoStream, events(2)...)
	for _, e := range f.all() {
		if id, seen := position[e.Number]; seen {
			require.Equal(f, id, e.ID, "another event at position %d", e.Number)
		}
	}
}

func allOrder(f *fixture) {
	f.append("a", store.NoStream, events(2)...)
	f.append("b", store.NoStream, events(3)...)
	f.append("a", store.Version(2), events(1)...)
	f.append("c", store.NoStream, events(1)...)
	f.append("b", store.Version(3), events(2)...)
	want := []string{"a@1", "a@2", "b@1", "b@2", "b@3", "a@3", "c@1", "b@4", "b@5"}
	for _, size := range pageSizes {
		assert.Equal(f, want, origins(f.read(store.All, &store.ReadOptions{PageSize: size})), "page size %d", size)
	}
}

func allOrigin(f *fixture) {
	want := append(f.fill("a", 2), f.fill("b", 2)...)
	got := f.all()
	require.Len(f, got, 4)
	for i := range got {
		assert.Equal(f, int64(i+1), got[i].Number)
		got[i].Number = got[i].Version
	}
	assert.Equal(f, want, got)
}

func allByName(f *fixture) {
	f.fill("a", 3)
	f.fill("b", 2)
	got, err := collect(f, f.es.All(f.ctx, &store.ReadOptions{From: 2, PageSize: 2}))
	require.NoError(f, err)
	assert.Equal(f, span(2, 5), numbers(got))
	assert.Equal(f, got, f.read(store.All, &store.ReadOptions{From: 2}))
	info := f.info(store.All)
	assert.Equal(f, store.StreamInfo{Stream: store.All, Version: 5}, info)
}

func allLinks(f *fixture) {
	source := f.fill("source", 3)
	f.link("links", store.NoStream, source...)
	f.link("more", store.NoStream, source[1])
	assert.Equal(f, int64(3), f.head(), "a link does not move the head")
	f.append("links", store.Version(3), events(1)...)
	assert.Equal(f, []string{"source@1", "source@2", "source@3", "links@4"}, origins(f.all()))
	assert.Equal(f, span(1, 4), numbers(f.all()))
}

func allSoftDeleted(f *fixture) {
	f.fill("s", 2)
	f.fill("other", 1)
	f.delete("s", store.SoftDelete)
	assert.Equal(f, []string{"s@1", "s@2", "other@1"}, origins(f.all()))
	assert.Equal(f, int64(3), f.head())
}

func allHardDeleted(f *fixture) {
	f.append("a", store.NoStream, events(2)...)
	f.append("gone", store.NoStream, events(3)...)
	f.append("a", store.Any, events(1)...)
	f.append("gone", store.Any, events(1)...)
	f.append("b", store.NoStream, events(2)...)
	f.delete("gone", store.HardDelete)
	want := []int64{1, 2, 6, 8, 9}
	for _, size := range pageSizes {
		got := f.read(store.All, &store.ReadOptions{PageSize: size})
		require.Equal(f, want, numbers(got), "page size %d", size)
		assert.Equal(f, []string{"a@1", "a@2", "a@3", "b@1", "b@2"}, origins(got))
		got = f.read(store.All, &store.ReadOptions{PageSize: size, Backward: true})
		require.Equal(f, []int64{9, 8, 6, 2, 1}, numbers(got), "backward, page size %d", size)
		assert.Equal(f, []int64{6, 8}, numbers(f.read(store.All, &store.ReadOptions{PageSize: size, After: 3, Limit: 2})))
	}
	assert.Equal(f, int64(9), f.head())
}

func allHardDeletedTail(f *fixture) {
	f.append("a", store.NoStream, events(2)...)
	f.append("gone", store.NoStream, events(3)...)
	f.delete("gone", store.HardDelete)
	assert.Equal(f, int64(5), f.head(), "the head stays")
	assert.Empty(f, f.read(store.All, &store.ReadOptions{After: 5}), "a reader that saw the deleted events is not lost")
	assert.Equal(f, span(1, 2), numbers(f.all()))
	f.append("gone", store.NoStream, events(1)...)
	f.append("b", store.NoStream, events(1)...)
	assert.Equal(f, []int64{1, 2, 6, 7}, numbers(f.all()))
	assert.Equal(f, []string{"gone@1", "b@1"}, origins(f.read(store.All, &store.ReadOptions{After: 5})))
}

func allHardDeletedWhole(f *fixture) {
	f.append("gone", store.NoStream, events(3)...)
	f.delete("gone", store.HardDelete)
	assert.Empty(f, f.all())
	assert.Empty(f, f.read(store.All, &store.ReadOptions{Backward: true}))
	assert.Equal(f, int64(3), f.head())
	f.append("gone", store.NoStream, events(1)...)
	assert.Equal(f, []int64{4}, numbers(f.all()))
}

func allHardDeletedStretch(f *fixture) {
	f.append("a", store.NoStream, events(1)...)
	for range 3 {
		f.append("gone", store.Any, events(10)...)
	}
	f.append("a", store.Any, events(1)...)
	f.delete("gone", store.HardDelete)
	for _, size := range []int{1, 2, 7, 1000} {
		assert.Equal(f, []int64{1, 32}, numbers(f.read(store.All, &store.ReadOptions{PageSize: size})), "page size %d", size)
		assert.Equal(f, []int64{32, 1}, numbers(f.read(store.All, &store.ReadOptions{PageSize: size, Backward: true})), "backward, page size %d", size)
		assert.Equal(f, []int64{32}, numbers(f.read(store.All, &store.ReadOptions{PageSize: size, From: 5})), "from 5, page size %d", size)
	}
}

func allHead(f *fixture) {
	assert.Zero(f, f.head())
	f.append("a", store.NoStream, events(3)...)
	assert.Equal(f, int64(3), f.head())
	f.append("b", store.NoStream, events(1)...)
	assert.Equal(f, int64(4), f.head())
	f.link("c", store.NoStream, f.all()...)
	assert.Equal(f, int64(4), f.head())
	f.delete("b", store.SoftDelete)
	assert.Equal(f, int64(4), f.head())
}
