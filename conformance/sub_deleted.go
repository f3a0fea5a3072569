package conformance

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subDeletedCases = []testCase{
	{name: "sub/hard-deleted-middle", tx: noTx, run: subHardDeletedMiddle, why: "positions that are not there any more are passed over, and nothing is repeated"},
	{name: "sub/hard-deleted-tail", tx: noTx, run: subHardDeletedTail, why: "an end that was hard deleted does not make a subscription read for ever"},
	{name: "sub/created-again", tx: noTx, run: subCreatedAgain, why: "a stream that was hard deleted and created again is a new one, and its events are delivered from its first"},
	{name: "sub/created-again-longer", tx: noTx, run: subCreatedAgainLonger, why: "a new stream of the name is noticed before its events are taken for the old one's"},
	{name: "sub/created-again-read", tx: noTx, run: subCreatedAgainRead, why: "a new stream of the name is noticed even if it comes between the look at the old one and the read"},
	{name: "sub/created-again-stopped", tx: noTx, run: subCreatedAgainStopped, why: "a checkpoint of a stream that is gone hides nothing of the new one"},
	{name: "sub/links-gone", tx: noTx, run: subLinksGone, why: "links to hard-deleted events are passed over"},
	{name: "sub/end-gone", tx: noTx, run: subEndGone, why: "the end of a stream is reached even if the events there were hard deleted"},
	{name: "sub/soft-deleted", tx: noTx, run: subSoftDeleted, why: "a subscription to a stream that is soft deleted ends, and says so; others are not affected"},
}

func subHardDeletedMiddle(f *fixture) {
	f.fill("a", 3)
	f.fill("gone", 4)
	f.fill("a", 3)
	p := f.party()
	running := p.subscribe(store.All, "running", &store.SubscribeOptions{BufferSize: 2, MaxSize: 2, CheckpointThreshold: 1})
	f.takes(running, 1, 2)
	f.eventually("two more are read ahead", func() bool { return p.tap.events("ReadAll") >= 4 })
	f.delete("gone", store.HardDelete)
	f.fill("a", 2)
	got := numbers(f.take(running, 6))
	if got[1] == 4 { // one of the deleted events was queued already
		if len(got) < 7 {
			got = append(got, numbers(f.take(running, 1))...)
		}
		assert.Equal(f, []int64{3, 4, 8, 9, 10, 11, 12}, got)
	} else {
		assert.Equal(f, []int64{3, 8, 9, 10, 11, 12}, got)
	}
	f.saved(store.All, "running", 12)
	later := p.subscribe(store.All, "later", &store.SubscribeOptions{CheckpointThreshold: 1, MaxSize: 2})
	f.takes(later, 1, 2, 3, 8, 9, 10, 11, 12)
	p.fill("a", 1)
	f.takes(later, 13)
	f.takes(running, 13)
	f.saved(store.All, "later", 13)
}

func subHardDeletedTail(f *fixture) {
	f.fill("a", 3)
	f.fill("gone", 4)
	p := f.party()
	behind := p.subscribe(store.All, "behind", &store.SubscribeOptions{BufferSize: 1, MaxSize: 1})
	f.eventually("the first is read", func() bool { return p.tap.events("ReadAll") >= 1 })
	f.delete("gone", store.HardDelete)
	f.takes(behind, 1, 2, 3)
	fresh := p.live(store.All, "fresh", nil)
	f.takes(fresh, 1, 2, 3)
	f.phase(behind, store.Live)
	before, began := p.tap.total(), time.Now()
	f.glance()
	calls := p.tap.total() - before
	assert.Less(f, calls, 26+int(time.Since(began)/(10*time.Millisecond)), "calls while there is nothing to do")
	f.fill("gone", 1)
	f.takes(fresh, 8)
	f.takes(behind, 8)
}

func subCreatedAgain(f *fixture) {
	f.fill("s", 5)
	p := f.party()
	r := p.subscribe("s", subscription, &store.SubscribeOptions{CheckpointThreshold: 1})
	f.takes(r, 1, 2, 3, 4, 5)
	f.saved("s", subscription, 5)
	f.delete("s", store.HardDelete)
	fresh := f.fill("s", 2)
	got := f.take(r, 2)
	assert.Equal(f, store.IDs(fresh...), store.IDs(got...))
	f.eventually("the checkpoint is that of the new stream", func() bool { return f.row("s", subscription).Checkpoint == 2 })
	p.fill("s", 1)
	f.takes(r, 3)
}

func subCreatedAgainLonger(f *fixture) {
	f.fill("s", 2)
	p := f.party()
	r := p.live("s", subscription, &store.SubscribeOptions{CheckpointThreshold: 1})
	f.takes(r, 1, 2)
	f.saved("s", subscription, 2)
	f.delete("s", store.HardDelete)
	p.fill("s", 5)
	f.takes(r, 1, 2, 3, 4, 5)
	f.saved("s", subscription, 5)
}

