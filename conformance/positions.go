package conformance

import (
	"math"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

const whyPositionAt = "a program that reads the past needs the position at which the past ended, whatever the creation times of events say"

var positionCases = []testCase{
	{name: "position-at/between", run: positionBetween, why: whyPositionAt},
	{name: "position-at/ends", run: positionEnds, why: "a time before all events is position 0, and a time after them is the head"},
	{name: "position-at/many", run: positionMany, why: "the search finds each boundary, however many events there are"},
	{name: "position-at/hard-deleted", run: positionDeleted, why: "positions that a hard delete has left unused do not lead the search astray"},
}

var versionAtCases = []testCase{
	{name: "version-at/all", run: versionAtAll, why: "a stream as it was at a position is its events up to a version"},
	{name: "version-at/links", run: versionAtLinks, why: "links have no position; they must not lead the search astray"},
	{name: "version-at/errors", run: versionAtErrors, why: "a stream that can't be read has no past that can"},
}

func (f *fixture) versionAt(stream string, position int64) int64 {
	f.Helper()
	version, err := f.es.VersionAt(f.ctx, stream, position)
	require.NoError(f, err)
	return version
}

// pastVersions checks the versions of streams at all positions by what reading all events tells.
func (f *fixture) pastVersions(streams ...string) {
	f.Helper()
	whole := f.all()
	at := map[string]int64{}
	head := f.head()
	for position := range head + 2 {
		for _, e := range whole {
			if e.Number == position {
				at[e.Stream] = e.Version
			}
		}
		for _, stream := range streams {
			require.Equal(f, at[stream], f.versionAt(stream, position), "%q at %d", stream, position)
		}
	}
	for _, stream := range streams {
		assert.Equal(f, at[stream], f.versionAt(stream, math.MaxInt64))
	}
}

func versionAtAll(f *fixture) {
	for i := range 12 {
		f.append("a", store.Any, events(1+i%3)...)
		if i%2 == 0 {
			f.append("b", store.Any, events(1)...)
		}
	}
	f.append("late", store.NoStream, events(2)...)
	f.pastVersions("a", "b", "late")
	f.append("a", store.Any, events(1)...)
	assert.Equal(f, f.info("a").Version, f.versionAt("a", math.MaxInt64), "what was committed before the call counts")
}

func versionAtLinks(f *fixture) {
	source := f.fill("source", 4)
	gone := f.fill("gone", 4)
	f.link("s", store.NoStream, source[:2]...)
	f.fill("s", 2)
	f.link("s", store.Any, gone...)
	f.fill("s", 3)
	f.link("s", store.Any, source[2:]...)
	f.link("links", store.NoStream, source...)
	f.pastVersions("s", "source", "gone", "links")
	f.delete("gone", store.HardDelete)
	f.fill("s", 1)
	f.pastVersions("s", "source", "links")
}

func versionAtErrors(f *fixture) {
	f.fill("s", 2)
	_, err := f.es.VersionAt(f.ctx, "absent", 1)
	require.ErrorIs(f, err, store.ErrStreamNotFound)
	_, err = f.es.VersionAt(f.ctx, store.All, 1)
	f.invalid(err, "stream")
	_, err = f.es.VersionAt(f.ctx, "", 1)
	f.invalid(err, "stream")
	_, err = f.es.VersionAt(f.ctx, "s", -1)
	f.invalid(err, "position")
	f.delete("s", store.SoftDelete)
	_, err = f.es.VersionAt(f.ctx, "s", 1)
	require.ErrorIs(f, err, store.ErrStreamDeleted)
	f.delete("s", store.HardDelete)
	_, err = f.es.VersionAt(f.ctx, "s", 1)
	require.ErrorIs(f, err, store.ErrStreamNotFound)
}

func (f *fixture) positionAt(t time.Time) int64 {
	f.Helper()
	position, err := f.es.PositionAt(f.ctx, t)
	require.NoError(f, err)
	return position
}

func positionBetween(f *fixture) {
	s := f.keeper()
	var between []time.Time
	for range 4 {
		f.later(f.clock(s))
		between = append(between, f.clock(s))
		f.later(f.clock(s))
		young := store.Event{Type: "young", CreatedAt: time.Now().AddDate(10, 0, 0)}
		f.append("a", store.Any, old(), young)
		f.append("b", store.Any, young)
		f.head() // by now they have their positions
	}
	for n, t := range between {
		assert.Equal(f, int64(3*n), f.positionAt(t))
		at := f.arrived(s, store.All, int64(3*n))
		assert.Equal(f, int64(3*n), f.positionAt(at), "the position given at that time is not before it")
		assert.Equal(f, int64(3*n), f.positionAt(at.Add(-time.Nanosecond)))
		after := f.positionAt(at.Add(time.Nanosecond))
		assert.GreaterOrEqual(f, after, int64(3*n+2), "the events of one append got their positions together")
		assert.LessOrEqual(f, after, int64(3*n+3))
	}
}

func positionEnds(f *fixture) {
	past, future := time.Now().AddDate(-20, 0, 0), time.Now().AddDate(20, 0, 0)
	times := []time.Time{past, future, {}, time.Unix(0, 0), time.Unix(math.MaxInt64/2, 0), time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, t := range times {
		assert.Zero(f, f.positionAt(t), "%s, of an empty store", t)
	}
	f.append("a", store.Any, old(), old())
	f.append("b", store.Any, old())
	assert.Equal(f, int64(3), f.positionAt(future), "what was committed before the call counts")
	for _, t := range times {
		want := int64(0)
		if t.After(time.Now()) {
			want = 3
		}
		assert.Equal(f, want, f.positionAt(t), t)
	}
}

func positionMany(f *fixture) {
	s := f.keeper()
	const n = 40
	sizes := []int{1, 3, 2, 1, 1}
	ends := map[int64]time.Time{}
	for i := range n {
		f.append("s", store.Any, events(sizes[i%len(sizes)])...)
		head := f.head()
		f.later(f.clock(s))
		ends[head] = f.clock(s)
		f.later(f.clock(s))
	}
	for head, t := range ends {
		assert.Equal(f, head, f.positionAt(t))
	}
}

func positionDeleted(f *fixture) {
	s := f.keeper()
	var between []time.Time
	for i := range 20 {
		stream := "kept"
		if i < 2 || i%3 > 0 || i > 15 {
			stream = "gone"
		}
		f.append(stream, store.Any, events(2)...)
		f.head()
		f.later(f.clock(s))
		between = append(between, f.clock(s))
		f.later(f.clock(s))
	}
	f.delete("gone", store.HardDelete)
	kept := numbers(f.all())
	last := int64(0)
	for i, t := range between {
		given := int64(2 * (i + 1)) // the last position given before t, used or not
		there := int64(0)
		for _, n := range kept {
			if n <= given {
				there = n
			}
		}
		position := f.positionAt(t)
		assert.GreaterOrEqual(f, position, there, "an event that got its position before is covered")
		assert.LessOrEqual(f, position, given, "no later event is covered")
		assert.GreaterOrEqual(f, position, last, "positions go up with time")
		last = position
	}
}
