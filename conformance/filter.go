package conformance

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var filterCases = []testCase{
	{name: "filter/types", run: filterTypes, why: "a subscription gets the types it wants, and no others"},
	{name: "filter/many-types", run: filterManyTypes, why: "a filter takes any number of types"},
	{name: "filter/prefix", run: filterPrefix, why: "a prefix is taken literally, byte by byte"},
	{name: "filter/both", run: filterBoth, why: "a type and a prefix are both to match"},
	{name: "filter/nothing-chosen", run: filterNone, why: "a subscription passes over what it does not want, to the end"},
	{name: "filter/everything", run: filterEverything, why: "a filter that wants all reads as if there were none"},
	{name: "filter/next", run: filterNext, why: "a page never skips or repeats, whatever its size, and wherever it begins"},
	{name: "filter/long", run: filterLong, deadline: longDeadline, why: "matches that are far apart are all found, through pages that have none"},
	{name: "filter/hard-deleted", run: filterHardDeleted, why: "numbers that no event has any more are passed over, also at the end"},
	{name: "filter/links", run: filterLinks, why: "an event that is linked to a stream is judged by its own type and its own stream's name"},
	{name: "filter/links-hard-deleted", run: filterLinksDeleted, why: "links whose events are gone are passed over"},
	{name: "filter/missing", run: filterMissing, why: "a stream that can't be read says so, filtered or not"},
	{name: "filter/end", run: filterEnd, why: "a reader at the end stays there, and misses nothing that is appended later"},
	{name: "filter/ends", run: filterEnds, why: "P9: the first and last event of a page show that two pages follow each other, whatever lies between"},
	{name: "filter/cancelled", run: filterCancelled, why: "a read that was broken off is not the end"},
	{name: "filter/stream-versions", run: filterVersions, why: "a process with many subscriptions looks at all their streams at once"},
}

// typed appends an event of each type.
func (f *fixture) typed(stream string, types ...string) {
	f.Helper()
	list := events(len(types))
	for i := range list {
		list[i].Type = types[i]
	}
	f.append(stream, store.Any, list...)
}

// raw reads a stream to its end as the storage gives it.
func (f *fixture) raw(stream string) (list []store.Recorded) {
	f.Helper()
	const size = 1000
	for from := int64(1); ; {
		part, err := readPart(f.ctx, f.storage, store.ReadRequest{Stream: stream, From: from, Limit: size})
		require.NoError(f, err)
		page := part.Events
		list = append(list, page...)
		if len(page) < size {
			return list
		}
		from = page[size-1].Number + 1
	}
}

// readPart reads a page of a stream, or of all events.
func readPart(ctx context.Context, s store.Storage, r store.ReadRequest) (store.Part, error) {
	if r.Stream == store.All {
		return s.ReadAll(ctx, r)
	}
	page, err := s.ReadStream(ctx, r)
	return page.Part, err
}

// end is the number behind the last of a stream.
func (f *fixture) end(stream string) int64 {
	f.Helper()
	if stream == store.All {
		return f.head() + 1
	}
	return f.info(stream).Version + 1
}

// walk reads filtered pages to the end, and checks what each says of itself. It returns the events, and the number
// that it stopped at.
func (f *fixture) walk(s store.SubscriptionStorage, r store.ReadRequest, filter store.EventFilter) (list []store.Recorded, end int64) {
	f.Helper()
	for from := r.From; ; {
		r.From = from
		page, next, err := s.ReadFiltered(f.ctx, r, filter)
		require.NoError(f, err)
		require.LessOrEqual(f, len(page), r.Limit, "events in a page")
		if r.Bytes > 0 && len(page) > 1 {
			require.LessOrEqual(f, bytesOf(page), r.Bytes, "bytes in a page")
		}
		for i, e := range page {
			require.True(f, e.Number >= from && e.Number < next, "number %d in a page from %d, next %d", e.Number, from, next)
			require.True(f, i == 0 || page[i-1].Number < e.Number, "a page is in order")
			atEnd := !r.ChosenOnly && (e.Number == from || e.Number == next-1)
			require.True(f, filter.Matches(&e) || atEnd, "number %d is not chosen, and at no end of a page", e.Number)
		}
		list = append(list, chosen(filter, page)...)
		if next == from {
			return list, from
		}
		require.Greater(f, next, from)
		from = next
	}
}

