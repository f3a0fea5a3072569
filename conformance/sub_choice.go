package conformance

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subChoiceCases = []testCase{
	{name: "sub/selector", tx: noTx, run: subSelector, why: "an event that a selector leaves out is never sent, and the checkpoint passes it"},
	{name: "sub/selector-none", tx: noTx, run: subSelectorNone, why: "a subscription that selects nothing still comes forward, with few writes, and Next gives no empty batches"},
	{name: "sub/mapper", tx: noTx, run: subMapper, why: "a subscriber gets what the mapper makes of an event, each time it is sent, and acknowledges it by its number"},
	{name: "sub/filter-types", tx: noTx, run: subFilterTypes, why: "a filter chooses the same events in history and live, and the checkpoint passes the others"},
	{name: "sub/filter-prefix", tx: noTx, run: subFilterPrefix, why: "a prefix is taken byte by byte, and is that of the stream an event was appended to"},
	{name: "sub/filter-and-selector", tx: noTx, run: subFilterAndSelector, why: "a filter and a selector both have to choose an event"},
	{name: "sub/filtered-behind-open", tx: noTx, run: subFilteredBehindOpen, why: "while an event is not acknowledged, what is left out behind it costs no memory and no second look"},
	{name: "sub/many-filtered", tx: noTx, run: subManyFiltered, why: "events that a filter leaves out are not fetched"},
}

// ofTypes appends events of the given types, one each.
func (f *fixture) ofTypes(stream string, types ...string) {
	f.Helper()
	list := events(len(types))
	for i, t := range types {
		list[i].Type = t
	}
	f.append(stream, store.Any, list...)
}

func even(e store.Recorded) bool { return e.Number%2 == 0 }

func none(store.Recorded) bool { return false }

func subSelector(f *fixture) {
	f.fill("s", 9)
	p := f.party()
	r := p.subscribe("s", subscription, &store.SubscribeOptions{Selector: even, CheckpointThreshold: 1, BufferSize: 2})
	f.takes(r, 2, 4, 6, 8)
	f.saved("s", subscription, 9)
	p.fill("s", 4)
	f.takes(r, 10, 12)
	require.NoError(f, r.Close())
	f.saved("s", subscription, 13)
}

func subSelectorNone(f *fixture) {
	f.fill("s", 2000)
	p := f.party()
	r := p.live("s", subscription, &store.SubscribeOptions{Selector: none, CheckpointAfter: 10 * time.Millisecond})
	f.saved("s", subscription, 2000)
	writes := p.tap.count("SaveCheckpoint")
	assert.LessOrEqual(f, writes, 10, "checkpoints written for 2,000 events")
	f.idle(r, "nothing is selected")
	p.fill("s", 3)
	f.idle(r, "nothing is selected")
	f.saved("s", subscription, 2003)

	rare := p.subscribe("s", "rare", &store.SubscribeOptions{Selector: func(e store.Recorded) bool { return e.Number == 2004 }})
	p.fill("s", 1)
	f.takes(rare, 2004)
}

func subMapper(f *fixture) {
	f.fill("s", 3)
	p := f.party()
	r := p.subscribe("s", subscription, &store.SubscribeOptions{Mapper: func(e store.Recorded) (store.Recorded, error) {
		return store.Recorded{Number: 100 + e.Number, Type: fmt.Sprint("mapped ", e.Version)}, nil
	}})
	check := func(events []store.Recorded) {
		for i, e := range events {
			assert.Equal(f, fmt.Sprint("mapped ", i+1), e.Type)
		}
		assert.Equal(f, span(1, 3), numbers(events))
	}
	got := f.hold(r, 3)
	check(got)
	require.NoError(f, r.Nack(f.ctx, got...))
	check(f.hold(r, 3))
	require.NoError(f, r.AckNumber(f.ctx, 3))
	require.NoError(f, r.Close())
	f.saved("s", subscription, 3)
}

