package conformance

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subWatchCases = []testCase{
	{name: "sub/watch", tx: noTx, run: subWatch, why: "a watcher gets what is appended after it was made, and nothing from before"},
	{name: "sub/watch-links", tx: noTx, run: subWatchLinks, why: "a stream of links, or one that is not there yet, can be watched"},
	{name: "sub/watch-leaves-nothing", tx: noTx, run: subWatchLeavesNothing, why: "watchers have no name, no row and no lease"},
	{name: "sub/watch-too-slow", tx: noTx, run: subWatchTooSlow, why: "a watcher that does not keep up is told so, instead of missing events silently, and holds up nobody"},
	{name: "sub/watch-filter", tx: noTx, run: subWatchFilter, why: "a watcher gets what it chose, and no empty batches"},
	{name: "sub/watch-selector-panics", tx: noTx, run: subWatchSelectorPanics, why: "a selector that panics harms its own watcher only, and that goes on"},
	{name: "sub/watch-close", tx: noTx, run: subWatchClose, why: "a watcher can be closed at any time, from anywhere"},
	{name: "sub/watch-deleted", tx: noTx, run: subWatchDeleted, why: "a watcher of a stream that is soft deleted is told so"},
}

func subWatch(f *fixture) {
	p := f.party()
	for round := range int64(3) {
		before := f.append("s", store.Any, events(2)...) // nobody has looked at it
		onStream, onAll := p.watch("s", nil), p.watch(store.All, nil)
		f.fill("s", 1)
		p.fill("s", 2)
		assert.Equal(f, span(before.Last+1, before.Last+3), numbers(f.hold(onStream, 3)))
		assert.Equal(f, span(5*round+3, 5*round+5), numbers(f.hold(onAll, 3)))
		require.NoError(f, onStream.Close())
		require.NoError(f, onAll.Close())
	}
}

func subWatchLinks(f *fixture) {
	p := f.party()
	w := p.watch("links", nil)
	source := f.fill("s", 4)
	f.link("links", store.NoStream, source[:3]...)
	assert.Equal(f, span(1, 3), numbers(f.hold(w, 3)))
	late := p.watch("links", nil)
	f.link("links", store.Any, source[3])
	for _, w := range []watcher{w, late} {
		assert.Equal(f, []string{"s@4"}, origins(f.hold(w, 1)))
	}
}

func subWatchLeavesNothing(f *fixture) {
	p := f.party()
	for n := range 5 {
		w := p.watch([]string{"s", store.All}[n%2], nil)
		p.fill("s", 1)
		f.hold(w, 1)
		require.NoError(f, w.Close())
	}
	list, err := p.Subscriptions(f.ctx)
	require.NoError(f, err)
	assert.Empty(f, list)
	assert.Zero(f, p.tap.count("AcquireLease", "SaveCheckpoint", "ReleaseLease"))
}

func subWatchTooSlow(f *fixture) {
	p := f.party()
	slow, quick := p.watch(store.All, &store.WatchOptions{MaxSize: 5}), p.watch(store.All, nil)
	small := p.watch(store.All, &store.WatchOptions{MaxSize: 5})
	bystander := p.live(store.All, subscription, &store.SubscribeOptions{MaxSize: 5})
	for n := range int64(40) {
		p.fill("s", 1)
		for _, w := range []watcher{quick, small} {
			assert.Equal(f, []int64{n + 1}, numbers(f.hold(w, 1)))
		}
	}
	f.takes(bystander, span(1, 40)...)
	var got []int64
	ctx, cancel := f.soon()
	defer cancel()
	for {
		batch, err := slow.Next(ctx)
		if err != nil {
			require.ErrorIs(f, err, store.ErrTooSlow)
			break
		}
		got = append(got, numbers(batch)...)
	}
	if len(got) > 0 {
		assert.Equal(f, span(1, int64(len(got))), got, "what it gets before is without a gap")
	}
	assert.LessOrEqual(f, len(got), 10, "memory is bounded")
	_, err := slow.Next(ctx)
	assert.ErrorIs(f, err, store.ErrTooSlow, "for good")
	require.NoError(f, slow.Close())
}

func subWatchFilter(f *fixture) {
	p := f.party()
	typed := p.watch(store.All, &store.WatchOptions{Filter: store.EventFilter{Types: []string{"b"}}})
	prefix := p.watch(store.All, &store.WatchOptions{Filter: store.EventFilter{StreamPrefix: "x"}})
	selected := p.watch("x1", &store.WatchOptions{Selector: even})
	nothing := p.watch("x1", &store.WatchOptions{Selector: none})
	f.ofTypes("x1", "a", "b", "c", "d")
	f.ofTypes("y", "a", "b")
	f.ofTypes("x2", "e")
	assert.Equal(f, []int64{2, 6}, numbers(f.hold(typed, 2)))
	assert.Equal(f, []int64{1, 2, 3, 4, 7}, numbers(f.hold(prefix, 5)))
	assert.Equal(f, []int64{2, 4}, numbers(f.hold(selected, 2)))
	f.idle(nothing, "nothing is selected")
}

func subWatchSelectorPanics(f *fixture) {
	p := f.party()
	w := p.watch("s", &store.WatchOptions{Selector: func(e store.Recorded) bool {
		if e.Number == 2 {
			panic(errCallback)
		}
		return true
	}})
	other := p.watch("s", nil)
	p.fill("s", 3)
	assert.Equal(f, []int64{1}, numbers(f.hold(w, 1)))
	assert.NotNil(f, f.callbackFails(w, "Selector", 2))
	assert.Equal(f, []int64{3}, numbers(f.hold(w, 1)))
	assert.Equal(f, span(1, 3), numbers(f.hold(other, 3)))
}

func subWatchClose(f *fixture) {
	p := f.party()
	w, other := p.watch("s", nil), p.watch("s", nil)
	ended := make(chan error, 1)
	go func() {
		_, err := w.Next(f.ctx)
		ended <- err
	}()
	require.NoError(f, w.Close())
	assert.ErrorIs(f, receive(f, ended), store.ErrSubscriberClosed)
	require.NoError(f, w.Close())
	p.fill("s", 1)
	assert.Equal(f, []int64{1}, numbers(f.hold(other, 1)))
	for n := range 20 {
		stream := fmt.Sprint("s", n)
		require.NoError(f, p.watch(stream, nil).Close())
	}
	ctx, cancel := timeout(f.ctx, time.Millisecond)
	defer cancel()
	_, err := other.Next(ctx)
	assert.ErrorIs(f, err, ctx.Err())
}

func subWatchDeleted(f *fixture) {
	f.fill("s", 1)
	p := f.party()
	w, onAll := p.watch("s", nil), p.watch(store.All, nil)
	f.delete("s", store.SoftDelete)
	assert.ErrorIs(f, f.fails(w), store.ErrStreamDeleted)
	f.fill("t", 1)
	assert.Equal(f, []int64{2}, numbers(f.hold(onAll, 1)))
}
