package conformance

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var readCases = []testCase{
	{name: "read/ranges", run: readRanges, why: "a read gives exactly the events between its bounds, in its direction, whatever the page size"},
	{name: "read/backward-pages", run: readBackwardPages, why: "a program that pages backward by the last number it got ends at the first event, and does not start over"},
	{name: "read/page", run: readPage, why: "a page is at most as large as was asked for, and shorter only at the end of the stream"},
	{name: "read/after", run: readAfter, why: "a reader goes on behind its checkpoint"},
	{name: "read/after-lost", run: readAfterLost, why: "P9: a reader that has seen more than the store has must stop, not wait for the numbers to come round again"},
	{name: "read/absent", run: readAbsent, why: "an absent stream is not an empty one"},
	{name: "read/soft-deleted", run: readSoftDeleted, why: "a soft-deleted stream is hidden from every read of it"},
	{name: "read/missing-numbers", run: readMissingNumbers, why: "numbers that a hard delete left unused are passed over; a short page still means the end"},
	{name: "read/emptied", run: readEmptied, why: "a stream whose events were all hard deleted exists, and is empty"},
	{name: "read/again", run: readAgain, why: "ranging again starts again, and leaving a range early leaves nothing behind"},
	{name: "read/kept", run: readKept, why: "an event that a reader keeps stays as it was, whatever is read after it"},
	{name: "read/grows", run: readGrows, why: "a read is not one snapshot: what was appended while it ran may be read at its end, once"},
	{name: "read/calls-while-reading", run: readCalls, why: "no connection is held while the caller's code runs, so that it can use the store"},
	{name: "read/invalid", run: readInvalid, why: "invalid arguments are refused, and the error names the field"},
}

// pageSizes are tried wherever pages could be put together wrongly.
var pageSizes = []int{1, 2, 3, 7, 10, 11, store.MaxPageSize}

// window is a read and the numbers it must give of ten events.
type window struct {
	name string
	opts store.ReadOptions
	want []int64
}

var windows = []window{
	{"default", store.ReadOptions{}, span(1, 10)},
	{"from-1", store.ReadOptions{From: 1}, span(1, 10)},
	{"from-4", store.ReadOptions{From: 4}, span(4, 10)},
	{"from-last", store.ReadOptions{From: 10}, []int64{10}},
	{"from-beyond", store.ReadOptions{From: 11}, nil},
	{"from-far-beyond", store.ReadOptions{From: math.MaxInt64}, nil},
	{"limit", store.ReadOptions{Limit: 3}, span(1, 3)},
	{"limit-1", store.ReadOptions{Limit: 1}, []int64{1}},
	{"limit-beyond", store.ReadOptions{Limit: 100}, span(1, 10)},
	{"from-and-limit", store.ReadOptions{From: 4, Limit: 4}, span(4, 7)},
	{"backward", store.ReadOptions{Backward: true}, span(10, 1)},
	{"backward-end", store.ReadOptions{Backward: true, Before: store.End}, span(10, 1)},
	{"backward-before", store.ReadOptions{Backward: true, Before: 5}, span(4, 1)},
	{"backward-before-2", store.ReadOptions{Backward: true, Before: 2}, []int64{1}},
	{"backward-before-1", store.ReadOptions{Backward: true, Before: 1}, nil},
	{"backward-before-beyond", store.ReadOptions{Backward: true, Before: 99}, span(10, 1)},
	{"backward-limit", store.ReadOptions{Backward: true, Limit: 3}, span(10, 8)},
	{"backward-before-and-limit", store.ReadOptions{Backward: true, Before: 8, Limit: 4}, span(7, 4)},
}

// readWindows reads all windows of a stream that has events 1 to 10, or of $all.
func readWindows(f *fixture, stream string) {
	whole := f.read(stream, &store.ReadOptions{PageSize: 1000})
	require.Equal(f, span(1, 10), numbers(whole))
	for _, w := range windows {
		f.sub(w.name, func(f *fixture) {
			for _, size := range pageSizes {
				o := w.opts
				o.PageSize = size
				got := f.read(stream, &o)
				assert.ElementsMatch(f, w.want, numbers(got), "page size %d", size)
				for i, e := range got {
					assert.Equal(f, w.want[i], e.Number, "page size %d, event %d", size, i)
					assert.Equal(f, whole[e.Number-1], e, "page size %d, event %d", size, i)
				}
			}
		})
	}
}

