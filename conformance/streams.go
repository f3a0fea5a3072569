package conformance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var streamsCases = []testCase{
	{name: "streams/info", run: streamsInfo, why: "a stream's info is what tools and checks of a reader's progress go by"},
	{name: "streams/info-absent", run: streamsInfoAbsent, why: "an absent stream is an error that says so"},
	{name: "streams/sorted", run: streamsSorted, why: "a list has one order for each key and direction, ties broken by id, so that pages fit together"},
	{name: "streams/names-by-bytes", run: streamsNames, why: "the order of names is the same on every server, whatever its locale"},
	{name: "streams/search", run: streamsSearch, why: "a search finds what was typed, taken literally"},
	{name: "streams/status", run: streamsStatus, why: "active and deleted streams can be told apart in a list"},
	{name: "streams/by-number", run: streamsByNumber, why: "pages by number cover every stream once and say how many there are"},
	{name: "streams/by-cursor", run: streamsByCursor, why: "a cursor neither skips nor repeats a stream when others come and go"},
	{name: "streams/none", run: streamsNone, why: "an empty list is one page, not an error"},
	{name: "streams/listed", run: streamsListed, why: "the list has each stream that exists, made by an append or a link, and nothing else"},
	{name: "streams/invalid", run: streamsInvalid, why: "invalid arguments are refused, and the error names the field"},
}

func (f *fixture) list(o store.ListOptions) store.StreamPage {
	f.Helper()
	page, err := f.es.Streams(f.ctx, &o)
	require.NoError(f, err, "list %+v", o)
	return page
}

func streamNames(list []store.StreamInfo) []string {
	names := []string{}
	for _, s := range list {
		names = append(names, s.Stream)
	}
	return names
}

func streamsInfo(f *fixture) {
	f.fill("a", 3)
	f.fill("b", 1)
	a, b := f.info("a"), f.info("b")
	assert.Equal(f, "a", a.Stream)
	assert.Equal(f, int64(3), a.Version)
	assert.NotZero(f, a.ID)
	assert.NotEqual(f, a.ID, b.ID)
	assert.Equal(f, time.UTC, a.CreatedAt.Location())
	f.fill("a", 2)
	now := f.info("a")
	assert.Equal(f, int64(5), now.Version)
	now.Version = a.Version
	assert.Equal(f, a, now, "an append moves the version only")
	assert.Equal(f, []store.StreamInfo{f.info("a"), b}, f.list(store.ListOptions{}).Streams, "a list says the same")
	assert.Equal(f, store.StreamInfo{Stream: store.All, Version: 6}, f.info(store.All))
}

func streamsInfoAbsent(f *fixture) {
	f.fill("a", 1)
	info, err := f.es.StreamInfo(f.ctx, "absent")
	var missing *store.StreamError
	require.ErrorAs(f, err, &missing)
	assert.Equal(f, store.StreamError{Stream: "absent", Err: store.ErrStreamNotFound}, *missing)
	assert.Zero(f, info)
	assert.Equal(f, store.StreamInfo{Stream: store.All, Version: 1}, f.info(store.All))
}

// someStreams makes 9 streams with ties in every key but the name and id.
func (f *fixture) someStreams() {
	f.Helper()
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for i, name := range []string{"m", "c", "x", "a", "k", "b", "z", "d", "y"} {
		list := events(1 + i%3)
		for j := range list {
			list[j].CreatedAt = old.Add(-time.Duration(i%2) * time.Hour)
		}
		f.append(name, store.NoStream, list...)
	}
	for _, name := range []string{"x", "b", "m"} {
		f.delete(name, store.SoftDelete)
	}
}

// sortedBy returns the order that a list is owed.
func sortedBy(key store.SortBy, descending bool, list []store.StreamInfo) []store.StreamInfo {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b store.StreamInfo) int {
		c := 0
		switch key {
		case store.SortName:
			c = strings.Compare(a.Stream, b.Stream)
		case store.SortVersion:
			c = cmp.Compare(a.Version, b.Version)
		case store.SortCreated:
			c = a.CreatedAt.Compare(b.CreatedAt)
		case store.SortDeleted:
			c = deletion(a).Compare(deletion(b))
		}
		if c = cmp.Or(c, cmp.Compare(a.ID, b.ID)); descending {
			c = -c
		}
		return c
	})
	return list
}

