package conformance

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// chooseCases are about [store.ReadOptions].Filter, and about what such a read says that it has seen.
var chooseCases = []testCase{
	{name: "choose/ranges", run: chooseRanges, why: "a read with a filter returns what a read without one does, less what the filter leaves out, in both directions"},
	{name: "choose/category", run: chooseCategory, why: "all streams whose names begin alike are one read"},
	{name: "choose/last", run: chooseLast, deadline: longDeadline, why: "the last event of a type is found, however far back it is"},
	{name: "choose/page", run: choosePage, why: "a page is full unless the stream ends, and pages follow each other without a gap or a repetition"},
	{name: "choose/seen", run: chooseSeen, why: "a reader goes on behind what its filter has passed, and never behind a number that is not given yet"},
	{name: "choose/expected", run: chooseExpected, why: "an append that is decided on some types of events conflicts with every event that the reader has not seen"},
	{name: "choose/bytes", run: chooseBytes, why: "pages that are bounded in bytes leave out no event that the filter chooses"},
	{name: "choose/grows", run: chooseGrows, why: "a read ends, however fast the stream grows meanwhile"},
	{name: "choose/replaced", run: chooseReplaced, why: "a filtered read returns events of one stream, or an error"},
	{name: "choose/errors", run: chooseErrors, why: "a read that can't be made says why, filtered or not"},
	{name: "choose/cancelled", tx: manyTx, run: chooseCancelled, why: "a cancelled read ends with an error, never as if nothing more was chosen"},
	{name: "choose/own-writes", tx: ownTx, run: chooseOwnWrites, why: "a filtered read in a transaction sees what the transaction wrote to the stream, and the order of all events as it was"},
	{name: "choose/late", tx: writersBesideTx, run: chooseLate, why: "P4: an event that commits late comes behind what a filtered read has passed"},
}

// choices are filters of the events that shop makes.
var choices = []store.EventFilter{
	{Types: []string{"placed"}}, {Types: []string{"paid", "dropped"}}, {Types: []string{"none"}}, {StreamPrefix: "order-"}, {StreamPrefix: "order-1"},
	{StreamPrefix: "none"}, {Types: []string{"placed", "paid"}, StreamPrefix: "order-"}, {Types: []string{"dropped"}, StreamPrefix: "order-"},
	{Types: []string{"placed", "paid", "dropped", "counted"}},
}

// shop makes orders, carts, a stream of links to them, a stream that is soft deleted, and gaps that a hard delete leaves, also at the end.
func (f *fixture) shop() {
	f.Helper()
	for i := range 4 {
		f.typed(fmt.Sprint("order-", i%3), "placed", "paid")
		f.typed("cart-1", "placed", "dropped")
		f.fill("gone", 2)
	}
	f.link("links", store.NoStream, append(f.read("order-1", nil), append(f.read("gone", nil), f.read("cart-1", nil)...)...)...)
	f.typed("links", "placed", "counted")
	f.link("links", store.Any, f.fill("gone", 2)...)
	f.delete("order-0", store.SoftDelete)
	f.delete("gone", store.HardDelete)
}

var shopStreams = []string{store.All, "order-1", "cart-1", "links"}

func chooseRanges(f *fixture) {
	f.shop()
	for _, stream := range shopStreams {
		for _, filter := range choices {
			for _, o := range []store.ReadOptions{
				{}, {From: 4}, {From: 99}, {From: math.MaxInt64}, {Limit: 1}, {Limit: 3}, {From: 3, Limit: 2}, {After: 2},
				{Backward: true}, {Backward: true, Before: 6}, {Backward: true, Before: 2}, {Backward: true, Before: 1}, {Backward: true, Before: 99}, {Backward: true, Limit: 1}, {Backward: true, Before: 8, Limit: 2},
			} {
				plain := o
				plain.Limit = 0
				want := chosen(filter, f.read(stream, &plain))
				if o.Limit > 0 {
					want = want[:min(o.Limit, len(want))]
				}
				for _, size := range []int{1, 3, 1000} {
					o.Filter, o.PageSize = filter, size
					got := f.read(stream, &o)
					require.Equal(f, numbers(want), numbers(got), "%q, %+v", stream, o)
					for i := range want {
						require.Equal(f, want[i], got[i], "%q, %+v", stream, o)
					}
				}
			}
		}
	}
}

func chooseCategory(f *fixture) {
	for i := range 30 {
		f.typed([]string{"account-7", "account-8", "accounting", "account-", "bank"}[i%5], "opened", "closed")
	}
	got := f.read(store.All, &store.ReadOptions{Filter: store.EventFilter{StreamPrefix: "account-"}})
	require.Len(f, got, 36)
	assert.True(f, inOrder(got))
	for _, e := range got {
		assert.True(f, strings.HasPrefix(e.Stream, "account-"), e.Stream)
	}
}