func readRanges(f *fixture) {
	f.fill("other", 3)
	f.fill("s", 4)
	f.fill("other", 3)
	f.fill("s", 6)
	readWindows(f, "s")
}

// readBackwardPages pages backward to the end, each page below the last event of the one before.
func readBackwardPages(f *fixture) {
	f.fill("s", 7)
	for _, stream := range []string{"s", store.All} {
		for _, size := range []int{1, 2, 3, 7, 8} {
			var got []int64
			for before := int64(store.End); ; {
				page, err := f.es.Page(f.ctx, stream, &store.ReadOptions{Backward: true, Before: before, PageSize: size})
				require.NoError(f, err)
				if len(page) == 0 {
					break
				}
				got = append(got, numbers(page)...)
				before = page[len(page)-1].Number
				require.LessOrEqual(f, len(got), 7, "%q started over", stream)
			}
			assert.Equal(f, span(7, 1), got, "%q in pages of %d", stream, size)
		}
	}
	last := &store.ReadOptions{Backward: true, Before: 1}
	_, err := f.es.Page(f.ctx, "absent", last)
	require.ErrorIs(f, err, store.ErrStreamNotFound)
	f.delete("s", store.SoftDelete)
	_, err = collect(f, f.es.Stream(f.ctx, "s", last))
	assert.ErrorIs(f, err, store.ErrStreamDeleted)
}

func readPage(f *fixture) {
	f.fill("s", 5)
	for _, stream := range []string{"s", store.All} {
		for _, p := range []struct {
			opts store.ReadOptions
			want []int64
		}{
			{store.ReadOptions{PageSize: 3}, span(1, 3)},
			{store.ReadOptions{PageSize: 3, From: 4}, span(4, 5)},
			{store.ReadOptions{PageSize: 5}, span(1, 5)},
			{store.ReadOptions{PageSize: 5, From: 6}, nil},
			{store.ReadOptions{PageSize: 3, Limit: 2}, span(1, 2)},
			{store.ReadOptions{PageSize: 2, Limit: 4}, span(1, 2)},
			{store.ReadOptions{PageSize: 2, Backward: true}, span(5, 4)},
			{store.ReadOptions{PageSize: 2, Backward: true, Before: 4}, span(3, 2)},
			{store.ReadOptions{PageSize: 2, Backward: true, Before: 2}, []int64{1}},
			{store.ReadOptions{PageSize: 2, Backward: true, Before: 1}, nil},
			{store.ReadOptions{PageSize: 2, After: 3}, span(4, 5)},
			{store.ReadOptions{}, span(1, 5)},
		} {
			got, err := f.es.Page(f.ctx, stream, &p.opts)
			require.NoError(f, err)
			assert.ElementsMatch(f, p.want, numbers(got), "%q %+v", stream, p.opts)
		}
	}
	got, err := f.es.Page(f.ctx, "s", nil)
	require.NoError(f, err)
	assert.Len(f, got, 5)
}

func readAfter(f *fixture) {
	f.fill("s", 5)
	for _, stream := range []string{"s", store.All} {
		assert.Equal(f, span(3, 5), numbers(f.read(stream, &store.ReadOptions{After: 2})), stream)
		assert.Equal(f, span(2, 3), numbers(f.read(stream, &store.ReadOptions{After: 1, Limit: 2, PageSize: 1})), stream)
		assert.Empty(f, f.read(stream, &store.ReadOptions{After: 5}), stream)
	}
}