func subFilterTypes(f *fixture) {
	f.ofTypes("s", "a", "b", "c", "b", "a")
	f.ofTypes("t", "b", "c")
	p := f.party()
	opts := &store.SubscribeOptions{Filter: store.EventFilter{Types: []string{"b", "missing"}}, CheckpointThreshold: 1, CheckpointAfter: time.Millisecond}
	onStream, onAll := p.subscribe("s", subscription, opts), p.subscribe(store.All, subscription, opts)
	opts.Filter.Types[0] = "c" // the subscription has its own copy
	f.takes(onStream, 2, 4)
	f.takes(onAll, 2, 4, 6)
	f.saved("s", subscription, 5)
	f.saved(store.All, subscription, 7)
	f.ofTypes("s", "c", "b", "a")
	f.takes(onStream, 7)
	f.takes(onAll, 9)
	f.saved("s", subscription, 8)
	f.saved(store.All, subscription, 10)
	source := f.read("t", nil)
	f.link("s", store.Any, source...)
	f.takes(onStream, 9)
}

func subFilterPrefix(f *fixture) {
	streams := []string{"a%b-1", "axb-1", "a%b", "b", "a%b-2", "A%B-1"}
	for _, s := range streams {
		f.fill(s, 1)
	}
	f.link("a%b-links", store.NoStream, f.read("b", nil)...)
	f.link("links", store.NoStream, f.all()...)
	p := f.party()
	opts := &store.SubscribeOptions{Filter: store.EventFilter{StreamPrefix: "a%b-"}}
	onAll, onLinks := p.subscribe(store.All, subscription, opts), p.subscribe("links", subscription, opts)
	f.takes(onAll, 1, 5)
	f.takes(onLinks, 1, 5)
	for _, s := range streams {
		f.fill(s, 1)
	}
	f.takes(onAll, 7, 11)
	f.link("links", store.Any, f.read(store.All, &store.ReadOptions{From: 10})...)
	f.takes(onLinks, 8)
	require.NoError(f, onLinks.Close())
	f.saved("links", subscription, 9)
}

func subFilterAndSelector(f *fixture) {
	p := f.party()
	opts := &store.SubscribeOptions{
		Filter:   store.EventFilter{Types: []string{"a", "b"}, StreamPrefix: "x"},
		Selector: func(e store.Recorded) bool { return !strings.HasSuffix(e.Stream, "3") },
	}
	write := func() {
		for _, s := range []string{"x1", "y1", "x2", "x3"} {
			f.ofTypes(s, "a", "b", "c")
		}
	}
	write()
	r := p.live(store.All, subscription, opts)
	f.takes(r, 1, 2, 7, 8)
	write()
	f.takes(r, 13, 14, 19, 20)
}

func subFilteredBehindOpen(f *fixture) {
	const n = 3000
	f.fill("s", n)
	p := f.party()
	r := p.subscribe("s", subscription, &store.SubscribeOptions{
		Selector: func(e store.Recorded) bool { return e.Number == 1 || e.Number == n }, MaxSize: 10, CheckpointAfter: time.Millisecond,
	})
	got := f.hold(r, 2)
	assert.Equal(f, []int64{1, n}, numbers(got))
	assert.LessOrEqual(f, p.tap.events("ReadStream"), n+10, "events read")
	f.glance()
	f.saved("s", subscription, 0)
	f.ack(r, got[0])
	f.saved("s", subscription, n-1)
	f.ack(r, got[1])
	f.saved("s", subscription, n)
}

func subManyFiltered(f *fixture) {
	list := events(1200)
	for i := range list {
		if i%100 == 99 {
			list[i].Type = "rare"
		}
	}
	f.append("s", store.NoStream, list...)
	p := f.party()
	for _, stream := range []string{"s", store.All} {
		opts := &store.SubscribeOptions{Filter: store.EventFilter{Types: []string{"rare"}}, MaxSize: 5, BufferSize: 2}
		got := f.take(p.subscribe(stream, subscription, opts), 12)
		for i, e := range got {
			assert.EqualValues(f, 100*(i+1), e.Number)
		}
	}
	assert.Less(f, p.tap.events("ReadFiltered"), 240, "events fetched, of 2400: the 24, those that pages begin and end with, and the last one at each look for new ones")
	assert.Zero(f, p.tap.count("ReadStream"))
}

var errCallback = errors.New("this callback has failed")
