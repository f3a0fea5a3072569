package conformance

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subNotifyCases = []testCase{
	{name: "sub/hint-in-process", tx: noTx, run: subHintInProcess, why: "subscribers hear at once of what their own process has committed, with no poll in between"},
	{name: "sub/hint-woken", tx: noTx, run: subHintWoken, why: "a hint from another process is acted on at once"},
	{name: "sub/hint-lost", tx: noTx, run: subHintLost, why: "an event whose hint is lost is found by polling"},
	{name: "sub/hint-late", tx: noTx, run: subHintLate, why: "a hint that comes when its events were long read does nothing"},
	{name: "sub/hint-repeated", tx: noTx, run: subHintRepeated, why: "hints that are repeated repeat no event"},
	{name: "sub/hint-spurious", tx: noTx, run: subHintSpurious, why: "hints without reason cost a bounded number of reads"},
	{name: "sub/listen-fails", tx: noTx, run: subListenFails, why: "a notifier that ends leaves the subscriptions polling"},
	{name: "sub/listens-once", tx: noTx, run: subListensOnce, why: "there is one listener per process, and it ends with the Store"},
}

// bell is a notifier that rings when the case says so.
type bell struct {
	fail error

	mu     sync.Mutex
	wake   func()
	heard  int // times that Listen was called
	ended  int
	notify int
}

func (b *bell) Notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notify++
}

// Listen implements [store.Notifier].
func (b *bell) Listen(ctx context.Context, wake func()) error {
	b.mu.Lock()
	b.wake = wake
	b.heard++
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.ended++
	}()
	if b.fail != nil {
		return b.fail
	}
	<-ctx.Done()
	return ctx.Err()
}

// ring wakes the listener, if there is one.
func (b *bell) ring() {
	b.mu.Lock()
	wake := b.wake
	b.mu.Unlock()
	if wake != nil {
		wake()
	}
}

func (b *bell) counts() (heard, ended, notified int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.heard, b.ended, b.notify
}

// belled opens a party with a bell, and a poll interval.
func (f *fixture) belled(b *bell, poll time.Duration) *party {
	f.Helper()
	return f.party(func(o *store.Options) { o.Notifier, o.PollInterval = b, poll })
}

// hears waits until a bell can be heard.
func (f *fixture) hears(b *bell) {
	f.Helper()
	f.eventually("somebody listens", func() bool {
		heard, _, _ := b.counts()
		return heard > 0
	})
}

// settled waits until a feed has come down to its poll interval, so that it finds nothing by itself.
func (f *fixture) settled(p *party) {
	f.Helper()
	last := -1
	f.eventually("the feed is quiet", func() bool {
		now := p.tap.count(reads...)
		quiet := now == last
		last = now
		f.glance()
		f.glance()
		return quiet
	})
}

func subHintInProcess(f *fixture) {
	p := f.party(func(o *store.Options) { o.PollInterval, o.Notifier = time.Hour, nil })
	onStream, onAll := p.live("s", subscription, nil), p.live(store.All, subscription, nil)
	for n := range int64(5) {
		p.fill("s", 1)
		f.takes(onStream, n+1)
		f.takes(onAll, n+1)
	}
}

func subHintWoken(f *fixture) {
	var b bell
	p := f.belled(&b, time.Hour)
	onStream, onAll := p.live("s", subscription, nil), p.live(store.All, subscription, nil)
	f.hears(&b)
	for n := range int64(5) {
		f.fill("s", 1)
		b.ring()
		f.takes(onStream, n+1)
		f.takes(onAll, n+1)
	}
}

func subHintLost(f *fixture) {
	var b bell
	p := f.belled(&b, 30*time.Millisecond)
	onStream, onAll := p.live("s", subscription, nil), p.live(store.All, subscription, nil)
	onLinks := p.live("links", subscription, nil)
	for n := range int64(3) {
		source := f.fill("s", 1)
		f.link("links", store.Any, source...)
		f.takes(onStream, n+1)
		f.takes(onAll, n+1)
		f.takes(onLinks, n+1)
	}
}

func subHintLate(f *fixture) {
	var b bell
	p := f.belled(&b, 10*time.Millisecond)
	r := p.live(store.All, subscription, nil)
	for n := range int64(5) {
		f.fill("s", 1)
		f.takes(r, n+1)
		b.ring()
		b.ring()
	}
	f.idle(r, "all was read")
}

func subHintRepeated(f *fixture) {
	var b bell
	p := f.belled(&b, 20*time.Millisecond)
	r := p.live(store.All, subscription, nil)
	f.hears(&b)
	ctx, cancel := context.WithCancel(f.ctx)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			again := time.NewTicker(100 * time.Microsecond)
			defer again.Stop()
			for ctx.Err() == nil {
				b.ring()
				p.store.Committed()
				<-again.C // others are to do something, too
			}
		})
	}
	for n := range int64(30) {
		f.fill("s", 2)
		f.takes(r, 2*n+1, 2*n+2)
	}
	cancel()
	wg.Wait()
	f.idle(r, "all was read")
}

func subHintSpurious(f *fixture) {
	var b bell
	p := f.belled(&b, time.Hour)
	p.live(store.All, subscription, nil)
	f.hears(&b)
	f.settled(p)
	before := p.tap.count(reads...)
	for range 50 {
		b.ring()
		f.eventually("it looks", func() bool { return p.tap.count(reads...) > before })
	}
	assert.LessOrEqual(f, p.tap.count(reads...)-before, 51)
}

func subListenFails(f *fixture) {
	b := bell{fail: errCallback}
	p := f.belled(&b, 20*time.Millisecond)
	r := p.live(store.All, subscription, nil)
	f.fill("s", 2)
	f.takes(r, 1, 2)
	p.fill("s", 1)
	f.takes(r, 3)
	require.NoError(f, p.Close())
}

func subListensOnce(f *fixture) {
	var b bell
	p := f.belled(&b, 20*time.Millisecond)
	for _, name := range []string{"a", "b", "c"} {
		require.NoError(f, p.live("s", name, nil).Close())
		p.live(store.All, name, nil)
	}
	p.watch("s", nil)
	p.fill("s", 3)
	f.hears(&b)
	heard, ended, notified := b.counts()
	assert.Equal(f, []int{1, 0, 1}, []int{heard, ended, notified})
	require.NoError(f, p.Close())
	heard, ended, _ = b.counts()
	assert.Equal(f, []int{1, 1}, []int{heard, ended})
	assert.NotPanics(f, b.ring, "a hint after Close")
}

var _ store.Notifier = (*bell)(nil)

// errStop ends a handler loop.
var errStop = errors.New("this handler stops")
