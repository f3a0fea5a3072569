package conformance

import (
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var limitCases = []testCase{
	{name: "limits/longest-name", run: limitLongestName, why: "the longest name that the limits allow works everywhere"},
	{name: "limits/stream", run: limitStream, why: "a name that a database would cut, refuse or fold is refused before it gets there"},
	{name: "limits/reserved", run: limitReserved, why: "$all can't be written, and other names with $ are kept for later"},
	{name: "limits/expected", run: limitExpected, why: "forgetting the expected version must not mean any"},
	{name: "limits/type", run: limitType, why: "a type that a database would cut or refuse is refused before it gets there"},
	{name: "limits/metadata", run: limitMetadata, why: "metadata are small things about an event, and bounded"},
	{name: "limits/data", run: limitData, deadline: longDeadline, why: "an event that no server would take is refused before it is sent"},
	{name: "limits/not-encodable", run: limitNotEncodable, why: "a value that can't be encoded is refused"},
	{name: "limits/no-events", run: limitNoEvents, why: "an append of nothing is a mistake"},
	{name: "limits/kind", run: limitKind, why: "a delete is soft or hard"},
	{name: "limits/created-at", run: limitCreatedAt, why: "a time that not every backend can keep is refused"},
}

func limitLongestName(f *fixture) {
	for name, stream := range sorted(map[string]string{
		"ascii":   strings.Repeat("x", store.MaxStreamName),
		"unicode": strings.Repeat("日", 333),
		"mixed":   noise(store.MaxStreamName),
	}) {
		f.sub(name, func(f *fixture) {
			f.append(stream, store.NoStream, events(2)...)
			got := f.read(stream, nil)
			require.Len(f, got, 2)
			assert.Equal(f, stream, got[0].Stream)
			assert.Equal(f, stream, f.info(stream).Stream)
			f.link(stream, store.Version(2), f.fill("source of "+name, 1)...)
			page := f.list(store.ListOptions{StreamFilter: store.StreamFilter{Search: stream}, SortBy: store.SortName})
			assert.Equal(f, []string{stream}, streamNames(page.Streams))
			f.delete(stream, store.HardDelete)
			f.append(stream, store.NoStream, events(1)...)
			f.delete(stream, store.SoftDelete)
			assert.Equal(f, store.Deleted, f.info(stream).Status())
		})
	}
}

// noise returns n printable bytes that do not compress.
func noise(n int) string {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte('!' + x%94)
	}
	b[0] = 'n'
	return string(b)
}

// writesTo tries every write to a stream.
func (f *fixture) writesTo(stream string) map[string]error {
	known := f.fill("known", 1)
	_, appended := f.es.Append(f.ctx, stream, store.Any, events(1)...)
	_, linked := f.es.Link(f.ctx, stream, store.Any, known[0].ID)
	return map[string]error{
		"append":      appended,
		"link":        linked,
		"soft delete": f.es.Delete(f.ctx, stream, store.Any, store.SoftDelete),
		"hard delete": f.es.Delete(f.ctx, stream, store.Any, store.HardDelete),
		"undelete":    f.es.Undelete(f.ctx, stream, store.Any),
	}
}

func limitStream(f *fixture) {
	for name, stream := range sorted(map[string]string{
		"empty": "", "too-long": strings.Repeat("x", store.MaxStreamName+1), "too-many-bytes": strings.Repeat("日", 334),
		"nul": "a\x00b", "not-utf-8": "a\xffb", "cut-utf-8": "日"[:2],
	}) {
		f.sub(name, func(f *fixture) {
			for _, err := range f.writesTo(stream) {
				f.invalid(err, "stream")
				assert.NotErrorIs(f, err, store.ErrReservedStream)
			}
			_, err := f.es.StreamInfo(f.ctx, stream)
			f.invalid(err, "stream")
			_, err = f.es.Page(f.ctx, stream, nil)
			f.invalid(err, "stream")
			_, err = collect(f, f.es.Stream(f.ctx, stream, nil))
			f.invalid(err, "stream")
		})
	}
	f.sub("nothing-written", func(f *fixture) {
		f.fill("known", 1)
		assert.Equal(f, []string{"known"}, f.byNumber(store.ListOptions{}))
	})
}

