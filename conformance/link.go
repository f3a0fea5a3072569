package conformance

import (
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var linkCases = []testCase{
	{name: "link/result", run: linkResult, why: "the caller goes on from the version that the result gives"},
	{name: "link/order", run: linkOrder, why: "links have the order that the caller gave, whatever the order of their events"},
	{name: "link/origin", run: linkOrigin, why: "a linked event keeps its stream and version; its number is its place among the links"},
	{name: "link/of-link", run: linkOfLink, why: "an event read through a link can be linked on, and still keeps its origin"},
	{name: "link/mixed", run: linkMixed, why: "a stream may hold events of its own and links, in one numbering"},
	{name: "link/soft-deleted-source", run: linkSoftDeletedSource, why: "a soft delete hides a stream, not its events through links"},
	{name: "link/unknown", run: linkUnknown, why: "a link is all or nothing: an unknown id leaves neither a hole nor a new stream"},
	{name: "link/again", run: linkAgain, why: "an event can be in a stream once"},
	{name: "link/twice-in-a-call", run: linkTwice, why: "an event can be in a stream once"},
	{name: "link/own-stream", run: linkOwnStream, why: "an event can be in a stream once, and is in its own already"},
	{name: "link/none", run: linkNone, why: "a link of nothing would create an empty stream that nobody asked for"},
	{name: "link/deleted-target", run: linkDeletedTarget, why: "a soft-deleted stream takes no writes"},
	{name: "link/source-hard-deleted", run: linkSourceHardDeleted, why: "hard-deleted events are gone from every stream, whose versions stay"},
	{name: "link/recreated-target", run: linkRecreated, why: "a stream created again remembers nothing of its former links"},
	{name: "link/large", run: linkLarge, deadline: longDeadline, why: "a link has no size at which it stops being one link"},
}

func linkResult(f *fixture) {
	source := f.fill("source", 4)
	assert.Equal(f, store.AppendResult{Stream: "t", First: 1, Last: 2}, f.link("t", store.NoStream, source[:2]...))
	assert.Equal(f, store.AppendResult{Stream: "t", First: 3, Last: 3}, f.link("t", store.Version(2), source[2]))
	assert.Equal(f, store.AppendResult{Stream: "t", First: 4, Last: 4}, f.link("t", store.Any, source[3]))
	assert.Equal(f, int64(4), f.info("t").Version)
}

func linkOrder(f *fixture) {
	a, b := f.fill("a", 3), f.fill("b", 3)
	list := []store.Recorded{b[2], a[0], b[0], a[2], a[1], b[1]}
	f.link("t", store.NoStream, list[:4]...)
	f.link("t", store.Any, list[4:]...)
	for _, size := range pageSizes {
		got := f.read("t", &store.ReadOptions{PageSize: size})
		assert.Equal(f, []string{"b@3", "a@1", "b@1", "a@3", "a@2", "b@2"}, origins(got))
		assert.Equal(f, span(1, 6), numbers(got))
		assert.Equal(f, store.IDs(list...), store.IDs(got...))
	}
	assert.Equal(f, []string{"b@2", "a@2", "a@3"}, origins(f.read("t", &store.ReadOptions{Backward: true, Limit: 3})))
}

func linkOrigin(f *fixture) {
	source := f.fill("source", 3)
	f.link("t", store.NoStream, source[2], source[0])
	got := f.read("t", nil)
	require.Len(f, got, 2)
	for i, want := range []store.Recorded{source[2], source[0]} {
		want.Number = int64(i + 1)
		assert.Equal(f, want, got[i])
	}
	assert.Equal(f, span(1, 3), numbers(f.read("source", nil)), "the source stays as it was")
	assert.Equal(f, int64(3), f.info("source").Version)
}

func linkOfLink(f *fixture) {
	f.link("first", store.NoStream, f.fill("source", 3)...)
	f.link("second", store.NoStream, f.read("first", &store.ReadOptions{Backward: true})...)
	f.link("third", store.NoStream, f.read("second", &store.ReadOptions{From: 2})...)
	assert.Equal(f, []string{"source@3", "source@2", "source@1"}, origins(f.read("second", nil)))
	assert.Equal(f, []string{"source@2", "source@1"}, origins(f.read("third", nil)))
}

func linkMixed(f *fixture) {
	source := f.fill("source", 3)
	f.append("t", store.NoStream, events(2)...)
	f.link("t", store.Version(2), source[1], source[0])
	f.append("t", store.Version(4), events(1)...)
	f.link("t", store.Version(5), source[2])
	want := []string{"t@1", "t@2", "source@2", "source@1", "t@5", "source@3"}
	for _, size := range pageSizes {
		got := f.read("t", &store.ReadOptions{PageSize: size})
		assert.Equal(f, want, origins(got), "page size %d", size)
		assert.Equal(f, span(1, 6), numbers(got))
		got = f.read("t", &store.ReadOptions{PageSize: size, Backward: true})
		assert.Equal(f, span(6, 1), numbers(got))
		got = f.read("t", &store.ReadOptions{PageSize: size, From: 2, Limit: 3})
		assert.Equal(f, want[1:4], origins(got))
	}
	assert.Equal(f, []string{"source@1", "source@2", "source@3", "t@1", "t@2", "t@5"}, origins(f.all()))
}

func linkSoftDeletedSource(f *fixture) {
	source := f.fill("source", 2)
	f.link("before", store.NoStream, source...)
	f.delete("source", store.SoftDelete)
	f.link("after", store.NoStream, source...)
	for _, stream := range []string{"before", "after"} {
		assert.Equal(f, []string{"source@1", "source@2"}, origins(f.read(stream, nil)))
	}
}

func linkUnknown(f *fixture) {
	source := f.fill("source", 2)
	f.link("t", store.NoStream, source[0])
	unknown := []uuid.UUID{uuid.New(), uuid.New()}
	for name, ids := range sorted(map[string][]uuid.UUID{
		"last":  {source[1].ID, unknown[0]},
		"first": {unknown[0], source[1].ID},
		"all":   unknown,
		"zero":  {uuid.Nil},
	}) {
		f.sub(name, func(f *fixture) {
			for _, stream := range []string{"t", "new"} {
				res, err := f.es.Link(f.ctx, stream, store.Any, ids...)
				var missing *store.EventNotFoundError
				require.ErrorAs(f, err, &missing)
				assert.Zero(f, res)
				if name != "zero" {
					assert.Equal(f, unknown[0], missing.ID, "the first unknown id")
				}
			}
			_, err := f.es.StreamInfo(f.ctx, "new")
			assert.ErrorIs(f, err, store.ErrStreamNotFound)
			assert.Equal(f, int64(1), f.info("t").Version)
		})
	}
	f.sub("afterwards", func(f *fixture) {
		f.link("t", store.Version(1), source[1])
		assert.Equal(f, span(1, 2), numbers(f.read("t", nil)))
	})
}

// duplicateLink checks that a link is refused because of an event that is there already.
func (f *fixture) duplicateLink(stream string, id uuid.UUID, ids ...uuid.UUID) {
	f.Helper()
	was, _ := f.version(stream)
	_, err := f.es.Link(f.ctx, stream, store.Any, ids...)
	var duplicate *store.DuplicateEventError
	require.ErrorAs(f, err, &duplicate)
	assert.Equal(f, store.DuplicateEventError{Stream: stream, ID: id}, *duplicate)
	now, _ := f.version(stream)
	assert.Equal(f, was, now, "nothing may be written")
}

func linkAgain(f *fixture) {
	source := f.fill("source", 3)
	f.link("t", store.NoStream, source[:2]...)
	f.duplicateLink("t", source[0].ID, source[0].ID)
	f.duplicateLink("t", source[1].ID, source[2].ID, source[1].ID)
	f.link("other", store.NoStream, source[1])
	f.link("t", store.Version(2), source[2])
	assert.Equal(f, store.IDs(source...), store.IDs(f.read("t", nil)...))
}

func linkTwice(f *fixture) {
	source := f.fill("source", 2)
	f.duplicateLink("t", source[0].ID, source[0].ID, source[1].ID, source[0].ID)
}

func linkOwnStream(f *fixture) {
	own, other := f.fill("s", 2), f.fill("other", 1)
	f.duplicateLink("s", own[1].ID, own[1].ID)
	f.duplicateLink("s", own[0].ID, other[0].ID, own[0].ID)
	assert.Equal(f, []string{"s@1", "s@2"}, origins(f.read("s", nil)))
}

func linkNone(f *fixture) {
	_, err := f.es.Link(f.ctx, "t", store.Any)
	f.invalid(err, "events")
	_, err = f.es.StreamInfo(f.ctx, "t")
	assert.ErrorIs(f, err, store.ErrStreamNotFound)
}

func linkDeletedTarget(f *fixture) {
	source := f.fill("source", 2)
	f.link("t", store.NoStream, source[0])
	f.delete("t", store.SoftDelete)
	_, err := f.es.Link(f.ctx, "t", store.Any, source[1].ID)
	assert.ErrorIs(f, err, store.ErrStreamDeleted)
	assert.Equal(f, int64(1), f.info("t").Version)
}

func linkSourceHardDeleted(f *fixture) {
	keep, gone := f.fill("keep", 2), f.fill("gone", 3)
	f.link("t", store.NoStream, gone[0], keep[0], gone[2])
	f.link("only", store.NoStream, gone...)
	f.delete("gone", store.HardDelete)
	assert.Equal(f, []int64{2}, numbers(f.read("t", nil)))
	assert.Empty(f, f.read("only", nil))
	assert.Equal(f, int64(3), f.info("only").Version, "the version counts places, not what is left")

	_, err := f.es.Link(f.ctx, "t", store.Any, gone[1].ID)
	assert.ErrorIs(f, err, store.ErrEventNotFound)
	_, err = f.es.Link(f.ctx, "only", store.NoStream, keep[0].ID)
	assert.ErrorIs(f, err, store.ErrWrongExpectedVersion)
	f.link("t", store.Version(3), keep[1])
	f.append("only", store.Version(3), events(1)...)
	assert.Equal(f, []int64{2, 4}, numbers(f.read("t", nil)))
	assert.Equal(f, []int64{4}, numbers(f.read("only", nil)))
}

func linkRecreated(f *fixture) {
	source := f.fill("source", 2)
	f.link("t", store.NoStream, source...)
	f.delete("t", store.HardDelete)
	f.link("t", store.NoStream, source[1], source[0])
	assert.Equal(f, []string{"source@2", "source@1"}, origins(f.read("t", nil)))
	assert.Equal(f, span(1, 2), numbers(f.read("t", nil)))
}

func linkLarge(f *fixture) {
	list := named(2_500)
	f.append("source", store.NoStream, list...)
	ids := idsOf(list)
	_, err := f.es.Link(f.ctx, "t", store.NoStream, append(ids[:2_499:2_499], uuid.New())...)
	require.ErrorIs(f, err, store.ErrEventNotFound)
	res, err := f.es.Link(f.ctx, "t", store.NoStream, ids...)
	require.NoError(f, err)
	assert.Equal(f, store.AppendResult{Stream: "t", First: 1, Last: 2_500}, res)
	got := f.read("t", &store.ReadOptions{PageSize: max(f.PageSize, 100)})
	same(f, span(1, 2_500), numbers(got), "versions")
	same(f, ids, store.IDs(got...), "ids")
}
