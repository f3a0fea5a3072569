package conformance

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

const whyAllOrNone = "P1: an append to several streams is all or nothing: a transfer that takes money from one account and gives none to the other must not exist"

var appendAllCases = []testCase{
	{name: "append-all/result", run: appendAllResult, why: "the caller goes on from the versions that the results give, one for each stream, in the order of its appends"},
	{name: "append-all/order", run: appendAllOrder, why: "P5: in $all the events of each append are adjacent, and appends come in the order of the call"},
	{name: "append-all/one", run: appendAllOne, why: "a program may build its list of appends, which may have one"},
	{name: "append-all/conflict", run: appendAllConflict, why: whyAllOrNone},
	{name: "append-all/first-conflict", run: appendAllFirst, why: "if several streams are not as expected, the error is the same each time"},
	{name: "append-all/deleted", run: appendAllDeleted, why: whyAllOrNone},
	{name: "append-all/known-id", run: appendAllKnownID, why: whyAllOrNone},
	{name: "append-all/retry", run: appendAllRetry, why: whyRetry},
	{name: "append-all/not-a-retry", run: appendAllNoRetry, why: whyNoRetry},
	{name: "append-all/limits", run: appendAllLimits, why: "an error names the place in the call, and nothing was written"},
	{name: "append-all/most-streams", run: appendAllMost, deadline: longDeadline, why: "what the limits allow works"},
	{name: "append-all/large", run: appendAllLarge, deadline: longDeadline, why: "P1, P2: appends that are sent in several parts are still all or nothing"},
	{name: "append-all/cancelled", tx: manyTx, run: appendAllCancelled, why: "a call whose context has ended writes nothing"},
}

// appendAll appends to several streams and returns where the events went.
func (f *fixture) appendAll(appends ...store.StreamAppend) []store.AppendResult {
	f.Helper()
	results, err := f.es.AppendAll(f.ctx, appends...)
	require.NoError(f, err)
	return results
}

func (f *fixture) appendAllErr(appends ...store.StreamAppend) error {
	_, err := f.es.AppendAll(f.ctx, appends...)
	return err
}

// versions returns the versions of streams, 0 for one that is not there.
func (f *fixture) versions(streams ...string) []int64 {
	f.Helper()
	list := make([]int64, len(streams))
	for i, stream := range streams {
		list[i], _ = f.version(stream)
	}
	return list
}

// allRefused sends appends that must be refused, and checks that they write nothing to any stream.
func (f *fixture) allRefused(is error, appends ...store.StreamAppend) error {
	f.Helper()
	streams := make([]string, len(appends))
	for i, a := range appends {
		streams[i] = a.Stream
	}
	was, head := f.versions(streams...), f.head()
	err := f.appendAllErr(appends...)
	require.ErrorIs(f, err, is)
	assert.Equal(f, was, f.versions(streams...), "versions of %v", streams)
	assert.Equal(f, head, f.head(), "nothing may be written")
	return err
}

func appendAllResult(f *fixture) {
	f.fill("b", 2)
	got := f.appendAll(store.To("c", store.NoStream, events(2)...), store.To("b", store.Version(2), named(1)...), store.To("a", store.Any, events(3)...))
	assert.Equal(f, []store.AppendResult{{Stream: "c", First: 1, Last: 2}, {Stream: "b", First: 3, Last: 3}, {Stream: "a", First: 1, Last: 3}}, got)
	got = f.appendAll(store.To("b", store.StreamExists, events(1)...), store.To("d", store.Version(0), named(2)...))
	assert.Equal(f, []store.AppendResult{{Stream: "b", First: 4, Last: 4}, {Stream: "d", First: 1, Last: 2}}, got)
	for stream, n := range map[string]int64{"a": 3, "b": 4, "c": 2, "d": 2} {
		f.noGaps(stream, n)
		assert.Equal(f, n, f.info(stream).Version)
	}
	f.noGaps(store.All, 11)
	f.append("a", store.Version(3), events(1)...)
}

func appendAllOrder(f *fixture) {
	one, two, three := marked(2), marked(1), marked(3)
	f.appendAll(store.To("z", store.NoStream, one...), store.To("a", store.NoStream, two...), store.To("m", store.NoStream, three...))
	f.appendAll(store.To("m", store.Version(3), marked(1)...), store.To("z", store.Version(2), marked(2)...))
	assert.Equal(f, []string{"z@1", "z@2", "a@1", "m@1", "m@2", "m@3", "m@4", "z@3", "z@4"}, origins(f.all()))
	f.orderly(9)
}

func appendAllOne(f *fixture) {
	list := named(2)
	got := f.appendAll(store.To("s", store.NoStream, list...))
	assert.Equal(f, []store.AppendResult{{Stream: "s", First: 1, Last: 2}}, got)
	got = f.appendAll(store.To("s", store.NoStream, list...))
	assert.Equal(f, []store.AppendResult{{Stream: "s", First: 1, Last: 2, Retried: true}}, got)
	for _, n := range []int64{1, -1} {
		assert.ErrorIs(f, f.appendAllErr(store.To("s", store.Version(n), events(1)...)), store.ErrWrongExpectedVersion, "version %d", n)
	}
	f.noGaps(store.All, 2)
}

