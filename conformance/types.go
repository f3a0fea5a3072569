package conformance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var typeCases = []testCase{
	{name: "types/list", run: typesList, why: "counts, positions and times of types are those that a reader of all events finds"},
	{name: "types/index", tx: noTx, run: typesIndex, deadline: longDeadline, why: "a read that an index of types serves returns what a read of all events would"},
	{name: "types/late", tx: writersBesideTx, run: typesLate, why: "the first and the last event of a type are those of the global order, also if one committed late"},
}

// counted checks that types are listed as a reader of all events counts them.
func (f *fixture) counted() []store.TypeInfo {
	f.Helper()
	byType := map[string]store.TypeInfo{}
	for _, e := range f.all() {
		t, known := byType[e.Type]
		if !known {
			t = store.TypeInfo{Type: e.Type, First: e.Number, FirstAt: e.CreatedAt}
		}
		t.Events, t.Last, t.LastAt = t.Events+1, e.Number, e.CreatedAt
		byType[e.Type] = t
	}
	want := []store.TypeInfo{}
	for _, t := range sorted(byType) {
		want = append(want, t)
	}
	slices.SortStableFunc(want, func(a, b store.TypeInfo) int { return cmp.Compare(b.Events, a.Events) })
	got, err := f.es.Types(f.ctx)
	require.NoError(f, err)
	assert.Equal(f, want, append([]store.TypeInfo{}, got...))
	return got
}

func typesList(f *fixture) {
	assert.Empty(f, f.counted())
	f.typed("odd", oddTypes...)
	f.typed("odd", oddTypes...)
	for i := range 30 {
		f.typed(fmt.Sprint("s", i%3), strings.Split("a b a c", " ")[:1+i%4]...)
	}
	f.typed("gone", "a", "first and last", "a")
	f.typed("soft", "soft", "a")
	f.link("links", store.Any, f.read("s1", nil)...)
	list := f.counted()
	assert.Equal(f, "a", list[0].Type)
	f.delete("soft", store.SoftDelete)
	f.delete("gone", store.HardDelete)
	assert.Len(f, f.counted(), len(list)-1)
	f.delete("s0", store.HardDelete)
	f.counted()
	f.typed("s1", "new")
	f.counted()
	es := f.open(nil)
	require.NoError(f, es.Close())
	_, err := es.Types(f.ctx)
	assert.ErrorIs(f, err, store.ErrClosed)
}

func typesLate(f *fixture) {
	f.typed("s", "a")
	tx := f.begin()
	f.in(tx).typed("late", "late", "a", "b")
	f.typed("s", "b", "c")
	assert.Len(f, f.counted(), 3, "what is open does not count")
	f.typed("s", "c", "a")
	require.NoError(f, tx.Commit())
	f.typed("t", "c")
	assert.Len(f, f.counted(), 4)
}

