package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subCompeteCases = []testCase{
	{name: "sub/round-robin", tx: noTx, run: subRoundRobin, why: "subscribers of one subscription share its events, each going to one of them"},
	{name: "sub/share", tx: noTx, run: subShare, why: "one subscriber does not take all, while others wait"},
	{name: "sub/slow-one", tx: noTx, run: subSlowOne, why: "a subscriber that stops asking holds up no other"},
	{name: "sub/partition", tx: noTx, run: subPartition, why: "the events of a key are never unacknowledged at two subscribers, whatever the buffer size"},
	{name: "sub/partition-random", tx: noTx, run: subPartitionRandom, why: "the events of a key stay in order and at one subscriber, also when subscribers come and go and give back"},
	{name: "sub/subscriber-closes", tx: noTx, run: subSubscriberCloses, why: "the events in flight at a subscriber that closes go to the others first, in order"},
	{name: "sub/partition-closes", tx: noTx, run: subPartitionCloses, why: "a key's events go on in order when the subscriber that had them has gone"},
}

// crowd returns n subscribers of one subscription.
func (p *party) crowd(n int, opts store.SubscribeOptions) []subscriber {
	p.f.Helper()
	opts.ConcurrencyLimit = n
	var list []subscriber
	for range n {
		list = append(list, p.subscribe("s", subscription, &opts))
	}
	return list
}

func subRoundRobin(f *fixture) {
	f.fill("s", 30)
	p := f.party()
	list := p.crowd(3, store.SubscribeOptions{BufferSize: 1, CheckpointThreshold: 1})
	for want := int64(1); want <= 30; want += 3 {
		var batch []store.Recorded
		for _, r := range list {
			batch = append(batch, f.hold(r, 1)...)
		}
		require.Equal(f, span(want, want+2), numbers(batch))
		for i, r := range list {
			f.ack(r, batch[i])
		}
	}
	f.saved("s", subscription, 30)
}

// subShare has three subscribers wait, and then 30 events come at once.
func subShare(f *fixture) {
	p := f.party()
	list := p.crowd(3, store.SubscribeOptions{BufferSize: 100})
	got, waiting := make(chan []store.Recorded, len(list)), make(chan bool, len(list))
	for _, r := range list {
		go func() {
			ctx, cancel := f.soon()
			defer cancel()
			events, _ := r.Next(&awaited{Context: ctx, told: waiting})
			got <- events
		}()
	}
	for range list {
		receive(f, waiting)
	}
	p.fill("s", 30)
	var all []int64
	for range list {
		batch := numbers(receive(f, got))
		assert.NotEmpty(f, batch, "one has got nothing")
		all = append(all, batch...)
	}
	slices.Sort(all)
	assert.Equal(f, len(all), len(slices.Compact(all)), "an event went to two subscribers")
}

// awaited is a context that tells when somebody waits for its end.
type awaited struct {
	context.Context

	once sync.Once
	told chan<- bool
}

func (a *awaited) Done() <-chan struct{} {
	a.once.Do(func() { a.told <- true })
	return a.Context.Done()
}

func subSlowOne(f *fixture) {
	f.fill("s", 60)
	p := f.party()
	list := p.crowd(2, store.SubscribeOptions{BufferSize: 2, MaxSize: 5, CheckpointThreshold: 1})
	slow := f.next(list[0])
	rest := int(60) - len(slow)
	got := f.take(list[1], rest)
	assert.Equal(f, span(int64(len(slow))+1, 60), numbers(got))
	f.glance()
	f.saved("s", subscription, 0)
	f.ack(list[0], slow...)
	f.saved("s", subscription, 60)
}

// lanes makes the type of an event its partition key.
func lanes(e store.Recorded) string { return e.Type }

func subPartition(f *fixture) {
	f.ofTypes("s", "A", "B", "C")
	p := f.party()
	opts := store.SubscribeOptions{BufferSize: 3, PartitionBy: lanes, ConcurrencyLimit: 2}
	first := p.subscribe("s", subscription, &opts)
	mine := f.hold(first, 3)
	second := p.subscribe("s", subscription, &opts)
	require.NoError(f, first.Nack(f.ctx, mine[1]))
	theirs := f.hold(second, 1)
	assert.Equal(f, "B", theirs[0].Type)
	f.ofTypes("s", "A", "B", "D")
	got := f.hold(second, 2)
	assert.Equal(f, []int64{5, 6}, numbers(got), "A is at the other subscriber, B is here, and D anywhere")
	f.idle(second, "the buffer is full, and A is at the other subscriber")
	assert.Equal(f, []int64{4}, numbers(f.hold(first, 1)), "to where the first A is")
	f.ack(second, got...)
	f.ofTypes("s", "A")
	f.idle(second, "A is at the other subscriber")
	f.ack(first, mine[0], mine[2])
	require.NoError(f, first.AckNumber(f.ctx, 4))
	assert.Equal(f, []int64{7}, numbers(f.hold(second, 1)), "all A before are acknowledged")
}