// walkBack is walk downwards, to the start.
func (f *fixture) walkBack(s store.SubscriptionStorage, r store.ReadRequest, filter store.EventFilter) (list []store.Recorded) {
	f.Helper()
	r.Backward, r.ChosenOnly = true, true
	for r.From > 0 {
		page, next, err := s.ReadFiltered(f.ctx, r, filter)
		require.NoError(f, err)
		require.LessOrEqual(f, len(page), r.Limit, "events in a page")
		if r.Bytes > 0 && len(page) > 1 {
			require.LessOrEqual(f, bytesOf(page), r.Bytes, "bytes in a page")
		}
		require.Less(f, next, r.From)
		for i, e := range page {
			require.True(f, e.Number <= r.From && e.Number > next, "number %d in a page down from %d, next %d", e.Number, r.From, next)
			require.True(f, i == 0 || page[i-1].Number > e.Number, "a page is in order")
			require.True(f, filter.Matches(&e), "number %d is not chosen", e.Number)
		}
		list = append(list, page...)
		r.From = next
	}
	return list
}

// bytesOf returns how many bytes events have.
func bytesOf(list []store.Recorded) (n int) {
	for _, e := range list {
		n += len(e.Data) + len(e.Metadata)
	}
	return n
}

// filtered checks that a filter chooses of a stream what it should, with pages of several sizes.
func (f *fixture) filtered(stream string, filter store.EventFilter, limits ...int) {
	f.Helper()
	s := f.keeper()
	want := chosen(filter, f.raw(stream))
	if len(limits) == 0 {
		limits = []int{1, 2, 3, 1000}
	}
	for _, limit := range limits {
		got, end := f.walk(s, store.ReadRequest{Stream: stream, From: 1, Limit: limit}, filter)
		what := fmt.Sprintf("%+q of %q, pages of %d", filter, stream, limit)
		require.Equal(f, numbers(want), numbers(got), what)
		for i := range want {
			require.Equal(f, want[i], got[i], what)
		}
		require.Equal(f, f.end(stream), end, "the end, %s", what)
		again, end := f.walk(s, store.ReadRequest{Stream: stream, From: 1, Limit: limit, ChosenOnly: true}, filter)
		require.Equal(f, got, again, "chosen events only, %s", what)
		require.Equal(f, f.end(stream), end, "the end, chosen events only, %s", what)
		back := f.walkBack(s, store.ReadRequest{Stream: stream, From: math.MaxInt64, Limit: limit}, filter)
		slices.Reverse(back)
		require.Equal(f, numbers(got), numbers(back), "backward, %s", what)
		for i := range back {
			require.Equal(f, got[i], back[i], "backward, %s", what)
		}
	}
}

// chosen returns those events of list that a filter chooses.
func chosen(filter store.EventFilter, list []store.Recorded) []store.Recorded {
	return slices.DeleteFunc(slices.Clone(list), func(e store.Recorded) bool {
		wanted := len(filter.Types) == 0 || slices.Contains(filter.Types, e.Type)
		return !wanted || !strings.HasPrefix(e.Stream, filter.StreamPrefix)
	})
}

// oddTypes are types that a filter could take for something else.
var oddTypes = []string{"a", "A", "a%", "%", "_", "a_", `a\`, `"a"`, "a,b", "{a}", "null", "NULL", "ä", "a\u0308", "日本", "it's"}

func filterTypes(f *fixture) {
	f.keeper()
	f.typed("s", oddTypes...)
	f.typed("t", append(slices.Clone(oddTypes), oddTypes...)...)
	for _, stream := range []string{store.All, "t"} {
		for i, name := range oddTypes {
			f.filtered(stream, store.EventFilter{Types: []string{name}}, 3)
			f.filtered(stream, store.EventFilter{Types: []string{name, oddTypes[(i+5)%len(oddTypes)], "none"}}, 1, 1000)
		}
		f.filtered(stream, store.EventFilter{Types: []string{"a", "a"}})
		f.filtered(stream, store.EventFilter{Types: []string{"b"}})
	}
}

func filterManyTypes(f *fixture) {
	f.keeper()
	list := make([]string, 1000)
	for i := range list {
		list[i] = fmt.Sprint("type", i)
	}
	f.typed("s", list...)
	f.filtered(store.All, store.EventFilter{Types: list[100:900]}, 70, 1000)
	f.filtered("s", store.EventFilter{Types: list[100:900]}, 70, 1000)
}

func filterPrefix(f *fixture) {
	f.keeper()
	names := []string{
		"a", "A", "ab", "a%", "a%b", "a_b", "aXb", `a\`, `a\b`, `a\\b`, "a*", "a[b]", "a'b", `a"b`, "ä", "äb", "a\u0308b", "é", "日本", "日記",
		"b", "\u007f", "\u0080", "\u00ff", "\uffff", "\U0010ffff", "\U0010ffff\U0010ffff", "z\U0010ffff", "z\U0010fffe", "zz",
	}
	for i, name := range names {
		f.typed(name, slices.Repeat([]string{"x"}, 1+i%2)...)
	}
	for _, name := range append(names, "a_", "", "日", "\U0010ffff\U0010fffe", strings.Repeat("a", store.MaxStreamName)) {
		f.filtered(store.All, store.EventFilter{StreamPrefix: name}, 2, 1000)
	}
	for _, stream := range []string{"a%b", "a_b", "äb", "\U0010ffff\U0010ffff"} {
		for _, prefix := range []string{"a", "a%", "a_", "A", "a_b", "a%b", "a%bc", "äb", "ä", "a\u0308", "\U0010ffff"} {
			f.filtered(stream, store.EventFilter{StreamPrefix: prefix}, 1, 1000)
		}
	}
}

