package conformance

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var appendCases = []testCase{
	{
		name: "append/result", run: appendResult,
		why: "the caller goes on from the version that the result gives",
	},
	{
		name: "append/versions", run: appendVersions,
		why: "P2: versions in a stream are 1, 2, 3 without gaps, however the events were batched",
	},
	{
		name: "append/visible-at-once", run: appendVisible,
		why: "P1: once an append has returned, every kind of read returns its events",
	},
	{
		name: "append/all-or-nothing", run: appendAllOrNothing,
		why: "P1: an append is all or nothing; one bad event at the end takes the others with it",
	},
	{
		name: "append/conflict-error", run: appendConflictError,
		why: "a caller decides what to do next by the version that was found",
	},
	{
		name: "append/deleted-error", run: appendDeletedError,
		why: "a caller must be able to tell a deleted stream from a conflict, which it could retry",
	},
	{
		name: "append/twice-in-a-batch", run: appendTwiceInBatch,
		why: "an id names one event in the whole store",
	},
	{
		name: "append/known-id", run: appendKnownID,
		why: "an id names one event in the whole store, and the error says which one was there",
	},
	{
		name: "append/slices-are-not-kept", run: appendSlices,
		why: "the caller may use its buffers again; recorded events never change",
	},
	{
		name: "append/similar-names", run: appendSimilarNames,
		why: "names are bytes: nothing folds case, trims blanks or normalizes, so that no two streams run into one",
	},
	{
		name: "append/large", run: appendLarge, deadline: longDeadline,
		why: "P1, P2: an append has no size at which it stops being one append",
	},
	{
		name: "append/large-all-or-nothing", run: appendLargeAllOrNothing, deadline: longDeadline,
		why: "P1: an append that is sent in several parts is still all or nothing",
	},
}

func appendResult(f *fixture) {
	res := f.append("s", store.NoStream, events(3)...)
	assert.Equal(f, store.AppendResult{Stream: "s", First: 1, Last: 3}, res, "new stream")
	res = f.append("s", store.Version(3), events(1)...)
	assert.Equal(f, store.AppendResult{Stream: "s", First: 4, Last: 4}, res, "one event")
	res = f.append("s", store.Any, named(2)...)
	assert.Equal(f, store.AppendResult{Stream: "s", First: 5, Last: 6}, res, "events with ids")
	res = f.append("other", store.Any, events(1)...)
	assert.Equal(f, store.AppendResult{Stream: "other", First: 1, Last: 1}, res, "another stream")
}

func appendVersions(f *fixture) {
	total := 0
	for i, n := range []int{1, 2, 5, 1, 3} {
		f.append("s", store.Version(int64(total)), events(n)...)
		f.append(fmt.Sprint("other ", i), store.NoStream, events(n)...)
		total += n
	}
	got := f.read("s", nil)
	assert.Equal(f, span(1, 12), numbers(got))
	for i, e := range got {
		assert.Equal(f, int64(i+1), e.Version)
		assert.Equal(f, "s", e.Stream)
	}
	assert.Equal(f, int64(12), f.info("s").Version)
}

func appendVisible(f *fixture) {
	list := named(2)
	f.append("s", store.NoStream, list...)
	got := f.read("s", nil)
	require.Equal(f, idsOf(list), store.IDs(got...))
	assert.Equal(f, int64(2), f.info("s").Version)
	e, err := f.es.Event(f.ctx, list[1].ID)
	require.NoError(f, err)
	assert.Equal(f, got[1], e)
	page, err := f.es.Streams(f.ctx, nil)
	require.NoError(f, err)
	assert.Len(f, page.Streams, 1)
	assert.Equal(f, int64(2), f.head())
	assert.Equal(f, idsOf(list), store.IDs(f.all()...))
}

func appendAllOrNothing(f *fixture) {
	known := named(1)
	f.append("s", store.NoStream, known...)
	for _, stream := range []string{"s", "new"} {
		bad := append(named(2), known...)
		_, err := f.es.Append(f.ctx, stream, store.Any, bad...)
		require.ErrorIs(f, err, store.ErrDuplicateEvent, "append to %q", stream)
		for _, e := range bad[:2] {
			_, err = f.es.Event(f.ctx, e.ID)
			assert.ErrorIs(f, err, store.ErrEventNotFound, "append to %q", stream)
		}
	}
	assert.Equal(f, int64(1), f.info("s").Version)
	_, err := f.es.StreamInfo(f.ctx, "new")
	assert.ErrorIs(f, err, store.ErrStreamNotFound)
	f.append("s", store.Version(1), events(1)...)
	assert.Equal(f, []string{"s@1", "s@2"}, origins(f.all()))
	assert.Equal(f, span(1, 2), numbers(f.all()))
}

func appendConflictError(f *fixture) {
	f.fill("s", 2)
	for _, c := range []struct {
		stream   string
		expected store.Expected
		actual   int64
	}{
		{"s", store.Version(5), 2}, {"s", store.Version(1), 2}, {"s", store.NoStream, 2}, {"s", store.Version(-7), 2},
		{"absent", store.Version(1), 0}, {"absent", store.StreamExists, 0},
	} {
		_, err := f.es.Append(f.ctx, c.stream, c.expected, events(1)...)
		var conflict *store.WrongExpectedVersionError
		require.ErrorAs(f, err, &conflict, "%s of %q", c.expected, c.stream)
		assert.Equal(f, store.WrongExpectedVersionError{Stream: c.stream, Expected: c.expected, Actual: c.actual}, *conflict)
	}
}

