package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var bytesCases = []testCase{
	{name: "bytes/stream", run: bytesStream, why: "memory is bounded: a page of a stream stops at the bound in bytes, in both directions, and says that there is more"},
	{name: "bytes/all", run: bytesAll, why: "a page of all events stops at the bound in bytes, and reports that there is more"},
	{name: "bytes/links", run: bytesLinks, why: "linked events count like a stream's own"},
	{name: "bytes/filtered", run: bytesFiltered, why: "a filtered page stops at the bound in bytes, and the next page leaves nothing out"},
	{name: "bytes/correlation", run: bytesCorrelation, why: "a page of a correlation stops at the bound in bytes"},
	{name: "bytes/large", run: bytesLarge, why: "an event larger than the bound is a page by itself: every reader gets past it"},
	{name: "bytes/metadata", run: bytesMetadata, why: "metadata take memory, too"},
	{name: "bytes/overlap", run: bytesOverlap, why: "a reader that looks again at the last event of a page gets past it, however large it is"},
	{name: "bytes/hard-deleted", run: bytesHardDeleted, why: "a page that stops at the bound passes over what was hard deleted"},
	{name: "bytes/store", run: bytesStore, why: "whatever the bound, a reader gets every event once, in order"},
	{name: "bytes/retry", run: bytesRetry, why: "an append that is larger than a page can be retried"},
}

// bounds are numbers of bytes that a page may have.
var bounds = []int{1, 100, 999, 5_000, 40_000, 1 << 30}

// sized appends an event with data of about that many bytes as JSON, which do not compress well if they are odd.
func (f *fixture) sized(stream string, sizes ...int) {
	f.Helper()
	for i, size := range sizes {
		f.append(stream, store.Any, store.Event{Type: fmt.Sprint("t", i%3), Data: json.RawMessage(text(size))})
	}
}

// text returns a JSON string of about that many bytes.
func text(size int) string {
	if size%2 == 0 {
		return `"` + strings.Repeat("x", size) + `"`
	}
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	random := rand.New(rand.NewPCG(1, uint64(size))) //nolint:gosec // the same each time
	b := make([]byte, size)
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return `"` + string(b) + `"`
}

// mixed are sizes of events, small ones and some that are larger than most bounds.
var mixed = []int{10, 20, 30, 3_000, 40, 3_001, 9_000, 50, 60, 70, 30_001, 80, 90, 60_000, 100, 110, 2_000, 2_001, 120, 7}

// pageOf returns which page of whole, in the order of the read, r asks for, and whether its bytes end it.
func pageOf(whole []store.Recorded, r store.ReadRequest) (page []store.Recorded, more bool) {
	n, bytes := 0, 0
	for _, e := range whole {
		if r.Backward && e.Number > r.From || !r.Backward && e.Number < r.From || len(page) == r.Limit {
			continue
		}
		if r.Overlap && e.Number == r.From {
			page = append(page, e)
			continue
		}
		if n > 0 && r.Bytes > 0 && bytes+len(e.Data)+len(e.Metadata) > r.Bytes {
			return page, true
		}
		page = append(page, e)
		n++
		bytes += len(e.Data) + len(e.Metadata)
	}
	return page, false
}

// bounded reads a stream in both directions, in pages with bounds, and checks each page.
func (f *fixture) bounded(stream string) {
	f.Helper()
	f.head()
	for _, backward := range []bool{false, true} {
		whole := f.raw(stream)
		from := int64(1)
		if backward {
			slices.Reverse(whole)
			from = whole[0].Number
		}
		for _, limit := range []int{3, 1000} {
			for _, bytes := range bounds {
				r := store.ReadRequest{Stream: stream, From: from, Limit: limit, Bytes: bytes, Backward: backward}
				f.walkBounded(whole, r)
			}
		}
	}
}

// walkBounded reads pages from r on to the end of whole.
func (f *fixture) walkBounded(whole []store.Recorded, r store.ReadRequest) {
	f.Helper()
	for range len(whole) + 1 {
		want, more := pageOf(whole, r)
		part, err := readPart(f.ctx, f.storage, r)
		what := fmt.Sprintf("%+v", r)
		require.NoError(f, err, what)
		require.Equal(f, numbers(want), numbers(part.Events), what)
		for i := range want {
			require.Equal(f, want[i], part.Events[i], what)
		}
		n := len(want)
		if n < r.Limit {
			require.Equal(f, more, part.More, "whether there is more, %s", what)
		}
		if n < r.Limit && !more {
			return
		}
		r.From = want[n-1].Number + 1
		if r.Backward {
			r.From -= 2
		}
	}
	require.Fail(f, "pages come to no end")
}