func subPartitionRandom(f *fixture) {
	for seed := range uint64(4) {
		f.sub(fmt.Sprint(seed), func(f *fixture) { partitionRandom(f, rand.New(rand.NewPCG(seed, 1))) })
	}
}

// partitionRandom lets subscribers take, acknowledge, give back, leave and come, and keeps account of who has what.
func partitionRandom(f *fixture, random *rand.Rand) {
	const total = 200
	stream := f.name
	types := make([]string, total)
	for i := range types {
		types[i] = string(rune('A' + random.IntN(6)))
	}
	f.ofTypes(stream, types...)
	p := f.party()
	opts := &store.SubscribeOptions{
		BufferSize: 1 + random.IntN(5), MaxSize: 20, PartitionBy: lanes, ConcurrencyLimit: 3, CheckpointThreshold: 1,
	}
	type member struct {
		subscriber
		open []store.Recorded
	}
	var crowd []*member
	done := map[int64]bool{}
	last := map[string]int64{} // acknowledged, by key
	for len(done) < total {
		for len(crowd) < 3 {
			crowd = append(crowd, &member{subscriber: p.subscribe(stream, subscription, opts)})
		}
		m := crowd[random.IntN(len(crowd))]
		switch random.IntN(8) {
		case 0:
			require.NoError(f, m.Close())
			crowd = slices.DeleteFunc(crowd, func(o *member) bool { return o == m })
		case 1:
			if len(m.open) > 0 {
				at := random.IntN(len(m.open)) // and everything behind it, so that order stays
				require.NoError(f, m.Nack(f.ctx, m.open[at:]...))
				m.open = m.open[:at]
			}
		case 2, 3, 4:
			if len(m.open) > 0 {
				n := 1 + random.IntN(len(m.open))
				f.ack(m, m.open[n-1])
				for _, e := range m.open[:n] {
					require.Less(f, last[e.Type], e.Number, "a key is out of order")
					last[e.Type] = e.Number
					done[e.Number] = true
				}
				m.open = m.open[n:]
			}
		default:
			ctx, cancel := timeout(f.ctx, glance/20)
			batch, _ := m.Next(ctx)
			cancel()
			for _, e := range batch {
				require.False(f, done[e.Number], "%d again", e.Number)
				for _, o := range crowd {
					for _, held := range o.open {
						require.NotEqual(f, held.Number, e.Number, "%d twice", e.Number)
						require.False(f, o != m && held.Type == e.Type, "%d and %d of key %s at two subscribers", held.Number, e.Number, e.Type)
						require.False(f, o == m && held.Type == e.Type && held.Number > e.Number, "%d behind %d", e.Number, held.Number)
					}
				}
				m.open = append(m.open, e)
			}
		}
	}
	f.saved(stream, subscription, total)
}

func subSubscriberCloses(f *fixture) {
	f.fill("s", 9)
	p := f.party()
	list := p.crowd(2, store.SubscribeOptions{BufferSize: 4})
	f.ack(list[0], f.hold(list[0], 4)[0])
	theirs := f.hold(list[1], 4)
	assert.Equal(f, span(5, 8), numbers(theirs))
	require.NoError(f, list[0].Close())
	f.ack(list[1], theirs...)
	f.takes(list[1], 2, 3, 4, 9)
	require.NoError(f, list[1].Close())
	f.saved("s", subscription, 9)
}

func subPartitionCloses(f *fixture) {
	f.ofTypes("s", "A", "A", "B", "A")
	p := f.party()
	opts := store.SubscribeOptions{BufferSize: 2, PartitionBy: lanes, ConcurrencyLimit: 2}
	first := p.subscribe("s", subscription, &opts)
	f.hold(first, 2)
	second := p.subscribe("s", subscription, &opts)
	assert.Equal(f, []int64{3}, numbers(f.hold(second, 1)))
	f.idle(second, "A is at the other subscriber")
	require.NoError(f, first.Close())
	third := p.subscribe("s", subscription, &opts)
	assert.Equal(f, []int64{1}, numbers(f.hold(second, 1)), "room for one more")
	f.idle(third, "A is at the other subscriber")
	require.NoError(f, second.Close())
	assert.Equal(f, []int64{1, 2}, numbers(f.hold(third, 2)))
}