func appendDeletedError(f *fixture) {
	f.fill("s", 1)
	f.delete("s", store.SoftDelete)
	_, err := f.es.Append(f.ctx, "s", store.Any, events(1)...)
	var gone *store.StreamError
	require.ErrorAs(f, err, &gone)
	assert.Equal(f, "s", gone.Stream)
	assert.ErrorIs(f, err, store.ErrStreamDeleted)
	assert.NotErrorIs(f, err, store.ErrWrongExpectedVersion)
}

func appendTwiceInBatch(f *fixture) {
	list := named(3)
	list[2].ID = list[0].ID
	_, err := f.es.Append(f.ctx, "s", store.Any, list...)
	var duplicate *store.DuplicateEventError
	require.ErrorAs(f, err, &duplicate)
	assert.Equal(f, list[0].ID, duplicate.ID)
	_, err = f.es.StreamInfo(f.ctx, "s")
	assert.ErrorIs(f, err, store.ErrStreamNotFound)
}

func appendKnownID(f *fixture) {
	known := named(1)
	f.append("s", store.NoStream, known...)
	list := append(named(2), known[0])
	list[1].ID = uuid.Nil // drawn by the store
	_, err := f.es.Append(f.ctx, "other", store.Any, list...)
	var duplicate *store.DuplicateEventError
	require.ErrorAs(f, err, &duplicate)
	assert.Equal(f, store.DuplicateEventError{Stream: "other", ID: known[0].ID}, *duplicate)
	assert.Equal(f, int64(1), f.head())
}

func appendSlices(f *fixture) {
	data, metadata := []byte(`{"n":1}`), []byte(`{"m":1}`)
	r := store.AppendRequest{Stream: "s", Expected: store.NoStream, Events: []store.NewEvent{
		{ID: uuid.New(), Type: "first", Data: data, Metadata: metadata},
	}}
	id := r.Events[0].ID
	_, err := f.storage.Append(f.ctx, r)
	require.NoError(f, err)
	data[5], metadata[5] = '2', '2'
	r.Events[0] = store.NewEvent{ID: uuid.New(), Type: "second"}

	got := f.read("s", nil)
	require.Len(f, got, 1)
	assert.Equal(f, id, got[0].ID)
	assert.Equal(f, "first", got[0].Type)
	assert.JSONEq(f, `{"n":1}`, string(got[0].Data))
	assert.JSONEq(f, `{"m":1}`, string(got[0].Metadata))
}

func appendSimilarNames(f *fixture) {
	names := []string{
		"a", "A", " a", "a ", "a\t", "a\n", "ä", "a\u0308", "Ä", "а", "a%", "a_", "a'", `a"`, `a\`, "a;--", "a\u200b", "😀", "a-1", "a1", "null", "NULL",
		strings.Repeat("a", 255), strings.Repeat("a", 256),
	}
	for i, name := range names {
		f.append(name, store.NoStream, events(i+1)...)
	}
	for i, name := range names {
		got := f.read(name, nil)
		assert.Len(f, got, i+1, "stream %q", name)
		assert.Equal(f, name, got[0].Stream)
		assert.Equal(f, name, f.info(name).Stream)
	}
	seen := map[string]int{}
	for _, e := range f.all() {
		seen[e.Stream]++
	}
	for i, name := range names {
		assert.Equal(f, i+1, seen[name], "events of %q in $all", name)
	}
}

func appendLarge(f *fixture) {
	for stream, n := range sorted(map[string]int{"thousands": 2_500, "many-thousands": cmp.Or(f.largest, 12_000)}) {
		f.sub(stream, func(f *fixture) {
			f.fill(stream, 1)
			base := f.head()
			list := named(n)
			res := f.append(stream, store.Version(1), list...)
			assert.Equal(f, store.AppendResult{Stream: stream, First: 2, Last: int64(n) + 1}, res)

			want := idsOf(list)
			got := f.read(stream, &store.ReadOptions{From: 2, PageSize: max(f.PageSize, 100)})
			same(f, want, store.IDs(got...), "ids in the stream")
			same(f, span(2, int64(n)+1), numbers(got), "versions")
			assert.Contains(f, string(got[n-1].Data), fmt.Sprint(n), "data of the last event")
			got = f.read(store.All, &store.ReadOptions{From: base + 1, PageSize: max(f.PageSize, 100)})
			same(f, want, store.IDs(got...), "ids in $all")
			same(f, span(base+1, base+int64(n)), numbers(got), "positions")
		})
	}
}

func appendLargeAllOrNothing(f *fixture) {
	known := named(1)
	f.append("s", store.NoStream, known...)
	list := append(named(2_499), known...)
	for name, bad := range sorted(map[string]struct {
		stream   string
		expected store.Expected
		is       error
	}{
		"known id at the end":                 {"s", store.Any, store.ErrDuplicateEvent},
		"known id at the end of a new stream": {"new", store.Any, store.ErrDuplicateEvent},
		"conflict":                            {"s", store.Version(7), store.ErrWrongExpectedVersion},
	}) {
		_, err := f.es.Append(f.ctx, bad.stream, bad.expected, list...)
		require.ErrorIs(f, err, bad.is, name)
	}
	assert.Equal(f, int64(1), f.info("s").Version)
	_, err := f.es.StreamInfo(f.ctx, "new")
	assert.ErrorIs(f, err, store.ErrStreamNotFound)
	assert.Len(f, f.read("s", nil), 1)
	assert.Equal(f, int64(1), f.head())

	// The same ids can be written when nothing is in the way: no trace of them was left.
	f.append("new", store.NoStream, list[:2_499]...)
	assert.Equal(f, int64(2_500), f.head())
	_, err = f.es.Append(f.ctx, "late", store.Any, list[2_400:2_450]...)
	assert.ErrorIs(f, err, store.ErrDuplicateEvent)
}