// chooseLast looks through more events than a page does.
func chooseLast(f *fixture) {
	f.typed("s", "rare", "other")
	for range 5 {
		f.append("s", store.Any, events(2_500)...)
	}
	f.typed("s", "other")
	for _, stream := range []string{store.All, "s"} {
		for typ, want := range sorted(map[string][]int64{"rare": {1}, "other": {12_503}, "none": {}}) {
			o := store.ReadOptions{Filter: store.EventFilter{Types: []string{typ}}, Backward: true, Limit: 1}
			assert.Equal(f, want, numbers(f.read(stream, &o)), "%q of %q", typ, stream)
			page, err := f.es.Page(f.ctx, stream, &o)
			require.NoError(f, err)
			assert.Equal(f, want, numbers(page), "%q of %q", typ, stream)
		}
		assert.Equal(f, []int64{2, 12_503}, numbers(f.read(stream, &store.ReadOptions{Filter: store.EventFilter{Types: []string{"other"}}, PageSize: 1})))
	}
}

func choosePage(f *fixture) {
	f.shop()
	for _, stream := range shopStreams {
		end := f.end(stream) - 1
		for _, filter := range choices {
			whole := chosen(filter, f.read(stream, nil))
			for _, size := range []int{1, 2, 3, 1000} {
				var got []store.Recorded
				for after, pages := int64(0), 0; ; pages++ {
					var seen store.Seen
					page, err := f.es.Page(f.ctx, stream, &store.ReadOptions{After: after, PageSize: size, Filter: filter, Seen: &seen})
					require.NoError(f, err)
					require.Less(f, pages, 100, "pages end")
					got = append(got, page...)
					if len(page) < size {
						require.Equal(f, end, seen.Version, "a page that is not full ends where %q does, %+v", stream, filter)
						break
					}
					require.Greater(f, seen.Version, after, "a page comes forward")
					after = seen.Version
				}
				require.Equal(f, numbers(whole), numbers(got), "%q, %+v, pages of %d", stream, filter, size)
				last, err := f.es.Page(f.ctx, stream, &store.ReadOptions{Backward: true, PageSize: size, Filter: filter})
				require.NoError(f, err)
				backward := slices.Clone(whole)
				slices.Reverse(backward)
				require.Equal(f, numbers(backward[:min(size, len(backward))]), numbers(last), "%q backward, %+v, pages of %d", stream, filter, size)
			}
		}
	}
}

func chooseSeen(f *fixture) {
	rare := store.EventFilter{Types: []string{"rare"}}
	covers := func(stream string, o store.ReadOptions, version int64, want ...int64) {
		f.Helper()
		id := int64(0)
		if stream != store.All {
			id = f.info(stream).ID
		}
		for _, size := range []int{0, 1, 2, 50} {
			var seen store.Seen
			o.PageSize, o.Seen = size, &seen
			assert.Equal(f, append([]int64{}, want...), numbers(f.read(stream, &o)), "%q, %+v", stream, o)
			assert.Equal(f, store.Seen{StreamID: id, Version: version}, seen, "%q, %+v", stream, o)
		}
	}
	covers(store.All, store.ReadOptions{Filter: rare}, 0)
	covers(store.All, store.ReadOptions{}, 0)
	covers(store.All, store.ReadOptions{From: 5, Filter: rare}, 0)
	f.typed("s", "a", "rare", "b", "rare", "c", "d")
	f.fill("gone", 2)
	f.delete("gone", store.HardDelete)
	for stream, end := range sorted(map[string]int64{store.All: 8, "s": 6}) {
		covers(stream, store.ReadOptions{Filter: rare}, end, 2, 4)
		covers(stream, store.ReadOptions{Filter: store.EventFilter{StreamPrefix: "none"}}, end)
		covers(stream, store.ReadOptions{Filter: rare, From: 5}, end)
		covers(stream, store.ReadOptions{Filter: rare, From: 99}, end)
		covers(stream, store.ReadOptions{Filter: rare, After: end}, end)
		covers(stream, store.ReadOptions{Filter: rare, Limit: 1}, 2, 2)
		covers(stream, store.ReadOptions{Filter: rare, Backward: true}, end, 4, 2)
		covers(stream, store.ReadOptions{Filter: rare, Backward: true, Before: 4}, 3, 2)
		covers(stream, store.ReadOptions{Filter: rare, Backward: true, Before: 99}, end, 4, 2)
		covers(stream, store.ReadOptions{Filter: rare, Backward: true, Limit: 1}, end, 4)
	}
	covers(store.All, store.ReadOptions{}, 8, span(1, 6)...)
	covers(store.All, store.ReadOptions{Limit: 3}, 3, 1, 2, 3)
	covers(store.All, store.ReadOptions{Backward: true}, 8, span(6, 1)...)
	// A reader that goes on from there gets each event once.
	got := []int64{}
	for i, after := 0, int64(0); i < 4; i++ {
		var seen store.Seen
		got = append(got, numbers(f.read(store.All, &store.ReadOptions{After: after, Filter: rare, Seen: &seen}))...)
		assert.Equal(f, f.head(), seen.Version)
		after = seen.Version
		f.typed("s", "a", "rare", "b")
	}
	assert.Equal(f, []int64{2, 4, 10, 13, 16}, got)
}