func appendAllConflict(f *fixture) {
	f.fill("s", 2)
	for name, bad := range sorted(map[string]store.StreamAppend{
		"behind": store.To("s", store.Version(1), events(1)...), "ahead": store.To("s", store.Version(3), events(1)...),
		"exists": store.To("s", store.NoStream, events(1)...), "absent": store.To("absent", store.StreamExists, named(1)...),
		"absent-version": store.To("absent", store.Version(1), events(1)...),
	}) {
		for at := range 3 {
			list := []store.StreamAppend{store.To("old", store.Any, events(2)...), store.To("new "+name, store.NoStream, named(1)...)}
			f.fill("old", 1)
			err := f.allRefused(store.ErrWrongExpectedVersion, slices.Insert(list, at, bad)...)
			var conflict *store.WrongExpectedVersionError
			require.ErrorAs(f, err, &conflict)
			actual, _ := f.version(bad.Stream)
			assert.Equal(f, store.WrongExpectedVersionError{Stream: bad.Stream, Expected: bad.Expected, Actual: actual}, *conflict, name)
			f.hidden("new "+name, store.ErrStreamNotFound)
		}
	}
}

func appendAllFirst(f *fixture) {
	f.fill("s", 2)
	known := named(2)
	f.append("old", store.NoStream, known...)
	err := f.appendAllErr(store.To("s", store.Any, events(1)...), store.To("old", store.NoStream, events(1)...), store.To("absent", store.Version(7), events(1)...))
	var conflict *store.WrongExpectedVersionError
	require.ErrorAs(f, err, &conflict)
	assert.Equal(f, "old", conflict.Stream, "the first in the order of the call")
	_ = f.allRefused(store.ErrWrongExpectedVersion, store.To("other", store.Any, known[1]), store.To("s", store.Version(7), events(1)...))
}

func appendAllDeleted(f *fixture) {
	f.fill("s", 1)
	f.fill("soft", 1)
	f.delete("soft", store.SoftDelete)
	err := f.appendAllErr(store.To("s", store.Any, events(1)...), store.To("soft", store.Any, events(1)...))
	var deleted *store.StreamError
	require.ErrorAs(f, err, &deleted)
	require.ErrorIs(f, err, store.ErrStreamDeleted)
	assert.Equal(f, "soft", deleted.Stream)
	f.noGaps("s", 1)
	f.noGaps(store.All, 2)
}

func appendAllKnownID(f *fixture) {
	known := named(2)
	f.append("s", store.NoStream, known...)
	for at := range 3 {
		list := []store.StreamAppend{store.To("s", store.Any, named(1)...), store.To("new", store.NoStream, events(2)...)}
		bad := store.To("other", store.Any, named(1)[0], known[1])
		err := f.allRefused(store.ErrDuplicateEvent, slices.Insert(list, at, bad)...)
		var duplicate *store.DuplicateEventError
		require.ErrorAs(f, err, &duplicate)
		assert.Equal(f, store.DuplicateEventError{Stream: "other", ID: known[1].ID}, *duplicate)
	}
	twice := named(1)
	_ = f.allRefused(store.ErrDuplicateEvent, store.To("s", store.Any, twice...), store.To("new", store.Any, twice...))
}

// allRetried sends appends that were sent before, and checks that they give the first results and write nothing.
func (f *fixture) allRetried(first []store.AppendResult, appends ...store.StreamAppend) {
	f.Helper()
	head := f.head()
	want := slices.Clone(first)
	for i := range want {
		want[i].Retried = true
	}
	assert.Equal(f, want, f.appendAll(appends...), "the first results are returned again")
	assert.Equal(f, head, f.head(), "nothing may be written")
}

func appendAllRetry(f *fixture) {
	f.fill("b", 1)
	list := []store.StreamAppend{store.To("b", store.Version(1), named(2)...), store.To("a", store.NoStream, named(1)...), store.To("c", store.Any, named(3)...)}
	first := f.appendAll(list...)
	f.allRetried(first, list...)
	f.fill("a", 1)
	f.fill("other", 1)
	f.allRetried(first, list...)
	f.appendAll(store.To("a", store.Any, events(1)...), store.To("b", store.Any, events(1)...))
	f.allRetried(first, list...)
	list[0].Expected, list[1].Expected = store.StreamExists, store.Any
	f.allRetried(first, list...)
	list[2].Events[1].Metadata = map[string]int{"try": 2}
	f.allRetried(first, list...)
}