func bytesStream(f *fixture) {
	f.sized("s", mixed...)
	f.bounded("s")
	page, err := f.storage.ReadStream(f.ctx, store.ReadRequest{Stream: "s", From: 1, Limit: 1000, Bytes: 100})
	require.NoError(f, err)
	assert.Equal(f, page.Events[len(page.Events)-1].Number, page.Version, "what the page covers")
}

func bytesAll(f *fixture) {
	for i, size := range mixed {
		f.sized(fmt.Sprint("s", i%3), size)
	}
	list := events(3)
	for i := range list {
		list[i].Data = json.RawMessage(text(2_001 + i))
	}
	f.append("together", store.NoStream, list...)
	f.bounded(store.All)
}

func bytesLinks(f *fixture) {
	f.sized("a", mixed[:10]...)
	f.sized("links", 20, 3_001)
	f.link("links", store.Any, f.read("a", nil)...)
	f.sized("links", mixed[10:]...)
	f.bounded("links")
}

func bytesFiltered(f *fixture) {
	s := f.keeper()
	f.sized("s", mixed...)
	f.link("links", store.NoStream, f.read("s", &store.ReadOptions{From: 3})...)
	f.sized("links", 10, 3_000)
	for _, stream := range []string{store.All, "s", "links"} {
		for _, filter := range []store.EventFilter{{}, {Types: []string{"t1"}}, {StreamPrefix: "s"}, {Types: []string{"none"}}} {
			want := chosen(filter, f.raw(stream))
			for _, bytes := range bounds {
				for _, limit := range []int{2, 1000} {
					got, end := f.walk(s, store.ReadRequest{Stream: stream, From: 1, Limit: limit, Bytes: bytes}, filter)
					what := fmt.Sprintf("%+q of %q, pages of %d events and %d bytes", filter, stream, limit, bytes)
					require.Equal(f, numbers(want), numbers(got), what)
					require.Equal(f, f.end(stream), end, "the end, %s", what)
				}
			}
		}
	}
}

// correlations returns the storage as one that finds correlations, indexed, or skips the case.
func (f *fixture) correlations() store.CorrelationStorage {
	f.Helper()
	s, ok := f.storage.(store.CorrelationStorage)
	if !ok {
		f.counts.add(0, 1)
		f.Skip("excused: the backend does not find correlations: it is no store.CorrelationStorage")
	}
	if indexed, ok := f.storage.(interface{ IndexCorrelations(context.Context) error }); ok {
		require.NoError(f, indexed.IndexCorrelations(f.ctx))
	}
	return s
}

func bytesCorrelation(f *fixture) {
	s, id := f.correlations(), uuid.New()
	for i, size := range mixed {
		f.append(fmt.Sprint("s", i%3), store.Any, store.Event{Type: "t", CorrelationID: id, Data: json.RawMessage(text(size))}, store.Event{Type: "other"})
	}
	whole := slices.DeleteFunc(f.all(), func(e store.Recorded) bool { return e.CorrelationID != id })
	for _, limit := range []int{3, 1000} {
		for _, bytes := range bounds {
			r := store.CorrelationRequest{CorrelationID: id, From: 1, Limit: limit, Bytes: bytes}
			for n := 0; n < len(whole); {
				want, more := pageOf(whole, store.ReadRequest{From: r.From, Limit: limit, Bytes: bytes})
				part, err := s.ReadCorrelation(f.ctx, r)
				require.NoError(f, err)
				require.Equal(f, numbers(want), numbers(part.Events), "%+v", r)
				require.Equal(f, store.IDs(want...), store.IDs(part.Events...))
				require.Equal(f, want[0].Data, part.Events[0].Data)
				if len(want) < limit {
					require.Equal(f, more, part.More, "whether there is more, %+v", r)
				}
				n += len(want)
				r.From, r.Rest = want[len(want)-1].Number+1, part.Rest
			}
		}
	}
}

func bytesLarge(f *fixture) {
	s := f.keeper()
	f.sized("s", 100_001, 10, 100_000, 10)
	for _, stream := range []string{"s", store.All} {
		whole := f.raw(stream)
		for _, bytes := range []int{1, 1000} {
			for _, from := range []int64{1, 3} {
				for _, backward := range []bool{false, true} {
					part, err := readPart(f.ctx, f.storage, store.ReadRequest{Stream: stream, From: from, Limit: 10, Bytes: bytes, Backward: backward})
					require.NoError(f, err)
					require.Equal(f, []int64{from}, numbers(part.Events), "%q from %d, backward: %v", stream, from, backward)
					assert.Equal(f, whole[from-1].Data, part.Events[0].Data)
					assert.Equal(f, from > 1 || !backward, part.More, "%q from %d, backward: %v", stream, from, backward)
				}
				page, next, err := s.ReadFiltered(f.ctx, store.ReadRequest{Stream: stream, From: from, Limit: 10, Bytes: bytes}, store.EventFilter{})
				require.NoError(f, err)
				require.Equal(f, []int64{from}, numbers(page))
				assert.Equal(f, from+1, next)
			}
		}
	}
}