func filterBoth(f *fixture) {
	f.keeper()
	for _, stream := range []string{"order-1", "order-2", "cart-1", "orders", "order-1"} {
		f.typed(stream, "placed", "paid", "placed", "shipped")
	}
	for _, stream := range []string{store.All, "order-1"} {
		for _, types := range [][]string{{"placed"}, {"placed", "shipped"}, {"none"}, nil} {
			for _, prefix := range []string{"order-", "order", "cart", "none", ""} {
				f.filtered(stream, store.EventFilter{Types: types, StreamPrefix: prefix})
			}
		}
	}
}

func filterNone(f *fixture) {
	s := f.keeper()
	f.fill("s", 50)
	for _, stream := range []string{store.All, "s"} {
		for _, filter := range []store.EventFilter{{Types: []string{"none"}}, {StreamPrefix: "none"}} {
			for _, limit := range []int{1, 7, 100_000} {
				got, end := f.walk(s, store.ReadRequest{Stream: stream, From: 1, Limit: limit}, filter)
				assert.Empty(f, got)
				assert.Equal(f, int64(51), end)
			}
		}
	}
}

func filterEverything(f *fixture) {
	f.keeper()
	f.typed("s", oddTypes...)
	f.typed("t", oddTypes...)
	for _, filter := range []store.EventFilter{{}, {Types: []string{}}, {Types: oddTypes}} {
		f.filtered(store.All, filter)
		f.filtered("t", filter)
	}
}

func filterNext(f *fixture) {
	s := f.keeper()
	for i := range 25 {
		f.typed(fmt.Sprint("s", i%3), slices.Repeat([]string{fmt.Sprint("t", i%4)}, 1+i%5)...)
	}
	f.link("links", store.NoStream, f.read("s1", nil)...)
	f.typed("links", "t1", "t2", "t1")
	filters := []store.EventFilter{{}, {Types: []string{"t1"}}, {Types: []string{"t0", "t3"}, StreamPrefix: "s"}, {StreamPrefix: "s2"}, {StreamPrefix: "s1"}}
	for _, stream := range []string{store.All, "s1", "links"} {
		whole, end := f.raw(stream), f.end(stream)
		for _, filter := range filters {
			for _, limit := range []int{1, 3, 8, 50} {
				for from := int64(1); from <= end+2; from += 1 + from {
					want := chosen(filter, slices.DeleteFunc(slices.Clone(whole), func(e store.Recorded) bool { return e.Number < from }))
					got, stop := f.walk(s, store.ReadRequest{Stream: stream, From: from, Limit: limit}, filter)
					require.Equal(f, numbers(want), numbers(got), "%q from %d, pages of %d, %+v", stream, from, limit, filter)
					require.Equal(f, max(from, end), stop, "%q from %d, pages of %d, %+v", stream, from, limit, filter)
					below := chosen(filter, slices.DeleteFunc(slices.Clone(whole), func(e store.Recorded) bool { return e.Number > from }))
					slices.Reverse(below)
					got = f.walkBack(s, store.ReadRequest{Stream: stream, From: from, Limit: limit}, filter)
					require.Equal(f, numbers(below), numbers(got), "%q down from %d, pages of %d, %+v", stream, from, limit, filter)
				}
			}
		}
	}
}