// typesIndex compares what the index finds with what a read of all events finds: page by page, and through a Store where the events stand so
// far apart that it asks the index.
func typesIndex(f *fixture) {
	index, ok := f.storage.(store.TypeIndex)
	if !ok {
		f.counts.add(0, 1)
		f.Skip("excused: the backend has no index of types: it is no store.TypeIndex")
	}
	f.typed("order-1", "rare", "paid", "rare")
	f.sized("order-2", mixed...)
	request := store.TypedRequest{Types: []string{"rare"}, From: 1, Limit: 10}
	part, err := index.ReadTyped(f.ctx, request)
	require.NoError(f, err)
	if maker, ok := f.storage.(interface{ IndexTypes(context.Context) error }); ok {
		require.Equal(f, store.TypedPart{Unsuited: true}, part, "nobody has asked for an index")
		require.NoError(f, maker.IndexTypes(f.ctx))
		require.NoError(f, maker.IndexTypes(f.ctx), "it is there")
	}
	f.typed("gone", "rare", "paid")
	f.typed("soft", "rare")
	f.typed("order-1", "rare")
	f.link("links", store.Any, f.read("order-1", nil)...)
	f.delete("gone", store.HardDelete)
	f.delete("soft", store.SoftDelete)
	f.head()
	filters := []store.EventFilter{
		{Types: []string{"rare"}}, {Types: []string{"paid", "rare"}}, {Types: []string{"none"}}, {Types: []string{"rare"}, StreamPrefix: "order-"},
		{Types: []string{"rare"}, StreamPrefix: "none"}, {Types: []string{"t0", "t1", "t2"}}, {Types: []string{"t1"}, StreamPrefix: "order-2"},
	}
	for _, filter := range filters {
		for _, limit := range []int{1, 3, 1000} {
			for _, bytes := range []int{0, 5_000} {
				for _, from := range []int64{1, 9, f.head() + 5} {
					for _, backward := range []bool{false, true} {
						f.indexed(index, store.TypedRequest{Types: filter.Types, StreamPrefix: filter.StreamPrefix, From: from, Backward: backward, Limit: limit, Bytes: bytes})
					}
				}
			}
		}
	}

	for range 11 {
		f.append("filler", store.Any, events(2_000)...)
	}
	f.typed("order-1", "rare", "paid")
	whole := f.read(store.All, &store.ReadOptions{PageSize: 5_000})
	for _, filter := range append(filters, store.EventFilter{Types: []string{"counted"}}) {
		for _, o := range []store.ReadOptions{
			{PageSize: 1_000}, {PageSize: 1, From: 2, Limit: 3}, {PageSize: 1_000, Backward: true}, {PageSize: 1, Backward: true, Limit: 2},
		} {
			var seen store.Seen
			o.Filter, o.Seen = filter, &seen
			want := chosen(filter, slices.DeleteFunc(slices.Clone(whole), func(e store.Recorded) bool { return e.Number < o.From }))
			if o.Backward {
				slices.Reverse(want)
			}
			if o.Limit > 0 {
				want = want[:min(o.Limit, len(want))]
			}
			got := f.read(store.All, &o)
			same(f, numbers(want), numbers(got), fmt.Sprintf("%+v", o))
			if o.Limit == 0 {
				assert.Equal(f, f.head(), seen.Version, "%+v", o)
			}
		}
	}
}

// indexed reads all pages by the index of types, and compares them with a read of all events.
func (f *fixture) indexed(index store.TypeIndex, r store.TypedRequest) {
	f.Helper()
	want := chosen(store.EventFilter{Types: r.Types, StreamPrefix: r.StreamPrefix}, f.raw(store.All))
	if r.Backward {
		slices.Reverse(want)
	}
	want = slices.DeleteFunc(want, func(e store.Recorded) bool {
		return e.Number < r.From && !r.Backward || e.Number > r.From && r.Backward
	})
	what := fmt.Sprintf("%+v", r)
	got := []store.Recorded{}
	for pages := 0; ; pages++ {
		part, err := index.ReadTyped(f.ctx, r)
		require.NoError(f, err, what)
		require.False(f, part.Unsuited, what)
		require.LessOrEqual(f, len(part.Events), r.Limit, what)
		require.Less(f, pages, 200, what)
		if r.Bytes > 0 && len(part.Events) > 1 {
			require.LessOrEqual(f, bytesOf(part.Events), r.Bytes, what)
		}
		got = append(got, part.Events...)
		for _, e := range part.Events {
			require.True(f, !r.Backward && e.Number >= r.From && e.Number < part.Next || r.Backward && e.Number <= r.From && e.Number > part.Next, what)
		}
		if part.Rest == nil {
			end := max(r.From, f.head()+1)
			if r.Backward {
				end = 0
			}
			require.Equal(f, end, part.Next, what)
			break
		}
		r.From, r.Rest = part.Next, part.Rest
	}
	require.Equal(f, numbers(want), numbers(got), what)
	for i := range want {
		require.Equal(f, want[i], got[i], what)
	}
}