func bytesMetadata(f *fixture) {
	for i, size := range mixed {
		f.append("s", store.Any, store.Event{Type: "t", Data: json.RawMessage(`1`), Metadata: json.RawMessage(text(size))})
		if i%4 == 0 {
			f.append("s", store.Any, store.Event{Type: "t", Data: json.RawMessage(text(size)), Metadata: json.RawMessage(text(size + 1))})
		}
	}
	f.bounded("s")
	f.bounded(store.All)
}

func bytesOverlap(f *fixture) {
	s := f.keeper()
	f.sized("s", mixed...)
	f.link("links", store.NoStream, f.read("s", nil)...)
	for _, stream := range []string{"s", "links", store.All} {
		whole := f.raw(stream)
		for _, bytes := range []int{1, 5_000} {
			for from := int64(1); from <= int64(len(whole)); from++ {
				r := store.ReadRequest{Stream: stream, From: from, Limit: 1000, Bytes: bytes, Overlap: true}
				want, more := pageOf(whole, r)
				part, err := readPart(f.ctx, f.storage, r)
				require.NoError(f, err)
				require.Equal(f, numbers(want), numbers(part.Events), "%+v", r)
				assert.Equal(f, store.IDs(want...), store.IDs(part.Events...))
				assert.Equal(f, more, part.More)
				for i := range want[1:] {
					assert.Equal(f, want[1+i].Data, part.Events[1+i].Data)
				}
				page, next, err := s.ReadFiltered(f.ctx, r, store.EventFilter{})
				require.NoError(f, err)
				require.Equal(f, store.IDs(want...), store.IDs(page...), "filtered: %+v", r)
				assert.Equal(f, want[len(want)-1].Number+1, next)
			}
		}
	}
}

func bytesHardDeleted(f *fixture) {
	for i, size := range mixed {
		f.sized(fmt.Sprint("s", i%4), size)
	}
	f.link("links", store.NoStream, f.all()...)
	f.delete("s1", store.HardDelete)
	f.delete("s2", store.HardDelete)
	f.bounded(store.All)
	f.bounded("links")
}

func bytesStore(f *fixture) {
	f.sized("s", mixed...)
	f.link("links", store.NoStream, f.read("s", nil)...)
	for _, bytes := range bounds {
		es := f.open(&store.Options{PageBytes: bytes})
		for _, stream := range []string{"s", "links", store.All} {
			want := f.read(stream, nil)
			for _, o := range []store.ReadOptions{{}, {PageSize: 4}, {Limit: 11}, {From: 5}, {Backward: true}, {Backward: true, PageSize: 3, Limit: 9}} {
				whole := slices.DeleteFunc(slices.Clone(want), func(e store.Recorded) bool { return e.Number < o.From })
				if o.Backward {
					slices.Reverse(whole)
				}
				if o.Limit > 0 {
					whole = whole[:o.Limit]
				}
				var seen store.Seen
				if stream != store.All {
					o.Seen = &seen
				}
				what := fmt.Sprintf("%q, pages of %d bytes, %+v", stream, bytes, o)
				got, err := collect(f, es.Stream(f.ctx, stream, &o))
				require.NoError(f, err, what)
				require.Equal(f, numbers(whole), numbers(got), what)
				covered := seen.Version
				page, err := es.Page(f.ctx, stream, &o)
				require.NoError(f, err, what)
				most := len(whole)
				if o.PageSize > 0 {
					most = min(most, o.PageSize)
				}
				require.Equal(f, numbers(whole[:most]), numbers(page), "a page has all that was asked for, %s", what)
				if most == len(whole) && stream != store.All {
					assert.Equal(f, covered, seen.Version, "what was covered, %s", what)
				}
			}
		}
	}
}

func bytesRetry(f *fixture) {
	list := named(12)
	for i := range list {
		list[i].Data = json.RawMessage(text(1_000 + i))
	}
	es := f.open(&store.Options{PageBytes: 2_500})
	first, err := es.Append(f.ctx, "s", store.NoStream, list...)
	require.NoError(f, err)
	again, err := es.Append(f.ctx, "s", store.NoStream, list...)
	require.NoError(f, err)
	assert.True(f, again.Retried)
	assert.Equal(f, first.Last, again.Last)
	list[10].Data = json.RawMessage(text(500))
	_, err = es.Append(f.ctx, "s", store.NoStream, list...)
	require.ErrorIs(f, err, store.ErrDuplicateEvent, "the last page is compared, too")
}