func filterLong(f *fixture) {
	f.keeper()
	f.typed("s", "rare", "rare")
	f.typed("t", "rare")
	for range 4 {
		f.append("s", store.Any, events(2_700)...)
	}
	f.typed("s", "rare", "counted", "rare")
	f.typed("t", "rare")
	for _, filter := range []store.EventFilter{{Types: []string{"rare"}}, {StreamPrefix: "t"}, {StreamPrefix: "none"}} {
		f.filtered(store.All, filter, 2, 5000)
		f.filtered("s", filter, 100)
	}
	f.filtered(store.All, store.EventFilter{StreamPrefix: "s"}, 900)
}

func filterHardDeleted(f *fixture) {
	f.keeper()
	f.typed("a", "x")
	for range 3 {
		f.append("gone", store.Any, events(10)...)
	}
	f.typed("a", "y", "x")
	f.append("gone", store.Any, events(3)...)
	f.delete("gone", store.HardDelete)
	for _, filter := range []store.EventFilter{{}, {Types: []string{"x"}}, {Types: []string{"counted"}}, {StreamPrefix: "a"}, {StreamPrefix: "gone"}} {
		f.filtered(store.All, filter)
	}
	f.typed("gone", "x")
	f.filtered(store.All, store.EventFilter{StreamPrefix: "gone"})
	f.filtered("gone", store.EventFilter{Types: []string{"x"}})
}

func filterLinks(f *fixture) {
	f.keeper()
	f.typed("order-1", "placed", "paid")
	f.typed("cart-1", "placed", "dropped")
	f.typed("mixed", "placed")
	f.link("mixed", store.Any, f.read("order-1", nil)...)
	f.typed("mixed", "paid", "placed")
	f.link("mixed", store.Any, f.read("cart-1", nil)...)
	f.link("only-links", store.NoStream, append(f.read("cart-1", nil), f.read("order-1", nil)...)...)
	for _, stream := range []string{"mixed", "only-links", store.All} {
		for _, filter := range []store.EventFilter{
			{}, {Types: []string{"placed"}}, {StreamPrefix: "order-"}, {StreamPrefix: "mixed"}, {StreamPrefix: "only"},
			{Types: []string{"placed"}, StreamPrefix: "cart"}, {Types: []string{"dropped", "paid"}},
		} {
			f.filtered(stream, filter)
		}
	}
	f.delete("order-1", store.SoftDelete)
	f.filtered("mixed", store.EventFilter{StreamPrefix: "order-"})
}

func filterLinksDeleted(f *fixture) {
	s := f.keeper()
	f.typed("order-1", "placed", "paid")
	f.typed("cart-1", "placed")
	f.link("links", store.NoStream, append(f.read("cart-1", nil), f.read("order-1", nil)...)...)
	f.delete("order-1", store.HardDelete)
	f.filtered("links", store.EventFilter{Types: []string{"placed", "paid"}})
	f.filtered("links", store.EventFilter{StreamPrefix: "order"})
	f.delete("cart-1", store.HardDelete)
	got, end := f.walk(s, store.ReadRequest{Stream: "links", From: 1, Limit: 10}, store.EventFilter{Types: []string{"placed"}})
	assert.Empty(f, got)
	assert.Equal(f, int64(4), end, "its numbers stay used")
}

func filterMissing(f *fixture) {
	s := f.keeper()
	f.fill("soft", 1)
	f.fill("hard", 1)
	f.delete("soft", store.SoftDelete)
	f.delete("hard", store.HardDelete)
	for stream, is := range sorted(map[string]error{"absent": store.ErrStreamNotFound, "hard": store.ErrStreamNotFound, "soft": store.ErrStreamDeleted}) {
		for _, from := range []int64{1, 5} {
			page, _, err := s.ReadFiltered(f.ctx, store.ReadRequest{Stream: stream, From: from, Limit: 10}, store.EventFilter{Types: []string{"counted"}})
			assert.ErrorIs(f, err, is, "%s from %d", stream, from)
			assert.Empty(f, page)
		}
	}
	f.filtered(store.All, store.EventFilter{Types: []string{"counted"}})
	f.filtered(store.All, store.EventFilter{StreamPrefix: "soft"})
}