func readAfterLost(f *fixture) {
	f.fill("s", 2)
	f.fill("other", 1)
	for stream, head := range sorted(map[string]int64{"s": 2, store.All: 3}) {
		for _, after := range []int64{head + 1, math.MaxInt64 - 1} {
			got, err := collect(f, f.es.Stream(f.ctx, stream, &store.ReadOptions{After: after}))
			assert.Empty(f, got)
			var lost *store.PositionLostError
			require.ErrorAs(f, err, &lost, "%q after %d", stream, after)
			assert.Equal(f, store.PositionLostError{Stream: stream, After: after, Head: head}, *lost)
			_, err = f.es.Page(f.ctx, stream, &store.ReadOptions{After: after})
			assert.ErrorIs(f, err, store.ErrPositionLost)
		}
	}
	_, err := f.es.Page(f.ctx, "absent", &store.ReadOptions{After: 1})
	assert.ErrorIs(f, err, store.ErrStreamNotFound)
	f.delete("s", store.SoftDelete)
	_, err = f.es.Page(f.ctx, "s", &store.ReadOptions{After: 9})
	assert.ErrorIs(f, err, store.ErrStreamDeleted)
}

// hidden checks that every read of a stream gives the error.
func (f *fixture) hidden(stream string, is error) {
	f.Helper()
	for _, o := range []*store.ReadOptions{nil, {From: 2}, {From: 99}, {Backward: true}, {After: 1}, {Limit: 1}} {
		got, err := collect(f, f.es.Stream(f.ctx, stream, o))
		assert.Empty(f, got, "%+v", o)
		assert.ErrorIs(f, err, is, "%+v", o)
		got, err = f.es.Page(f.ctx, stream, o)
		assert.Empty(f, got, "%+v", o)
		var named *store.StreamError
		require.ErrorAs(f, err, &named, "%+v", o)
		assert.Equal(f, store.StreamError{Stream: stream, Err: is}, *named)
	}
}

func readAbsent(f *fixture) {
	f.fill("s", 1)
	f.hidden("absent", store.ErrStreamNotFound)
}

func readSoftDeleted(f *fixture) {
	f.fill("s", 3)
	f.delete("s", store.SoftDelete)
	f.hidden("s", store.ErrStreamDeleted)
}

func readMissingNumbers(f *fixture) {
	keep, gone := f.fill("keep", 4), f.fill("gone", 5)
	f.link("links", store.NoStream, gone[0], keep[0], gone[1], gone[2], gone[3], keep[1], keep[2], gone[4], keep[3])
	f.delete("gone", store.HardDelete)
	want := []int64{2, 6, 7, 9}
	for _, size := range pageSizes {
		got := f.read("links", &store.ReadOptions{PageSize: size})
		require.Equal(f, want, numbers(got), "page size %d", size)
		assert.Equal(f, store.IDs(keep...), store.IDs(got...))
		got = f.read("links", &store.ReadOptions{PageSize: size, Backward: true})
		require.Equal(f, []int64{9, 7, 6, 2}, numbers(got), "backward, page size %d", size)
		got = f.read("links", &store.ReadOptions{PageSize: size, From: 3, Limit: 2})
		require.Equal(f, []int64{6, 7}, numbers(got), "from 3, page size %d", size)
		got = f.read("links", &store.ReadOptions{PageSize: size, Before: 6, Backward: true})
		require.Equal(f, []int64{2}, numbers(got), "backward before 6, page size %d", size)
	}
	page, err := f.es.Page(f.ctx, "links", &store.ReadOptions{PageSize: 3})
	require.NoError(f, err)
	assert.Equal(f, []int64{2, 6, 7}, numbers(page), "a page is full in spite of missing numbers")
}

func readEmptied(f *fixture) {
	f.link("links", store.NoStream, f.fill("gone", 3)...)
	f.delete("gone", store.HardDelete)
	assert.Empty(f, f.read("links", nil))
	assert.Empty(f, f.read("links", &store.ReadOptions{Backward: true}))
	assert.Empty(f, f.read("links", &store.ReadOptions{After: 3}))
	assert.Empty(f, f.all())
	assert.Equal(f, int64(3), f.info("links").Version)
}

func readAgain(f *fixture) {
	f.fill("s", 5)
	for _, stream := range []string{"s", store.All} {
		seq := f.es.Stream(f.ctx, stream, &store.ReadOptions{PageSize: 2, Limit: 4})
		for range 2 {
			for e, err := range seq {
				require.NoError(f, err)
				if e.Number == 3 {
					break
				}
			}
			got, err := collect(f, seq)
			require.NoError(f, err)
			assert.Equal(f, span(1, 4), numbers(got), stream)
		}
	}
}

