package conformance

import (
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var deleteCases = []testCase{
	{name: "delete/soft", run: deleteSoft, why: "a soft delete hides a stream; its info says since when"},
	{name: "delete/soft-is-final", run: deleteSoftFinal, why: "no append, link or delete brings a soft-deleted stream back"},
	{name: "delete/hard", run: deleteHard, why: "after a hard delete the stream is as if it had never been"},
	{name: "delete/hard-after-soft", run: deleteHardAfterSoft, why: "a soft-deleted stream can be hard deleted"},
	{name: "delete/hard-with-links", run: deleteHardWithLinks, why: "a hard delete of a stream of links must not destroy other streams' events"},
	{name: "delete/hard-mixed", run: deleteHardMixed, why: "a hard delete removes a stream's own events everywhere, and of others' only the links"},
	{name: "delete/recreated", run: deleteRecreated, why: "a stream created again is another stream: it starts at version 1 and has another id, by which readers notice"},
	{name: "delete/others-untouched", run: deleteOthers, why: "a delete reaches one stream only, however alike the names"},
	{name: "delete/disabled", run: deleteDisabled, why: "without the option nothing can be destroyed"},
	{name: "delete/large", run: deleteLarge, deadline: longDeadline, why: "a hard delete has no size at which it stops being one"},
}

func deleteSoft(f *fixture) {
	source := f.fill("s", 3)
	was := f.info("s")
	assert.True(f, was.DeletedAt.IsZero())
	assert.Equal(f, store.Active, was.Status())
	f.delete("s", store.SoftDelete)

	is := f.info("s")
	assert.Equal(f, store.Deleted, is.Status())
	is.DeletedAt = was.DeletedAt
	assert.Equal(f, was, is, "only the time of the delete is new")
	f.hidden("s", store.ErrStreamDeleted)
	assert.Len(f, f.all(), 3)
	_, err := f.es.Event(f.ctx, source[0].ID)
	assert.NoError(f, err)
}

func deleteSoftFinal(f *fixture) {
	f.fill("s", 2)
	source := f.fill("source", 1)
	f.delete("s", store.SoftDelete)
	was := f.info("s")
	for _, e := range []store.Expected{store.Any, store.NoStream, store.StreamExists, store.Version(2), store.Version(0)} {
		_, err := f.es.Append(f.ctx, "s", e, events(1)...)
		assert.ErrorIs(f, err, store.ErrStreamDeleted, "append, %s", e)
		_, err = f.es.Link(f.ctx, "s", e, source[0].ID)
		assert.ErrorIs(f, err, store.ErrStreamDeleted, "link, %s", e)
		err = f.es.Delete(f.ctx, "s", e, store.SoftDelete)
		assert.ErrorIs(f, err, store.ErrStreamDeleted, "delete, %s", e)
	}
	assert.Equal(f, was, f.info("s"))
	assert.Len(f, f.all(), 3)
}

func deleteHard(f *fixture) {
	gone := f.fill("s", 3)
	f.fill("other", 1)
	f.delete("s", store.HardDelete)
	_, err := f.es.StreamInfo(f.ctx, "s")
	assert.ErrorIs(f, err, store.ErrStreamNotFound)
	f.hidden("s", store.ErrStreamNotFound)
	for _, e := range gone {
		_, err = f.es.Event(f.ctx, e.ID)
		assert.ErrorIs(f, err, store.ErrEventNotFound)
	}
	assert.Equal(f, []string{"other@1"}, origins(f.all()))
	assert.ErrorIs(f, f.es.Delete(f.ctx, "s", store.Any, store.HardDelete), store.ErrStreamNotFound)
	page, err := f.es.Streams(f.ctx, nil)
	require.NoError(f, err)
	assert.Len(f, page.Streams, 1)
}

func deleteHardAfterSoft(f *fixture) {
	f.link("links", store.NoStream, f.fill("s", 3)...)
	f.delete("s", store.SoftDelete)
	require.ErrorIs(f, f.es.Delete(f.ctx, "s", store.Version(2), store.HardDelete), store.ErrWrongExpectedVersion)
	require.NoError(f, f.es.Delete(f.ctx, "s", store.Version(3), store.HardDelete))
	f.hidden("s", store.ErrStreamNotFound)
	assert.Empty(f, f.all())
	assert.Empty(f, f.read("links", nil))
	f.append("s", store.NoStream, events(1)...)
	assert.Equal(f, store.Active, f.info("s").Status())
}

func deleteHardWithLinks(f *fixture) {
	source := f.fill("source", 3)
	f.link("links", store.NoStream, source...)
	f.link("others", store.NoStream, source...)
	f.delete("links", store.HardDelete)
	assert.Equal(f, source, f.read("source", nil), "the originals")
	assert.Equal(f, span(1, 3), numbers(f.read("others", nil)), "other links")
	assert.Equal(f, span(1, 3), numbers(f.all()), "$all")
	f.hidden("links", store.ErrStreamNotFound)
}

func deleteHardMixed(f *fixture) {
	source := f.fill("source", 2)
	f.link("mixed", store.NoStream, source[0])
	own := f.fill("mixed", 2)
	f.link("mixed", store.Any, source[1])
	f.link("links", store.NoStream, own[0], source[0], own[1])
	f.delete("mixed", store.HardDelete)
	assert.Equal(f, []int64{2}, numbers(f.read("links", nil)))
	assert.Equal(f, span(1, 2), numbers(f.all()))
	assert.Equal(f, source, f.read("source", nil))
	_, err := f.es.Event(f.ctx, own[1].ID)
	assert.ErrorIs(f, err, store.ErrEventNotFound)
}

func deleteRecreated(f *fixture) {
	f.fill("s", 3)
	was := f.info("s")
	f.delete("s", store.HardDelete)
	assert.Equal(f, int64(1), f.append("s", store.NoStream, events(2)...).First)
	is := f.info("s")
	assert.NotEqual(f, was.ID, is.ID)
	assert.Equal(f, int64(2), is.Version)
	assert.True(f, is.DeletedAt.IsZero())
	got := f.read("s", nil)
	assert.Equal(f, span(1, 2), numbers(got))
	assert.Equal(f, []int64{4, 5}, numbers(f.all()))
	again := is.ID
	f.delete("s", store.HardDelete)
	f.link("s", store.NoStream, f.fill("source", 1)...)
	assert.NotContains(f, []int64{was.ID, again}, f.info("s").ID)
}

func deleteOthers(f *fixture) {
	for _, name := range []string{"s", "S", "s1", "s%", "_", "ss"} {
		f.fill(name, 2)
	}
	f.delete("s", store.SoftDelete)
	f.delete("_", store.HardDelete)
	f.delete("s%", store.HardDelete)
	for _, name := range []string{"S", "s1", "ss"} {
		assert.Equal(f, store.Active, f.info(name).Status(), name)
		assert.Len(f, f.read(name, nil), 2, name)
	}
	assert.Len(f, f.all(), 8)
}

func deleteDisabled(f *fixture) {
	for name, opts := range sorted(map[string]*store.Options{"nil": nil, "default": {}}) {
		f.sub(name, func(f *fixture) {
			f.fill(name, 2)
			es := f.open(opts)
			err := es.Delete(f.ctx, name, store.Version(2), store.HardDelete)
			var refused *store.StreamError
			require.ErrorAs(f, err, &refused)
			assert.Equal(f, store.StreamError{Stream: name, Err: store.ErrHardDeleteDisabled}, *refused)
			assert.Len(f, f.read(name, nil), 2)
			require.NoError(f, es.Delete(f.ctx, name, store.Version(2), store.SoftDelete), "a soft delete needs no option")
			assert.ErrorIs(f, es.Delete(f.ctx, name, store.Any, store.HardDelete), store.ErrHardDeleteDisabled)
			assert.Equal(f, store.Deleted, f.info(name).Status())
		})
	}
}

func deleteLarge(f *fixture) {
	for i := range 5 {
		f.append("s", store.Any, events(500)...)
		f.append(fmt.Sprint("keep", i), store.NoStream, events(1)...)
	}
	f.delete("s", store.HardDelete)
	assert.Equal(f, []int64{501, 1002, 1503, 2004, 2505}, numbers(f.all()))
	assert.Equal(f, int64(2505), f.head())
}