// deletion is when a stream was deleted, or later than all others.
func deletion(s store.StreamInfo) time.Time {
	if s.DeletedAt.IsZero() {
		return time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return s.DeletedAt
}

func streamsSorted(f *fixture) {
	f.someStreams()
	whole := f.list(store.ListOptions{}).Streams
	require.Len(f, whole, 9)
	assert.Equal(f, sortedBy(store.SortID, false, whole), whole, "the default is by id")
	for _, key := range []store.SortBy{store.SortID, store.SortName, store.SortVersion, store.SortCreated, store.SortDeleted} {
		for _, descending := range []bool{false, true} {
			name := string(key)
			if descending {
				name += "-descending"
			}
			f.sub(name, func(f *fixture) {
				want := streamNames(sortedBy(key, descending, whole))
				for _, size := range []int{1, 2, 4, 9, 100} {
					o := store.ListOptions{SortBy: key, Descending: descending, PageSize: size}
					assert.Equal(f, want, f.byNumber(o), "by number, page size %d", size)
					assert.Equal(f, want, f.byCursor(o), "by cursor, page size %d", size)
				}
			})
		}
	}
}

// byNumber lists all streams by page number.
func (f *fixture) byNumber(o store.ListOptions) []string {
	f.Helper()
	names := []string{}
	for o.Page = 1; ; o.Page++ {
		page := f.list(o)
		names = append(names, streamNames(page.Streams)...)
		if o.Page >= page.Pages || o.Page > 100 {
			return names
		}
	}
}

// byCursor lists all streams by cursor.
func (f *fixture) byCursor(o store.ListOptions) []string {
	f.Helper()
	names := []string{}
	for range 100 {
		page := f.list(o)
		names = append(names, streamNames(page.Streams)...)
		if o.Cursor = page.Next; o.Cursor == "" {
			break
		}
	}
	return names
}

func streamsNames(f *fixture) {
	names := []string{"b", "a", "B", "A", "ab", "a b", "a-b", "a_b", "aB", "ä", "z", "é", "1", "10", "2", "日本", "~", "a\x7f"}
	for _, name := range names {
		f.append(name, store.NoStream, events(1)...)
	}
	slices.Sort(names)
	o := store.ListOptions{SortBy: store.SortName, PageSize: 5}
	assert.Equal(f, names, f.byNumber(o))
	assert.Equal(f, names, f.byCursor(o))
	slices.Reverse(names)
	o.Descending = true
	assert.Equal(f, names, f.byCursor(o))
}

func streamsSearch(f *fixture) {
	for _, name := range []string{"order-1", "order_1", "order%1", `order\1`, "Order-2", "reorder", "o'rder", "bestellung-ü", "[a]*", "a?", "日本"} {
		f.append(name, store.NoStream, events(1)...)
	}
	for search, want := range sorted(map[string][]string{
		"order":    {"order-1", "order_1", "order%1", `order\1`, "reorder"},
		"Order":    {"Order-2"},
		"ORDER":    {},
		"order-1":  {"order-1"},
		"_":        {"order_1"},
		"%":        {"order%1"},
		`\`:        {`order\1`},
		"r%1":      {"order%1"},
		"-":        {"order-1", "Order-2", "bestellung-ü"},
		"'":        {"o'rder"},
		"ü":        {"bestellung-ü"},
		"Ü":        {},
		"[a]*":     {"[a]*"},
		"*":        {"[a]*"},
		"?":        {"a?"},
		"本":        {"日本"},
		"absent":   {},
		"r-":       {"order-1", "Order-2"},
		"order-11": {},
	}) {
		f.sub("for-"+search, func(f *fixture) {
			o := store.ListOptions{StreamFilter: store.StreamFilter{Search: search}}
			page := f.list(o)
			assert.Equal(f, want, streamNames(page.Streams))
			assert.Equal(f, int64(len(want)), page.Total)
			o.PageSize, o.SortBy = 1, store.SortName
			slices.Sort(want)
			assert.Equal(f, want, f.byCursor(o))
		})
	}
}

func streamsStatus(f *fixture) {
	f.someStreams()
	for status, want := range map[store.StreamStatus][]string{
		"":            {"m", "c", "x", "a", "k", "b", "z", "d", "y"},
		store.Active:  {"c", "a", "k", "z", "d", "y"},
		store.Deleted: {"m", "x", "b"},
	} {
		o := store.ListOptions{StreamFilter: store.StreamFilter{Status: status}, PageSize: 2}
		assert.Equal(f, want, f.byCursor(o), "status %q", status)
		assert.Equal(f, int64(len(want)), f.list(o).Total)
	}
	both := store.StreamFilter{Status: store.Active, Search: "x"}
	assert.Empty(f, f.list(store.ListOptions{StreamFilter: both}).Streams)
	both.Status = store.Deleted
	assert.Equal(f, []string{"x"}, streamNames(f.list(store.ListOptions{StreamFilter: both}).Streams))
}

func streamsByNumber(f *fixture) {
	for i := range 7 {
		f.append(fmt.Sprint("s", i), store.NoStream, events(1)...)
	}
	first := f.list(store.ListOptions{PageSize: 3})
	assert.Equal(f, []string{"s0", "s1", "s2"}, streamNames(first.Streams))
	assert.Equal(f, 1, first.Page)
	assert.Equal(f, 3, first.PageSize)
	assert.Equal(f, int64(7), first.Total)
	assert.Equal(f, 3, first.Pages)
	assert.NotEmpty(f, first.Next)
	last := f.list(store.ListOptions{PageSize: 3, Page: 3})
	assert.Equal(f, []string{"s6"}, streamNames(last.Streams))
	assert.Equal(f, 3, last.Page)
	assert.Empty(f, last.Next)
	beyond := f.list(store.ListOptions{PageSize: 3, Page: 9})
	assert.Empty(f, beyond.Streams)
	assert.Equal(f, int64(7), beyond.Total)
	assert.Equal(f, 3, beyond.Pages)
	exact := f.list(store.ListOptions{PageSize: 7})
	assert.Empty(f, exact.Next)
	assert.Equal(f, 1, exact.Pages)
	assert.Equal(f, store.DefaultPageSize, f.list(store.ListOptions{}).PageSize)
}

func streamsByCursor(f *fixture) {
	for _, name := range []string{"b", "d", "f", "h"} {
		f.append(name, store.NoStream, events(2)...)
	}
	o := store.ListOptions{SortBy: store.SortName, PageSize: 2}
	page := f.list(o)
	require.Equal(f, []string{"b", "d"}, streamNames(page.Streams))
	f.append("a", store.NoStream, events(1)...)
	f.append("c", store.NoStream, events(1)...)
	f.append("e", store.NoStream, events(1)...)
	f.delete("d", store.HardDelete)
	o.Cursor = page.Next
	assert.Equal(f, []string{"e", "f", "h"}, f.byCursor(o))

	for name, other := range sorted(map[string]store.ListOptions{
		"order":     {SortBy: store.SortID},
		"direction": {SortBy: store.SortName, Descending: true},
		"search":    {SortBy: store.SortName, StreamFilter: store.StreamFilter{Search: "x"}},
		"status":    {SortBy: store.SortName, StreamFilter: store.StreamFilter{Status: store.Active}},
	}) {
		other.Cursor = page.Next
		_, err := f.es.Streams(f.ctx, &other)
		require.Error(f, err, "another %s", name)
		f.invalid(err, "cursor")
	}
}

func streamsNone(f *fixture) {
	for _, o := range []store.ListOptions{{}, {PageSize: 3}, {Page: 4}, {SortBy: store.SortDeleted}} {
		page := f.list(o)
		assert.Empty(f, page.Streams)
		assert.Empty(f, page.Next)
		assert.Zero(f, page.Total)
		assert.Equal(f, 1, page.Pages)
	}
	page, err := f.es.Streams(f.ctx, nil)
	require.NoError(f, err)
	assert.Empty(f, page.Streams)
}

func streamsListed(f *fixture) {
	f.link("links", store.NoStream, f.fill("source", 1)...)
	f.fill("gone", 1)
	f.fill("hidden", 1)
	f.delete("gone", store.HardDelete)
	f.delete("hidden", store.SoftDelete)
	_, err := f.es.Append(f.ctx, "failed", store.StreamExists, events(1)...)
	require.Error(f, err)
	assert.Equal(f, []string{"hidden", "links", "source"}, f.byNumber(store.ListOptions{SortBy: store.SortName}))
}

func streamsInvalid(f *fixture) {
	f.fill("a", 1)
	for field, list := range sorted(map[string][]store.ListOptions{
		"sort_by":   {{SortBy: "color"}, {SortBy: "name; drop table streams"}},
		"status":    {{StreamFilter: store.StreamFilter{Status: "gone"}}},
		"page_size": {{PageSize: -1}, {PageSize: store.MaxPageSize + 1}},
		"page":      {{Page: -1}},
		"cursor":    {{Cursor: "no cursor"}, {Cursor: "bm8"}},
		"search": {
			{StreamFilter: store.StreamFilter{Search: "a\x00"}},
			{StreamFilter: store.StreamFilter{Search: "\xff"}},
			{StreamFilter: store.StreamFilter{Search: strings.Repeat("a", store.MaxStreamName+1)}},
		},
	}) {
		f.sub(field, func(f *fixture) {
			for _, o := range list {
				_, err := f.es.Streams(f.ctx, &o)
				f.invalid(err, field)
			}
		})
	}
}