func chooseExpected(f *fixture) {
	f.typed("s", "a", "rare", "b")
	var seen store.Seen
	o := &store.ReadOptions{Filter: store.EventFilter{Types: []string{"rare"}}, Seen: &seen}
	f.read("s", o)
	assert.Equal(f, int64(4), f.append("s", seen.Expected(), events(1)...).Last)
	_, err := f.es.Append(f.ctx, "s", seen.Expected(), events(1)...)
	require.ErrorIs(f, err, store.ErrWrongExpectedVersion, "an event that the filter leaves out was appended meanwhile")
	_, err = f.es.Page(f.ctx, "s", o)
	require.NoError(f, err)
	assert.Equal(f, int64(5), f.append("s", seen.Expected(), events(1)...).Last)
	for _, err := range f.es.Stream(f.ctx, "s", o) {
		require.NoError(f, err)
		break
	}
	assert.Zero(f, seen, "a loop that is left early has seen nothing")
}

func chooseBytes(f *fixture) {
	f.sized("s", mixed...)
	f.typed("t", "rare", "other")
	f.link("links", store.NoStream, f.read("s", nil)...)
	f.sized("s", mixed...)
	f.typed("t", "rare")
	for _, filter := range []store.EventFilter{{StreamPrefix: "s"}, {StreamPrefix: "t"}, {Types: []string{"rare"}}} {
		for _, stream := range []string{"s", "links", store.All} {
			want := chosen(filter, f.read(stream, nil))
			backward := slices.Clone(want)
			slices.Reverse(backward)
			for _, bytes := range bounds {
				es := f.open(&store.Options{PageBytes: bytes})
				for _, size := range []int{0, 4} {
					for _, o := range []store.ReadOptions{{}, {Backward: true}} {
						o.Filter, o.PageSize = filter, size
						whole := want
						if o.Backward {
							whole = backward
						}
						got, err := collect(f, es.Stream(f.ctx, stream, &o))
						require.NoError(f, err)
						require.Equal(f, numbers(whole), numbers(got), "%q, pages of %d bytes, %+v", stream, bytes, o)
						for i := range whole {
							require.Equal(f, whole[i].Data, got[i].Data)
						}
					}
				}
			}
		}
	}
}

// chooseGrows appends an event for each that it reads.
func chooseGrows(f *fixture) {
	f.typed("s", slices.Repeat([]string{"wanted", "other"}, 5)...)
	for _, stream := range []string{store.All, "s"} {
		for _, appends := range []string{"wanted", "other"} {
			for _, backward := range []bool{false, true} {
				began, read := f.info("s").Version, 0
				for e, err := range f.es.Stream(f.ctx, stream, &store.ReadOptions{Filter: store.EventFilter{Types: []string{"wanted"}}, PageSize: 2, Backward: backward}) {
					require.NoError(f, err)
					if e.Number <= began {
						read++
					}
					require.Less(f, e.Number, began+100, "the read goes on for ever")
					f.typed("s", appends)
				}
				before := chosen(store.EventFilter{Types: []string{"wanted"}}, f.read("s", nil))
				before = slices.DeleteFunc(before, func(e store.Recorded) bool { return e.Number > began })
				assert.Equal(f, len(before), read, "%q, backward: %v", stream, backward)
			}
		}
	}
}

func chooseReplaced(f *fixture) {
	for i, backward := range []bool{false, true} {
		stream := fmt.Sprint("s", i)
		f.typed(stream, slices.Repeat([]string{"wanted", "other"}, 5)...)
		id := f.info(stream).ID
		o := &store.ReadOptions{Filter: store.EventFilter{Types: []string{"wanted"}}, PageSize: 2, Backward: backward, Seen: &store.Seen{Version: 9}}
		got := 0
		var failed error
		for _, err := range f.es.Stream(f.ctx, stream, o) {
			if failed = err; err != nil {
				break
			}
			if got++; got == 1 {
				f.delete(stream, store.HardDelete)
				f.typed(stream, slices.Repeat([]string{"wanted"}, 20)...)
			}
		}
		assert.ErrorIs(f, failed, store.ErrStreamReplaced)
		assert.LessOrEqual(f, got, 5)
		assert.Zero(f, *o.Seen)
		_, err := f.es.Page(f.ctx, stream, &store.ReadOptions{Filter: o.Filter, StreamID: id})
		assert.ErrorIs(f, err, store.ErrStreamReplaced)
	}
}