func subCreatedAgainRead(f *fixture) {
	f.fill("s", 4)
	p := f.party()
	opts := &store.SubscribeOptions{BufferSize: 2, CheckpointThreshold: 1}
	r := p.subscribe("s", subscription, opts)
	f.takes(r, 1, 2)
	require.NoError(f, r.Close())
	f.saved("s", subscription, 2)
	var once sync.Once
	p.tap.guard(func(_ context.Context, call string) error {
		if call == "ReadStream" {
			once.Do(func() {
				f.delete("s", store.HardDelete)
				f.fill("s", 6)
			})
		}
		return nil
	})
	r = p.subscribe("s", subscription, opts)
	f.takes(r, 1, 2, 3, 4, 5, 6)
	f.saved("s", subscription, 6)
}

func subCreatedAgainStopped(f *fixture) {
	f.fill("s", 3)
	p := f.party()
	r := p.subscribe("s", subscription, nil)
	f.takes(r, 1, 2, 3)
	require.NoError(f, r.Close())
	f.saved("s", subscription, 3)
	f.delete("s", store.HardDelete)
	r = p.live("s", subscription, nil)
	f.idle(r, "the stream is gone")
	require.NoError(f, r.Close())
	f.fill("s", 5)
	r = p.subscribe("s", subscription, nil)
	f.takes(r, 1, 2, 3, 4, 5)
}

func subLinksGone(f *fixture) {
	source, gone := f.fill("source", 3), f.fill("gone", 4)
	f.link("links", store.NoStream, source[0])
	f.link("links", store.Any, gone[:3]...)
	f.link("links", store.Any, source[1], gone[3])
	p := f.party()
	f.delete("gone", store.HardDelete)
	r := p.subscribe("links", subscription, &store.SubscribeOptions{CheckpointThreshold: 1, MaxSize: 2})
	f.takes(r, 1, 5)
	f.saved("links", subscription, 6)
	f.link("links", store.Any, source[2])
	f.takes(r, 7)
	f.saved("links", subscription, 7)
}

func subEndGone(f *fixture) {
	source, gone := f.fill("source", 2), f.fill("gone", 3)
	f.link("links", store.NoStream, source[0], gone[0])
	f.delete("gone", store.HardDelete)
	for _, filter := range []store.EventFilter{{}, {Types: []string{source[0].Type}}} {
		for _, on := range []struct {
			stream string
			takes  []int64
			end    int64
		}{{store.All, []int64{1, 2}, 5}, {"links", []int64{1}, 2}} {
			p := f.party(func(o *store.Options) { o.PollInterval = 5 * time.Millisecond })
			name := fmt.Sprint("end of ", on.stream, len(filter.Types))
			var states atomic.Int64
			r := p.live(on.stream, name, &store.SubscribeOptions{Filter: filter, CheckpointThreshold: 1, CheckpointAfter: time.Millisecond,
				OnState: func(store.SubscriptionState) { states.Add(1) }})
			f.takes(r, on.takes...)
			f.saved(on.stream, name, on.end)
			f.phase(r, store.Live)
			was, looks := states.Load(), p.tap.count("StreamVersions", "Head")
			f.eventually("the feed looks a few times", func() bool { return p.tap.count("StreamVersions", "Head") > looks+6 })
			assert.Equal(f, was, states.Load(), "%s is Live, and stays so", name)
			require.NoError(f, r.Close())
		}
	}
}

func subSoftDeleted(f *fixture) {
	f.fill("s", 3)
	p := f.party()
	r, onAll := p.live("s", subscription, &store.SubscribeOptions{BufferSize: 2}), p.live(store.All, subscription, nil)
	queued := f.hold(r, 2)
	f.delete("s", store.SoftDelete)
	f.ack(r, queued...)
	f.takes(r, 3)
	assert.ErrorIs(f, f.fails(r), store.ErrStreamDeleted)
	f.phase(r, store.Stopped)
	assert.ErrorIs(f, r.State().Err, store.ErrStreamDeleted)
	f.saved("s", subscription, 3)
	assert.NotEmpty(f, f.row("s", subscription).LastError)
	assert.False(f, f.row("s", subscription).Held)
	late, err := p.Subscribe(f.ctx, "s", "late", nil)
	if err == nil {
		err = f.fails(late)
	}
	assert.ErrorIs(f, err, store.ErrStreamDeleted)
	f.takes(onAll, 1, 2, 3)
	f.fill("t", 1)
	f.take(onAll, 1)
}
