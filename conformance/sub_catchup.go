package conformance

import (
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subCatchUpCases = []testCase{
	{name: "sub/catch-up-all", tx: noTx, run: subCatchUpAll, why: "from history to live, no event of $all is lost, repeated, or out of order, while others append"},
	{name: "sub/catch-up-stream", tx: noTx, run: subCatchUpStream, why: "from history to live nothing of a stream is lost, repeated, or out of order"},
	{name: "sub/catch-up-links", tx: noTx, run: subCatchUpLinks, why: "a stream of links can be subscribed to, and links are new events there"},
	{name: "sub/absent-stream", tx: noTx, run: subAbsentStream, why: "a stream may be subscribed to before it is there"},
	{name: "sub/large-append", tx: noTx, run: subLargeAppend, why: "an append larger than the queue is delivered like any other"},
	{name: "sub/many", tx: noTx, run: subMany, why: "new events are read once, however many subscriptions there are"},
	{name: "sub/recorded", tx: noTx, run: subRecorded, why: "a subscriber gets events as a reader does"},
}

// whileAppending calls f while several writers append, and returns how many events they have appended.
func (f *fixture) whileAppending(p *party, stream func(writer int) string, then func(total int)) {
	const writers, rounds, size = 4, 15, 3
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			for range rounds {
				es := p.store
				if w%2 == 0 {
					es = f.store
				}
				if _, err := es.Append(f.ctx, stream(w), store.Any, events(size)...); err != nil {
					errs[w] = err
					return
				}
			}
		})
	}
	then(writers * rounds * size)
	wg.Wait()
	for _, err := range errs {
		require.NoError(f, err)
	}
}

func subCatchUpAll(f *fixture) {
	for n, opts := range []store.SubscribeOptions{{}, {MaxSize: 7, BufferSize: 3}, {BufferSize: 1}} {
		f.fill(fmt.Sprint("history", n), 150)
		before := int(f.head())
		p := f.party()
		f.whileAppending(p, func(w int) string { return fmt.Sprint("s", w) }, func(total int) {
			r := p.subscribe(store.All, fmt.Sprint(subscription, n), &opts)
			got := f.take(r, before+total)
			same(f, span(1, int64(before+total)), numbers(got), "positions")
		})
		require.NoError(f, p.Close())
	}
}

func subCatchUpStream(f *fixture) {
	f.fill("s", 150)
	f.fill("other", 10)
	p := f.party()
	f.whileAppending(p, func(int) string { return "s" }, func(total int) {
		f.takes(p.subscribe("s", "one", nil), span(1, int64(150+total))...)
		f.takes(p.subscribe("s", "small", &store.SubscribeOptions{MaxSize: 5}), span(1, int64(150+total))...)
	})
}

func subCatchUpLinks(f *fixture) {
	source := f.fill("source", 30)
	f.link("links", store.NoStream, source[:10]...)
	p := f.party()
	r := p.subscribe("links", subscription, nil)
	got := f.take(r, 10)
	assert.Equal(f, span(1, 10), numbers(got))
	assert.Equal(f, origins(source[:10]), origins(got))
	f.link("links", store.Any, source[10:20]...)
	f.fill("links", 2)
	f.link("links", store.Any, source[20:]...)
	got = f.take(r, 22)
	same(f, span(11, 32), numbers(got), "numbers")
	want := slices.Concat(origins(source[10:20]), []string{"links@21", "links@22"}, origins(source[20:]))
	same(f, want, origins(got), "origins")
}

func subAbsentStream(f *fixture) {
	p := f.party()
	own, links := p.live("s", subscription, nil), p.live("links", subscription, nil)
	current := p.live("s", "current", &store.SubscribeOptions{Start: store.StartCurrent})
	source := f.fill("s", 3)
	f.takes(own, 1, 2, 3)
	f.takes(current, 1, 2, 3)
	f.link("links", store.NoStream, source[1])
	f.takes(links, 1)
	f.fill("s", 1)
	f.takes(own, 4)
}

func subLargeAppend(f *fixture) {
	p := f.party()
	opts := &store.SubscribeOptions{MaxSize: 3, BufferSize: 2}
	f.fill("s", 20)
	onStream, onAll := p.subscribe("s", subscription, opts), p.subscribe(store.All, subscription, opts)
	f.takes(onStream, span(1, 20)...)
	f.takes(onAll, span(1, 20)...)
	p.fill("s", 20)
	f.takes(onStream, span(21, 40)...)
	f.takes(onAll, span(21, 40)...)
	p.fill("s", 1)
	f.takes(onStream, 41)
	f.takes(onAll, 41)
}

// subMany waits until 40 subscriptions are live, and counts what it takes to bring them 20 events each.
func subMany(f *fixture) {
	p := f.party(func(o *store.Options) { o.PollInterval = patience })
	var list []subscriber
	for n := range 40 {
		stream := store.All
		if n%2 == 0 {
			stream = "s"
		}
		list = append(list, p.live(stream, fmt.Sprint(subscription, n), nil))
	}
	before := p.tap.count(reads...)
	const rounds = 20
	for n := range int64(rounds) {
		p.fill("s", 1)
		for _, r := range list {
			f.takes(r, n+1)
		}
	}
	// On a slow machine the feed looks several times for each event, but never as often as there are subscriptions.
	assert.Less(f, p.tap.count(reads...)-before, rounds*len(list)/2, "reads for %d events and %d subscriptions", rounds, len(list))
}

func subRecorded(f *fixture) {
	id := uuid.New()
	f.append("s", store.NoStream, store.Event{ID: id, Type: "typed", Data: map[string]int{"n": 1}, Metadata: "m", CorrelationID: uuid.New(), CausationID: id})
	f.fill("s", 1)
	p := f.party()
	onStream, onAll := p.subscribe("s", subscription, nil), p.subscribe(store.All, subscription, nil)
	f.sameEvents(f.take(onStream, 2), f.read("s", nil))
	f.sameEvents(f.take(onAll, 2), f.all())
	p.fill("s", 1)
	f.sameEvents(f.take(onStream, 1), f.read("s", &store.ReadOptions{From: 3}))
	live := f.take(onAll, 1)
	f.sameEvents(live, f.read(store.All, &store.ReadOptions{From: 3}))
	var data map[string]int
	require.NoError(f, live[0].Decode(&data), "events of a subscription decode")
	assert.Equal(f, map[string]int{"n": 1}, data)
}

// sameEvents compares events, but for the Store that decodes them.
func (f *fixture) sameEvents(got, want []store.Recorded) {
	f.Helper()
	require.Len(f, got, len(want))
	for i, e := range got {
		w := want[i]
		assert.Equal(f, w.ID, e.ID)
		assert.Equal(f, []int64{w.Number, w.Version}, []int64{e.Number, e.Version})
		assert.Equal(f, []string{w.Stream, w.Type, string(w.Data), string(w.Metadata)}, []string{e.Stream, e.Type, string(e.Data), string(e.Metadata)})
		assert.Equal(f, []uuid.UUID{w.CausationID, w.CorrelationID}, []uuid.UUID{e.CausationID, e.CorrelationID})
		assert.Equal(f, w.CreatedAt, e.CreatedAt)
	}
}