func chooseErrors(f *fixture) {
	f.typed("s", "x", "y")
	f.fill("soft", 1)
	f.delete("soft", store.SoftDelete)
	filter := store.EventFilter{Types: []string{"x"}}
	fails := func(stream string, o store.ReadOptions, is error) {
		f.Helper()
		o.Seen = &store.Seen{Version: 7}
		got, err := collect(f, f.es.Stream(f.ctx, stream, &o))
		assert.ErrorIs(f, err, is, "%q, %+v", stream, o)
		assert.Empty(f, got)
		_, err = f.es.Page(f.ctx, stream, &o)
		assert.ErrorIs(f, err, is, "%q, %+v", stream, o)
	}
	for _, backward := range []bool{false, true} {
		fails("absent", store.ReadOptions{Filter: filter, Backward: backward}, store.ErrStreamNotFound)
		fails("soft", store.ReadOptions{Filter: filter, Backward: backward}, store.ErrStreamDeleted)
		fails("s", store.ReadOptions{Filter: store.EventFilter{Types: []string{"x", ""}}, Backward: backward}, store.ErrInvalid)
		fails(store.All, store.ReadOptions{Filter: store.EventFilter{StreamPrefix: "a\x00"}, Backward: backward}, store.ErrInvalid)
	}
	for stream, head := range sorted(map[string]int64{store.All: 3, "s": 2}) {
		var lost *store.PositionLostError
		_, err := f.es.Page(f.ctx, stream, &store.ReadOptions{Filter: filter, After: head + 1})
		require.ErrorAs(f, err, &lost)
		assert.Equal(f, store.PositionLostError{Stream: stream, After: head + 1, Head: head}, *lost)
	}
}

func chooseCancelled(f *fixture) {
	f.typed("s", slices.Repeat([]string{"x", "y"}, 3)...)
	for _, stream := range []string{"s", store.All} {
		for _, o := range []store.ReadOptions{{PageSize: 1}, {PageSize: 2, Backward: true}, {}} {
			for _, types := range [][]string{{"x"}, {"x", "y"}} {
				o.Filter = store.EventFilter{Types: types}
				cancelAfter(f, stream, o, 2)
			}
		}
	}
}

func chooseOwnWrites(f *fixture) {
	f.typed("s", "x", "y")
	head := f.head()
	tx := f.begin()
	in := f.in(tx)
	in.typed("s", "y", "x")
	filter := store.EventFilter{Types: []string{"x"}}
	for _, backward := range []bool{false, true} {
		var seen store.Seen
		want := []int64{1, 4}
		if backward {
			want = []int64{4, 1}
		}
		assert.Equal(f, want, numbers(in.read("s", &store.ReadOptions{Filter: filter, Backward: backward, Seen: &seen})))
		assert.Equal(f, int64(4), seen.Version)
		page, err := in.es.Page(f.ctx, store.All, &store.ReadOptions{Filter: filter, Backward: backward, Limit: 5})
		require.NoError(f, err)
		assert.Subset(f, numbers(page), []int64{1})
	}
	require.NoError(f, tx.Commit())
	assert.Equal(f, []int64{1, 4}, numbers(f.read(store.All, &store.ReadOptions{Filter: filter})))
	assert.Equal(f, head+2, f.head())
}

// chooseLate has an event commit behind others whose appends began later.
func chooseLate(f *fixture) {
	filter := store.EventFilter{Types: []string{"late"}}
	var seen store.Seen
	next := func() []int64 {
		f.Helper()
		return numbers(f.read(store.All, &store.ReadOptions{After: seen.Version, Filter: filter, Seen: &seen}))
	}
	f.typed("a", "x")
	tx := f.begin()
	f.in(tx).typed("late", "late")
	f.typed("b", "x", "x")
	assert.Empty(f, next())
	assert.Equal(f, int64(3), seen.Version)
	assert.Empty(f, next())
	assert.Equal(f, int64(3), seen.Version)
	f.typed("b", "x")
	require.NoError(f, tx.Commit())
	got := next()
	require.Len(f, got, 1, "it is not missed")
	assert.Greater(f, got[0], int64(3))
	assert.Equal(f, int64(5), seen.Version)
	assert.Empty(f, next())
	assert.Equal(f, got, numbers(f.read(store.All, &store.ReadOptions{Filter: filter, Backward: true})))
}