func limitReserved(f *fixture) {
	for _, stream := range []string{store.All, "$", "$ce-order", "$ALL"} {
		for what, err := range sorted(f.writesTo(stream)) {
			require.ErrorIs(f, err, store.ErrReservedStream, "%s to %q", what, stream)
			f.invalid(err, "stream")
		}
	}
	f.append("a$all", store.NoStream, events(1)...)
	assert.Equal(f, []string{"known", "a$all"}, f.byNumber(store.ListOptions{}))
}

func limitExpected(f *fixture) {
	known := f.fill("s", 2)
	var zero store.Expected
	for _, stream := range []string{"s", "new"} {
		_, err := f.es.Append(f.ctx, stream, zero, events(1)...)
		f.invalid(err, "expected")
		_, err = f.es.Link(f.ctx, stream, zero, known[0].ID)
		f.invalid(err, "expected")
		f.invalid(f.es.Delete(f.ctx, stream, zero, store.SoftDelete), "expected")
		f.invalid(f.es.Delete(f.ctx, stream, zero, store.HardDelete), "expected")
		f.invalid(f.es.Undelete(f.ctx, stream, zero), "expected")
	}
	assert.Len(f, f.read("s", nil), 2)
	assert.Equal(f, []string{"s"}, f.byNumber(store.ListOptions{}))
}

func limitType(f *fixture) {
	for name, t := range sorted(map[string]string{
		"empty": "", "too-long": strings.Repeat("x", store.MaxType+1), "nul": "a\x00", "not-utf-8": "\xff",
	}) {
		f.sub(name, func(f *fixture) {
			list := events(3)
			list[1].Type = t
			_, err := f.es.Append(f.ctx, "s", store.Any, list...)
			f.invalid(err, "events[1].type")
			_, err = f.es.StreamInfo(f.ctx, "s")
			assert.ErrorIs(f, err, store.ErrStreamNotFound)
		})
	}
}

func limitMetadata(f *fixture) {
	largest := strings.Repeat("x", store.MaxMetadata-2) // and two quotes
	f.append("s", store.NoStream, store.Event{Type: "t", Data: 1, Metadata: largest})
	got := f.read("s", nil)
	require.Len(f, got, 1)
	assert.Len(f, got[0].Metadata, store.MaxMetadata)

	_, err := f.es.Append(f.ctx, "s", store.Any, events(1)[0], store.Event{Type: "t", Data: 1, Metadata: largest + "x"})
	f.invalid(err, "events[1].metadata")
	_, err = f.es.Append(f.ctx, "s", store.Any, store.Event{Type: "t", Data: 1, Metadata: func() {}})
	f.invalid(err, "events[0].metadata")
	assert.Equal(f, int64(1), f.info("s").Version)
}

func limitData(f *fixture) {
	es := f.open(&store.Options{Serializer: rawBytes{}})
	_, err := es.Append(f.ctx, "s", store.Any, store.Event{Type: "t", Data: make([]byte, store.MaxData+1)})
	f.invalid(err, "events[0].data")
	_, err = f.es.StreamInfo(f.ctx, "s")
	assert.ErrorIs(f, err, store.ErrStreamNotFound)
}

func limitNotEncodable(f *fixture) {
	_, err := f.es.Append(f.ctx, "s", store.Any, events(1)[0], store.Event{Type: "t", Data: make(chan int)})
	f.invalid(err, "events[1].data")
	_, err = f.es.StreamInfo(f.ctx, "s")
	assert.ErrorIs(f, err, store.ErrStreamNotFound)
}

func limitNoEvents(f *fixture) {
	f.fill("s", 1)
	for _, stream := range []string{"s", "new"} {
		_, err := f.es.Append(f.ctx, stream, store.Any)
		f.invalid(err, "events")
		_, err = f.es.Link(f.ctx, stream, store.Any, []uuid.UUID{}...)
		f.invalid(err, "events")
	}
	assert.Equal(f, []string{"s"}, f.byNumber(store.ListOptions{}))
}

func limitKind(f *fixture) {
	f.fill("s", 1)
	for _, kind := range []store.DeleteKind{-1, 2} {
		f.invalid(f.es.Delete(f.ctx, "s", store.Any, kind), "kind")
	}
	assert.Equal(f, store.Active, f.info("s").Status())
}

func limitCreatedAt(f *fixture) {
	list := events(2)
	list[1].CreatedAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err := f.es.Append(f.ctx, "s", store.Any, list...)
	f.invalid(err, "events[1].created_at")
	list[1].CreatedAt = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err = f.es.Append(f.ctx, "s", store.Any, list...)
	f.invalid(err, "events[1].created_at")
}