func filterEnd(f *fixture) {
	s := f.keeper()
	filter := store.EventFilter{Types: []string{"x"}}
	at := func(stream string, from int64, want ...int64) int64 {
		f.Helper()
		got, end := f.walk(s, store.ReadRequest{Stream: stream, From: from, Limit: 10}, filter)
		assert.Equal(f, append([]int64{}, want...), numbers(got))
		return end
	}
	assert.Equal(f, int64(1), at(store.All, 1), "an empty store")
	assert.Equal(f, int64(7), at(store.All, 7))
	assert.Equal(f, int64(math.MaxInt64), at(store.All, math.MaxInt64))
	f.typed("s", "x", "y")
	end := at(store.All, 1, 1) // committed before the call, and so seen by it
	assert.Equal(f, int64(3), end)
	assert.Equal(f, int64(3), at(store.All, end))
	assert.Equal(f, int64(9), at(store.All, 9), "nothing is there yet")
	for i := range int64(5) {
		f.typed("s", "y", "x")
		end = at(store.All, end, 4+2*i)
		assert.Equal(f, 5+2*i, end)
	}
	assert.Equal(f, int64(13), at("s", 1, 1, 4, 6, 8, 10, 12))
	assert.Equal(f, int64(math.MaxInt64), at("s", math.MaxInt64))
	f.typed("s", "x")
	assert.Equal(f, int64(14), at("s", 13, 13))
	assert.Equal(f, int64(14), at("s", 14))
}

func filterEnds(f *fixture) {
	s := f.keeper()
	f.typed("s", "x", "y", "y", "y", "y", "x", "y", "y")
	f.link("links", store.NoStream, f.read("s", nil)...)
	for _, stream := range []string{store.All, "s", "links"} {
		all := f.raw(stream)
		for _, limit := range []int{2, 3, 100} {
			for from := int64(1); from <= int64(len(all)); from++ {
				page, next, err := s.ReadFiltered(f.ctx, store.ReadRequest{Stream: stream, From: from, Limit: limit}, store.EventFilter{Types: []string{"x"}})
				require.NoError(f, err)
				require.NotEmpty(f, page)
				assert.Equal(f, all[from-1].ID, page[0].ID, "%q from %d: the first", stream, from)
				assert.Equal(f, all[next-2].ID, page[len(page)-1].ID, "%q from %d: the last, before %d", stream, from, next)
				assert.Equal(f, all[next-2].Data, page[len(page)-1].Data)
			}
		}
	}
}

func filterCancelled(f *fixture) {
	s := f.keeper()
	f.fill("s", 3)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	for _, stream := range []string{store.All, "s"} {
		page, next, err := s.ReadFiltered(ctx, store.ReadRequest{Stream: stream, From: 2, Limit: 10}, store.EventFilter{Types: []string{"counted"}})
		assert.ErrorIs(f, err, ctx.Err())
		assert.Empty(f, page)
		assert.Equal(f, int64(2), next)
	}
}

func filterVersions(f *fixture) {
	s := f.keeper()
	names := []string{"a", "A", "ä", "a\u0308", `"`, `\`, "'", "a,b", "{a}", "null", "NULL", "%", "_", "日本 \U0010ffff"}
	for i, name := range names {
		f.append(name, store.NoStream, events(1+i)...)
	}
	f.link("links", store.NoStream, f.read("A", nil)...)
	f.fill("soft", 2)
	f.fill("hard", 2)
	f.fill("not asked for", 2)
	f.delete("soft", store.SoftDelete)
	f.delete("hard", store.HardDelete)
	asked := append(names, "links", "soft", "hard", "absent", "a", "b")
	want := map[string]store.StreamInfo{}
	for _, name := range append(names, "links", "soft") {
		info, err := f.storage.StreamInfo(f.ctx, name)
		require.NoError(f, err)
		want[name] = info
	}
	got, err := s.StreamVersions(f.ctx, asked)
	require.NoError(f, err)
	assert.Equal(f, want, got)
	got, err = s.StreamVersions(f.ctx, nil)
	require.NoError(f, err)
	assert.Empty(f, got)

	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprint("many", i)
		if i%10 == 0 {
			f.append(many[i], store.NoStream, events(1)...)
		}
	}
	got, err = s.StreamVersions(f.ctx, many)
	require.NoError(f, err)
	assert.Len(f, got, 100)
	assert.Equal(f, int64(1), got["many990"].Version)
}