func appendAllNoRetry(f *fixture) {
	a, b := named(2), named(2)
	f.appendAll(store.To("a", store.NoStream, a...), store.To("b", store.NoStream, b...))
	is := store.ErrDuplicateEvent
	_ = f.allRefused(is, store.To("a", store.Any, a...), store.To("b", store.Any, named(1)...))
	_ = f.allRefused(is, store.To("a", store.Any, a...), store.To("c", store.Any, b...))
	_ = f.allRefused(is, store.To("a", store.Any, b...), store.To("b", store.Any, a...))
	_ = f.allRefused(is, store.To("a", store.Any, a...), store.To("b", store.Any, b[1], b[0]))
	_ = f.allRefused(is, store.To("a", store.Any, a...), store.To("b", store.Any, b[0]))
	_ = f.allRefused(is, store.To("a", store.Any, a...), store.To("b", store.Any, b...), store.To("c", store.NoStream, events(1)...))
	_ = f.allRefused(store.ErrWrongExpectedVersion, store.To("a", store.NoStream, a...), store.To("c", store.NoStream, named(1)...))
	_ = f.allRefused(store.ErrWrongExpectedVersion, store.To("a", store.Any, a...), store.To("b", store.Version(1), b...))
	changed := slices.Clone(b)
	changed[1].Data = map[string]string{"text": "changed"}
	err := f.allRefused(is, store.To("a", store.NoStream, a...), store.To("b", store.NoStream, changed...))
	var duplicate *store.DuplicateEventError
	require.ErrorAs(f, err, &duplicate)
	assert.Equal(f, store.DuplicateEventError{Stream: "b", ID: b[1].ID, Differs: "data"}, *duplicate)
}

func appendAllLimits(f *fixture) {
	good := store.To("s", store.Any, events(1)...)
	many := make([]store.StreamAppend, store.MaxAppends+1)
	for i := range many {
		many[i] = store.To(fmt.Sprint("s", i), store.Any, events(1)...)
	}
	for _, bad := range []struct {
		field   string
		appends []store.StreamAppend
	}{
		{"appends", nil},
		{"appends", many},
		{"appends[1].stream", []store.StreamAppend{good, store.To("", store.Any, events(1)...)}},
		{"appends[1].stream", []store.StreamAppend{good, store.To("$all", store.Any, events(1)...)}},
		{"appends[2].stream", []store.StreamAppend{good, store.To("t", store.Any, events(1)...), store.To("s", store.Any, events(1)...)}},
		{"appends[0].expected", []store.StreamAppend{store.To("t", store.Expected{}, events(1)...), good}},
		{"appends[1].events", []store.StreamAppend{good, store.To("t", store.Any)}},
		{"appends[1].events[1].type", []store.StreamAppend{good, store.To("t", store.Any, events(1)[0], store.Event{})}},
	} {
		f.invalid(f.appendAllErr(bad.appends...), bad.field)
	}
	assert.ErrorIs(f, f.appendAllErr(good, store.To("$all", store.Any, events(1)...)), store.ErrReservedStream)
	assert.Empty(f, f.byNumber(store.ListOptions{}))
}

func appendAllMost(f *fixture) {
	list := make([]store.StreamAppend, store.MaxAppends)
	want := make([]store.AppendResult, len(list))
	for i := range list {
		stream := fmt.Sprint("s", (i*7)%len(list))
		list[i] = store.To(stream, store.NoStream, named(1)...)
		want[i] = store.AppendResult{Stream: stream, First: 1, Last: 1}
	}
	first := f.appendAll(list...)
	assert.Equal(f, want, first)
	f.allRetried(first, list...)
	for i := range list {
		list[i].Expected, list[i].Events = store.Version(1), events(1)
	}
	list[len(list)-1].Expected = store.NoStream
	require.ErrorIs(f, f.appendAllErr(list...), store.ErrStreamExists)
	assert.Equal(f, int64(store.MaxAppends), f.head())
}

func appendAllLarge(f *fixture) {
	known := named(1)
	f.append("known", store.NoStream, known...)
	n := cmp.Or(f.largest, 12_000) / 3
	a, b, c := named(n), named(n), named(n)
	c[n-1] = known[0]
	_ = f.allRefused(store.ErrDuplicateEvent, store.To("c", store.Any, c...), store.To("a", store.Any, a...), store.To("b", store.Any, b...))
	_ = f.allRefused(store.ErrDuplicateEvent, store.To("b", store.Any, b...), store.To("a", store.Any, a...), store.To("c", store.Any, c...))
	c = named(n)
	list := []store.StreamAppend{store.To("b", store.NoStream, b...), store.To("a", store.NoStream, a...), store.To("c", store.NoStream, c...)}
	first := f.appendAll(list...)
	for i, a := range list {
		assert.Equal(f, store.AppendResult{Stream: a.Stream, First: 1, Last: int64(n)}, first[i])
		same(f, idsOf(a.Events), store.IDs(f.read(a.Stream, &store.ReadOptions{PageSize: 1000})...), "ids")
	}
	whole := f.read(store.All, &store.ReadOptions{PageSize: 1000})
	same(f, span(1, int64(3*n+1)), numbers(whole), "positions")
	same(f, slices.Concat(idsOf(known), idsOf(b), idsOf(a), idsOf(c)), store.IDs(whole...), "ids in $all")
	f.allRetried(first, list...)
}

func appendAllCancelled(f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, err := f.es.AppendAll(ctx, store.To("a", store.Any, events(1)...), store.To("b", store.Any, events(1)...))
	require.ErrorIs(f, err, context.Canceled)
	assert.Empty(f, f.byNumber(store.ListOptions{}))
}