func readKept(f *fixture) {
	f.fill("s", 600)
	for _, stream := range []string{"s", store.All} {
		var kept, copies []store.Recorded
		for range 3 {
			for e, err := range f.es.Stream(f.ctx, stream, &store.ReadOptions{PageSize: 200}) {
				require.NoError(f, err)
				kept = append(kept, e)
				e.Stream, e.Type = strings.Clone(e.Stream), strings.Clone(e.Type)
				e.Data, e.Metadata = bytes.Clone(e.Data), bytes.Clone(e.Metadata)
				copies = append(copies, e)
			}
		}
		for i := range kept { // the whole lists would take minutes to be compared for a message
			if !assert.Equal(f, copies[i], kept[i], "%s, event %d", stream, i) {
				break
			}
		}
	}
}

func readGrows(f *fixture) {
	for _, size := range []int{1, 2} {
		stream := fmt.Sprint("s", size)
		f.fill(stream, 3)
		var got []int64
		for e, err := range f.es.Stream(f.ctx, stream, &store.ReadOptions{PageSize: size, Limit: 6}) {
			require.NoError(f, err)
			got = append(got, e.Number)
			if e.Number < 3 {
				f.append(stream, store.Any, events(1)...)
			}
		}
		// A page that is shorter than its size ends the read, so not all that came is owed.
		assert.Equal(f, span(1, int64(len(got))), got)
		assert.GreaterOrEqual(f, len(got), 3)
		assert.Equal(f, span(1, 5), numbers(f.read(stream, nil)))
	}
}

func readCalls(f *fixture) {
	f.fill("s", 4)
	for _, stream := range []string{"s", store.All} {
		copied := "copy of " + stream
		for e, err := range f.es.Stream(f.ctx, stream, &store.ReadOptions{PageSize: 2, Limit: 4}) {
			require.NoError(f, err)
			f.link(copied, store.Any, e)
			f.append("seen "+stream, store.Any, events(1)...)
			for inner, err := range f.es.Stream(f.ctx, "s", &store.ReadOptions{PageSize: 1}) {
				require.NoError(f, err)
				found, err := f.es.Event(f.ctx, inner.ID)
				require.NoError(f, err)
				assert.Equal(f, inner.ID, found.ID)
			}
			assert.Equal(f, e.Number, f.info(copied).Version)
		}
		assert.Len(f, f.read(copied, nil), 4)
		assert.Len(f, f.read("seen "+stream, nil), 4)
	}
}

func readInvalid(f *fixture) {
	f.fill("s", 3)
	for field, list := range sorted(map[string][]store.ReadOptions{
		"from":      {{From: -1}, {From: math.MinInt64}, {From: 1, Backward: true}, {From: 3, Backward: true, Before: 4}},
		"before":    {{Before: -1, Backward: true}, {Before: 1}, {Before: store.End}},
		"limit":     {{Limit: -1}},
		"page_size": {{PageSize: -1}, {PageSize: store.MaxPageSize + 1}},
		"after":     {{After: -1}, {After: 1, From: 1}, {After: 1, Backward: true}},
	}) {
		f.sub(field, func(f *fixture) {
			for _, o := range list {
				for _, stream := range []string{"s", store.All} {
					got, err := collect(f, f.es.Stream(f.ctx, stream, &o))
					assert.Empty(f, got)
					f.invalid(err, field)
					_, err = f.es.Page(f.ctx, stream, &o)
					f.invalid(err, field)
				}
			}
		})
	}
}

// invalid checks that err is an InvalidError that names the field.
func (f *fixture) invalid(err error, field string) {
	f.Helper()
	var invalid *store.InvalidError
	require.ErrorAs(f, err, &invalid)
	assert.ErrorIs(f, err, store.ErrInvalid)
	assert.Equal(f, field, invalid.Field)
	assert.NotEmpty(f, invalid.Reason)
}
