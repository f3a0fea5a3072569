package conformance

import (
	"errors"
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var pinnedCases = []testCase{
	{name: "read/replaced", run: readReplaced, why: "a read returns events of one stream: it never mixes a deleted stream with its successor, and never ends early without an error"},
	{name: "read/pinned", run: readPinned, why: "a caller that pages by number can pin all pages to one stream"},
	{name: "read/seen", run: readSeen, why: "a read returns the version to expect, even if the last event can't be read any more"},
	{name: "read/seen-backward", run: readSeenBackward, why: "a backward read returns the version to expect, too"},
	{name: "filter/pinned", run: filterPinned, why: "a filtered read returns events of the requested stream only"},
	{name: "between/pages-replaced", tx: besideTx, run: betweenPagesReplaced, why: "if a stream is deleted and written again during a read of many pages, the read returns one of the two, or an error"},
	{name: "between/pages-replaced-links", tx: besideTx, run: betweenPagesReplacedLinks, why: "if a stream of links is deleted and written again during a read of many pages, the read returns one of the two, or an error"},
	{name: "between/seen", tx: besideTx, run: betweenSeen, why: "an append with the version that a read has seen never follows an event that the read did not return"},
	{name: "open-tx/replaced", tx: writersBesideTx, run: openTxReplaced, why: "in a transaction in which each statement sees new commits, a read still returns events of one stream"},
}

// renewals are what may happen to a stream that is read.
var renewals = []struct {
	name  string
	again int // events in the stream that takes the name, if not 0
	links bool
}{{"gone", 0, false}, {"shorter", 1, false}, {"longer", 7, false}, {"links", 7, true}}

// pinnable makes a stream of six events, own or linked.
func (f *fixture) pinnable(stream string, links bool) []store.Recorded {
	f.Helper()
	if !links {
		return f.fill(stream, 6)
	}
	own := f.fill(stream, 1)
	f.link(stream, store.Any, f.fill("source of "+stream, 4)...)
	f.fill(stream, 1)
	return append(own, f.read(stream, &store.ReadOptions{From: 2})...)
}

func readReplaced(f *fixture) {
	n := 0
	for _, links := range []bool{false, true} {
		for _, renewal := range renewals {
			f.sub(fmt.Sprintf("%s/linked=%v", renewal.name, links), func(f *fixture) {
				for _, backward := range []bool{false, true} {
					n++
					stream := fmt.Sprint("s", n)
					f.pinnable(stream, links)
					o := &store.ReadOptions{PageSize: 2, Backward: backward, Seen: &store.Seen{StreamID: 7, Version: 7}}
					old := f.read(stream, o)
					require.Len(f, old, 6)
					var got []store.Recorded
					var failed error
					for e, err := range f.es.Stream(f.ctx, stream, o) {
						require.NoError(f, failed, "the sequence went on after an error")
						if failed = err; err != nil {
							continue
						}
						if got = append(got, e); len(got) == 1 {
							f.delete(stream, store.HardDelete)
							if renewal.links {
								f.link(stream, store.Any, f.fill("new source of "+stream, renewal.again)...)
							} else if renewal.again > 0 {
								f.fill(stream, renewal.again)
							}
						}
					}
					require.ErrorIs(f, failed, store.ErrStreamReplaced, "backward: %v", backward)
					var named *store.StreamError
					require.ErrorAs(f, failed, &named)
					assert.Equal(f, stream, named.Stream)
					require.GreaterOrEqual(f, len(got), 2, "what was read before is returned")
					require.Less(f, len(got), 6)
					assert.Equal(f, old[:len(got)], got, "backward: %v", backward)
					assert.Zero(f, *o.Seen, "a read that has failed has seen nothing")
				}
			})
		}
	}
	f.sub("soft", func(f *fixture) {
		f.fill("soft", 6)
		var failed error
		for _, err := range f.es.Stream(f.ctx, "soft", &store.ReadOptions{PageSize: 2}) {
			if failed = err; err == nil && f.info("soft").Status() == store.Active {
				f.delete("soft", store.SoftDelete)
			}
		}
		assert.ErrorIs(f, failed, store.ErrStreamDeleted)
	})
}

func readPinned(f *fixture) {
	for _, links := range []bool{false, true} {
		f.sub(fmt.Sprintf("linked=%v", links), func(f *fixture) {
			stream := fmt.Sprint("pinned", links)
			f.pinnable(stream, links)
			old := f.info(stream).ID
			reads := []store.ReadOptions{{PageSize: 2}, {From: 3, PageSize: 2}, {After: 2}, {Backward: true}, {Backward: true, Before: 3}, {From: 99}}
			check := func(id int64, is error) {
				f.Helper()
				for _, o := range reads {
					o.StreamID = id
					page, err := f.es.Page(f.ctx, stream, &o)
					require.ErrorIs(f, err, is, "page %+v", o)
					assert.Equal(f, is == nil && o.From < 99, len(page) > 0, "page %+v", o)
					list, err := collect(f, f.es.Stream(f.ctx, stream, &o))
					require.ErrorIs(f, err, is, "stream %+v", o)
					assert.Equal(f, is == nil && o.From < 99, len(list) > 0, "stream %+v", o)
				}
			}
			check(old, nil)
			check(old+1_000_000, store.ErrStreamReplaced)
			f.delete(stream, store.HardDelete)
			check(old, store.ErrStreamReplaced)
			f.fill(stream, 7)
			check(old, store.ErrStreamReplaced)
			check(f.info(stream).ID, nil)
			f.delete(stream, store.SoftDelete)
			check(old, store.ErrStreamReplaced)
			check(f.info(stream).ID, store.ErrStreamDeleted)
		})
	}
	f.fill("s", 1)
	for _, id := range []int64{-1, 1} {
		_, err := f.es.Page(f.ctx, store.All, &store.ReadOptions{StreamID: id})
		f.invalid(err, "stream_id")
	}
}

// ends makes streams whose last readable event is at another version than the stream, or not, and returns their versions.
func (f *fixture) ends() map[string]int64 {
	f.Helper()
	gone := f.fill("gone", 8)
	f.fill("own", 4)
	f.fill("hole", 3)
	f.link("hole", store.Any, gone[0])
	f.link("hole in the middle", store.Any, gone[1])
	f.fill("hole in the middle", 3)
	f.fill("holes", 1)
	f.link("holes", store.Any, gone[2:5]...)
	f.link("nothing left", store.Any, gone[5:7]...)
	f.link("links", store.Any, f.fill("source", 4)...)
	f.delete("gone", store.HardDelete)
	return map[string]int64{"own": 4, "hole": 4, "hole in the middle": 4, "holes": 4, "nothing left": 2, "links": 4}
}

func readSeen(f *fixture) {
	for stream, version := range sorted(f.ends()) {
		f.sub(stream, func(f *fixture) {
			id := f.info(stream).ID
			for _, size := range []int{0, 1, 2, 3, 4, 5} {
				for _, from := range []int64{0, 1, version, version + 1, version + 9} {
					var seen store.Seen
					f.read(stream, &store.ReadOptions{PageSize: size, From: from, Seen: &seen})
					assert.Equal(f, store.Seen{StreamID: id, Version: version}, seen, "page size %d from %d", size, from)
				}
			}
			var seen store.Seen
			_, err := f.es.Page(f.ctx, stream, &store.ReadOptions{Seen: &seen})
			require.NoError(f, err)
			assert.Equal(f, store.Seen{StreamID: id, Version: version}, seen)
			if got := f.read(stream, &store.ReadOptions{Limit: 1, Seen: &seen}); len(got) == 1 {
				assert.Equal(f, store.Seen{StreamID: id, Version: got[0].Number}, seen, "there may be more behind the limit")
			}
			f.read(stream, &store.ReadOptions{Seen: &seen})
			res := f.append(stream, seen.Expected(), events(1)...)
			assert.Equal(f, version+1, res.Last)
			_, err = f.es.Append(f.ctx, stream, seen.Expected(), events(1)...)
			assert.ErrorIs(f, err, store.ErrWrongExpectedVersion, "something else was appended meanwhile")
		})
	}
	f.sub("absent", func(f *fixture) {
		seen := store.Seen{StreamID: 7, Version: 7}
		_, err := collect(f, f.es.Stream(f.ctx, "absent", &store.ReadOptions{Seen: &seen}))
		require.ErrorIs(f, err, store.ErrStreamNotFound)
		assert.Zero(f, seen)
		seen = store.Seen{StreamID: 7, Version: 7}
		_, err = f.es.Page(f.ctx, "absent", &store.ReadOptions{Seen: &seen})
		require.ErrorIs(f, err, store.ErrStreamNotFound)
		assert.Zero(f, seen)
		f.append("absent", seen.Expected(), events(1)...)
	})
	f.sub("left", func(f *fixture) {
		seen := store.Seen{StreamID: 7, Version: 7}
		for _, err := range f.es.Stream(f.ctx, "own", &store.ReadOptions{PageSize: 2, Seen: &seen}) {
			require.NoError(f, err)
			break
		}
		assert.Zero(f, seen, "what was fetched was not seen")
	})
}

func readSeenBackward(f *fixture) {
	for stream, version := range sorted(f.ends()) {
		id := f.info(stream).ID
		for _, size := range []int{0, 1, 2, 3, 4, 5} {
			for _, limit := range []int{0, 1, 2} {
				for _, before := range []int64{0, 1, 2, version + 1, version + 9, store.End} {
					var seen store.Seen
					f.read(stream, &store.ReadOptions{PageSize: size, Limit: limit, Before: before, Backward: true, Seen: &seen})
					want := store.Seen{StreamID: id, Version: version}
					if before == 1 || before == 2 {
						want.Version = before - 1
					}
					assert.Equal(f, want, seen, "%s, page size %d, limit %d, before %d", stream, size, limit, before)
				}
			}
		}
	}
}

func filterPinned(f *fixture) {
	s := f.keeper()
	f.pinnable("s", true)
	old := f.info("s").ID
	read := func(id int64, filter store.EventFilter) ([]store.Recorded, error) {
		page, _, err := s.ReadFiltered(f.ctx, store.ReadRequest{Stream: "s", StreamID: id, From: 1, Limit: 100}, filter)
		return page, err
	}
	for _, filter := range []store.EventFilter{{}, {Types: []string{"counted"}}} {
		page, err := read(old, filter)
		require.NoError(f, err)
		assert.Len(f, page, 6)
	}
	for _, again := range []int{0, 7} {
		if f.delete("s", store.HardDelete); again > 0 {
			f.fill("s", again)
		}
		for _, filter := range []store.EventFilter{{}, {Types: []string{"counted"}}} {
			page, err := read(old, filter)
			require.ErrorIs(f, err, store.ErrStreamReplaced)
			assert.Empty(f, page)
		}
		f.fill("s", 1)
	}
}

func betweenPagesReplaced(f *fixture) { f.betweenPages(false) }

func betweenPagesReplacedLinks(f *fixture) { f.betweenPages(true) }

// betweenPages reads streams of several pages that are replaced meanwhile.
func (f *fixture) betweenPages(links bool) {
	for _, backward := range []bool{false, true} {
		for n := int64(1); ; n++ {
			stream := fmt.Sprintf("backward %v %d", backward, n)
			o := &store.ReadOptions{PageSize: 2, Backward: backward}
			f.pinnable(stream, links)
			was := f.read(stream, o)
			changed := false
			got, err := collect(f, f.es.Stream(f.between(n, func() {
				changed = true
				f.within(func(in *fixture) {
					in.removed(stream, store.HardDelete)
					in.append(stream, store.NoStream, events(7)...)
				})
			}), stream, o))
			if !changed {
				break
			}
			switch {
			case errors.Is(err, store.ErrStreamReplaced):
				require.LessOrEqual(f, len(got), len(was), "statement %d", n) // the end is looked for, too
				assert.Equal(f, was[:len(got)], got, "statement %d", n)
			case !assert.NoError(f, err, "statement %d", n):
			case len(got) == len(was):
				assert.Equal(f, was, got, "statement %d", n)
			default:
				assert.Equal(f, f.read(stream, o), got, "statement %d", n)
			}
		}
	}
}

func betweenSeen(f *fixture) {
	for _, backward := range []bool{false, true} {
		for n := int64(1); ; n++ {
			stream := fmt.Sprintf("backward %v %d", backward, n)
			f.fill(stream, 2)
			f.link(stream, store.Any, f.fill("gone", 2)...)
			f.delete("gone", store.HardDelete)
			changed := false
			var seen store.Seen
			o := &store.ReadOptions{Backward: backward, Seen: &seen}
			got, err := collect(f, f.es.Stream(f.between(n, func() {
				changed = true
				f.within(func(in *fixture) { in.append(stream, store.Any, events(1)...) })
			}), stream, o))
			if !changed {
				break
			}
			require.NoError(f, err, "statement %d", n)
			now := f.read(stream, &store.ReadOptions{Backward: backward})
			if _, err := f.es.Append(f.ctx, stream, seen.Expected(), events(1)...); err == nil {
				assert.Equal(f, now, got, "statement %d: the append followed an event that was not read", n)
			} else {
				assert.ErrorIs(f, err, store.ErrWrongExpectedVersion, "statement %d", n)
			}
		}
	}
}

func openTxReplaced(f *fixture) {
	for _, links := range []bool{false, true} {
		for _, backward := range []bool{false, true} {
			stream := fmt.Sprintf("s %v %v", links, backward)
			f.pinnable(stream, links)
			o := &store.ReadOptions{PageSize: 2, Backward: backward}
			was := f.read(stream, o)
			in := f.in(f.begin())
			var got []store.Recorded
			var failed error
			for e, err := range in.es.Stream(f.ctx, stream, o) {
				if failed = err; err != nil {
					break
				}
				if got = append(got, e); len(got) == 1 {
					f.within(func(other *fixture) {
						other.removed(stream, store.HardDelete)
						other.append(stream, store.NoStream, events(7)...)
					})
				}
			}
			if failed == nil { // the transaction has one snapshot
				assert.Equal(f, was, got)
				continue
			}
			assert.ErrorIs(f, failed, store.ErrStreamReplaced)
			assert.Equal(f, was[:len(got)], got)
			in.append("after "+stream, store.NoStream, events(1)...)
		}
	}
}
