package conformance

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subParkCases = []testCase{
	{name: "sub/park", tx: noTx, run: subPark, why: "an event that can't be handled is parked with its error, later ones of its key behind it, and other keys go on; replayed, they are handled in order"},
	{name: "sub/park-discarded", tx: noTx, run: subParkDiscarded, why: "a discarded event is not handled, and what was behind it is"},
	{name: "sub/park-again", tx: noTx, run: subParkAgain, why: "an event that fails again when it is replayed is parked again, and what is behind it waits on"},
	{name: "sub/park-pages", tx: noTx, run: subParkPages, why: "parked events that wait for a retry, however many, do not hide others that may be handled"},
	{name: "sub/park-crash", tx: noTx, run: subParkCrash, why: "after a crash between parking and checkpoint what is parked stays as it is, and its key waits"},
	{name: "sub/park-takeover", tx: noTx, run: subParkTakeover, why: "an event that was replayed while no process ran the subscription is handled by the next one that does, without any new event"},
	{name: "sub/park-keys", tx: noTx, run: subParkKeys, why: "the order within a partition key holds while several handlers park, replay and go on"},
	{name: "sub/park-kept", tx: noTx, run: subParkKept, why: "a parked event is kept as given and listed in order, and is not replaced by an event that came again"},
	{name: "sub/park-epoch", tx: noTx, run: subParkEpoch, why: "nothing is parked or removed in an epoch that is over"},
	{name: "sub/park-gone", tx: noTx, run: subParkGone, why: "an event is parked only while it is in the stream that it came from, and is parked again only if it still is parked"},
	{name: "sub/park-forgotten", tx: noTx, run: subParkForgotten, why: "a reset, a deletion and a hard delete remove the parked events that they concern, and no others"},
}

// parkers opens a Store whose subscriptions park.
func (f *fixture) parkers(change ...func(o *store.Options)) *party {
	f.Helper()
	p := f.party(change...)
	if p.tap.park == nil {
		f.counts.add(0, 1)
		f.Skip("excused: this backend keeps nothing that is parked")
	}
	return p
}

// flaky is a handler that notes what it has handled, and fails on some events, by number, until they are mended.
type flaky struct {
	handled seenBy

	mu    sync.Mutex
	fails map[int64]bool
}

func fails(numbers ...int64) *flaky {
	h := &flaky{}
	h.set(true, numbers...)
	return h
}

func (h *flaky) set(fails bool, numbers ...int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fails == nil {
		h.fails = map[int64]bool{}
	}
	for _, n := range numbers {
		h.fails[n] = fails
	}
}

func (h *flaky) handle(_ context.Context, e store.Recorded) error {
	h.mu.Lock()
	fails := h.fails[e.Number]
	h.mu.Unlock()
	if fails {
		return errPoison
	}
	h.handled.note(e)
	return nil
}

// parking runs Consume on all events until the returned function is called, which returns its error. It parks what has failed
// twice.
func (p *party) parking(h *flaky, change ...func(o *store.ConsumeOptions)) (end func() error) {
	opts := &store.ConsumeOptions{
		SubscribeOptions: store.SubscribeOptions{CheckpointThreshold: 1, RetryInterval: 5 * time.Millisecond},
		MinBackoff:       time.Millisecond, MaxBackoff: 5 * time.Millisecond,
		OnError: store.RetryThen(2, store.Park),
	}
	for _, c := range change {
		c(opts)
	}
	ctx, cancel := context.WithCancel(p.f.ctx)
	result := make(chan error, 1)
	go func() { result <- p.Consume(ctx, store.All, subscription, h.handle, opts) }()
	end = sync.OnceValue(func() error {
		cancel()
		return receive(p.f, result)
	})
	p.f.Cleanup(cancel)
	return end
}

// parkedOf chooses what the subscription on all events has parked.
func parkedOf(numbers ...int64) *store.ParkedFilter {
	return &store.ParkedFilter{Stream: store.All, Numbers: numbers}
}

// parks waits until these numbers are parked, and returns what is.
func (p *party) parks(want ...int64) (list []store.ParkedEvent) {
	p.f.Helper()
	var got []int64
	p.f.eventually(fmt.Sprintf("%v are parked", want), func() bool {
		if p.f.row(store.All, subscription).Name == "" {
			return false
		}
		var err error
		list, err = p.store.Parked(p.f.ctx, subscription, parkedOf())
		require.NoError(p.f, err)
		got = nil
		for _, e := range list {
			got = append(got, e.Number)
		}
		return slices.Equal(got, want)
	})
	return list
}

// handles waits until these numbers were handled, in this order.
func (p *party) handles(h *flaky, want ...int64) {
	p.f.Helper()
	p.f.eventually(fmt.Sprintf("%d events are handled", len(want)), func() bool { return len(h.handled.numbers()) >= len(want) })
	require.Equal(p.f, want, h.handled.numbers())
}

func (p *party) replays(want int64, filter *store.ParkedFilter) {
	p.f.Helper()
	n, err := p.store.ReplayParked(p.f.ctx, subscription, filter)
	require.NoError(p.f, err)
	require.Equal(p.f, want, n, "events replayed")
}

func subPark(f *fixture) {
	f.append("a", store.Any, events(3)...)
	f.append("b", store.Any, events(3)...)
	p := f.parkers()
	h := fails(1)
	end := p.parking(h)
	p.handles(h, 4, 5, 6)
	list := p.parks(1, 2, 3)
	ids := f.read("a", nil)
	for i, e := range list {
		assert.Equal(f, store.SubscriptionID{Stream: store.All, Name: subscription}, e.Subscription)
		assert.Empty(f, e.Projection)
		assert.Equal(f, ids[i].ID, e.ID)
		assert.Equal(f, "a", e.Key)
		assert.Equal(f, "a", e.Stream)
		assert.Equal(f, "counted", e.Type)
		assert.EqualValues(f, i+1, e.Version)
		assert.Equal(f, i == 0, e.Failed)
		assert.WithinDuration(f, time.Now(), e.ParkedAt, time.Hour)
	}
	assert.Equal(f, errPoison.Error(), list[0].Error)
	assert.Equal(f, 2, list[0].Attempts)
	assert.Empty(f, list[1].Error)
	f.saved(store.All, subscription, 6)
	f.append("a", store.Any, events(1)...)
	f.append("b", store.Any, events(1)...)
	p.handles(h, 4, 5, 6, 8)
	p.parks(1, 2, 3, 7)
	infos, err := p.Subscriptions(f.ctx)
	require.NoError(f, err)
	require.Len(f, infos, 1)
	assert.EqualValues(f, 4, infos[0].Parked)

	h.set(false, 1)
	p.replays(0, &store.ParkedFilter{Stream: store.All, Keys: []string{"b"}})
	p.replays(1, &store.ParkedFilter{Stream: store.All, Keys: []string{"a"}, Limit: 1})
	p.handles(h, 4, 5, 6, 8, 1, 2, 3, 7)
	p.parks()
	f.append("a", store.Any, events(1)...)
	p.handles(h, 4, 5, 6, 8, 1, 2, 3, 7, 9)
	require.ErrorIs(f, end(), context.Canceled)
	f.saved(store.All, subscription, 9)

	_, err = p.store.Parked(f.ctx, "nothing", parkedOf())
	require.ErrorIs(f, err, store.ErrSubscriptionNotFound)
	_, err = p.store.ReplayParked(f.ctx, subscription, &store.ParkedFilter{Stream: store.All, Limit: -1})
	require.ErrorIs(f, err, store.ErrInvalid)
}

func subParkDiscarded(f *fixture) {
	f.append("a", store.Any, events(4)...)
	p := f.parkers()
	h := fails(1, 3)
	p.parking(h)
	p.parks(1, 2, 3, 4)
	n, err := p.store.DiscardParked(f.ctx, subscription, parkedOf(1))
	require.NoError(f, err)
	require.EqualValues(f, 1, n)
	p.handles(h, 2)
	list := p.parks(3, 4)
	f.eventually("the third has failed", func() bool {
		list = p.parks(3, 4)
		return list[0].Failed
	})
	n, err = p.store.DiscardParked(f.ctx, subscription, parkedOf())
	require.NoError(f, err)
	require.EqualValues(f, 2, n)
	f.append("a", store.Any, events(1)...)
	p.handles(h, 2, 5)
	p.parks()
}

func subParkAgain(f *fixture) {
	f.append("a", store.Any, events(3)...)
	p := f.parkers()
	h := fails(2)
	p.parking(h)
	p.handles(h, 1)
	first := p.parks(2, 3)
	p.replays(2, parkedOf())
	f.eventually("it has failed again", func() bool {
		list := p.parks(2, 3)
		return list[0].Failed && list[0].Attempts == 4
	})
	list := p.parks(2, 3)
	assert.True(f, list[0].ParkedAt.Equal(first[0].ParkedAt), "since when it is parked")
	assert.Zero(f, list[1].Attempts, "what is behind it is not tried")
	p.handles(h, 1)
	h.set(false, 2)
	p.replays(1, parkedOf(2))
	p.handles(h, 1, 2, 3)
	p.parks()
}

func subParkPages(f *fixture) {
	f.append("a", store.Any, events(3)...)
	f.append("b", store.Any, events(2)...)
	p := f.parkers()
	h := fails(1, 4)
	opts, again := onceParked()
	p.parking(h, func(o *store.ConsumeOptions) {
		o.BufferSize, o.OnError, o.MinBackoff, o.MaxBackoff = 1, opts.OnError, time.Hour, time.Hour
	})
	p.parks(1, 2, 3, 4, 5)
	again()
	h.set(false, 4)
	p.replays(5, parkedOf())
	p.handles(h, 4, 5)
	p.parks(1, 2, 3)
}

func subParkCrash(f *fixture) {
	f.append("a", store.Any, events(3)...)
	f.append("b", store.Any, events(2)...)
	p := f.parkers(leaseOf(shortLease))
	p.tap.cut("SaveCheckpoint")
	h := fails(1)
	p.parking(h)
	list := p.parks(1, 2, 3)
	f.eventually("the others are handled", func() bool { return len(h.handled.numbers()) == 2 })
	p.tap.cut() // it dies
	q := f.parkers()
	g := fails()
	q.parking(g)
	q.handles(g, 4, 5)
	f.saved(store.All, subscription, 5)
	assert.Equal(f, list, q.parks(1, 2, 3), "they came again, and are parked as they were")
	q.replays(3, parkedOf())
	q.handles(g, 4, 5, 1, 2, 3)
	q.parks()
}

func subParkTakeover(f *fixture) {
	f.append("a", store.Any, events(3)...)
	p := f.parkers()
	h := fails(2)
	end := p.parking(h)
	p.parks(2, 3)
	f.saved(store.All, subscription, 3)
	require.ErrorIs(f, end(), context.Canceled)
	p.replays(2, parkedOf())
	q := f.parkers()
	g := fails()
	q.parking(g)
	q.handles(g, 2, 3)
	q.parks()
}

func subParkKeys(f *fixture) {
	const keys, each = 5, 12
	var poison []int64
	for n := range keys * each {
		f.append(fmt.Sprint("s-", n%keys), store.Any, events(1)...)
		if n%7 == 3 {
			poison = append(poison, int64(n+1))
		}
	}
	p := f.parkers()
	h := fails(poison...)
	end := p.parking(h, func(o *store.ConsumeOptions) {
		o.Handlers, o.BufferSize = 3, 2
		o.PartitionBy = func(e store.Recorded) string { return e.Stream }
		o.OnError = store.RetryThen(1, store.Park)
	})
	h.mu.Lock()
	left := slices.Clone(poison)
	h.mu.Unlock()
	f.eventually("all are handled", func() bool {
		if len(left) > 0 && f.row(store.All, subscription).Name != "" { // one more can be handled each time
			h.set(false, left[0])
			left = left[1:]
		}
		if f.row(store.All, subscription).Name != "" {
			_, err := p.store.ReplayParked(f.ctx, subscription, parkedOf())
			require.NoError(f, err)
		}
		return len(h.handled.numbers()) >= keys*each
	})
	p.parks()
	require.ErrorIs(f, end(), context.Canceled)
	last := map[int64]int64{}
	for _, n := range h.handled.numbers() {
		require.Less(f, last[n%keys], n, "the order within a key: %v", h.handled.numbers())
		last[n%keys] = n
	}
	assert.Len(f, h.handled.numbers(), keys*each)
}

// parkedRow is what the subscription on all events may park of an event under the number that it has there.
func parkedRow(e store.Recorded, number int64, failed bool) store.ParkedEvent {
	_, hash := store.PartitionKey(e.Stream)
	return store.ParkedEvent{
		Subscription: store.SubscriptionID{Stream: store.All, Name: subscription}, Key: e.Stream, Hash: hash, Number: number, ID: e.ID,
		Stream: e.Stream, Version: e.Version, Type: e.Type, Failed: failed,
	}
}

// saves parks and removes events, and requires that so many of those to be parked are.
func (p *party) saves(r store.ParkedChange, want int64) {
	p.f.Helper()
	n, err := p.tap.park.SaveParked(p.f.ctx, r)
	require.NoError(p.f, err)
	require.Equal(p.f, want, n, "events parked")
}

// lease creates a subscription and takes its lease.
func (p *party) leaseFor(id store.SubscriptionID) store.Lease {
	p.f.Helper()
	lease, err := p.f.rows().AcquireLease(p.f.ctx, store.LeaseRequest{ID: id, Owner: "parker", TTL: time.Hour, Create: true})
	require.NoError(p.f, err)
	return lease
}

func subParkKept(f *fixture) {
	p := f.parkers()
	id := store.SubscriptionID{Stream: store.All, Name: subscription}
	lease := p.leaseFor(id)
	save := func(park []store.ParkedEvent, remove ...uuid.UUID) {
		f.Helper()
		p.saves(store.ParkedChange{ID: id, Epoch: lease.Epoch, Park: park, Remove: remove}, int64(len(park)))
	}
	read := func(r store.ParkedRequest) []store.ParkedEvent {
		f.Helper()
		r.Subscription, r.Partitions = id, 1
		if r.Limit == 0 {
			r.Limit = 100
		}
		if r.ToNumber == 0 {
			r.ToNumber = 1 << 62
		}
		list, err := p.tap.park.ReadParked(f.ctx, r)
		require.NoError(f, err)
		return list
	}
	a, b := f.fill("a", 3), f.fill("b", 1)
	first, second, third, other := parkedRow(a[0], 1, true), parkedRow(a[1], 2, false), parkedRow(a[2], 3, false), parkedRow(b[0], 2, false)
	first.Error, first.Attempts, first.ParkedAt = "no \"such\" thing, {5%}", 7, time.Date(2026, 5, 4, 3, 2, 1, 123456000, time.UTC)
	save([]store.ParkedEvent{third, first, second, other})
	list := read(store.ParkedRequest{})
	require.Len(f, list, 4)
	assert.True(f, first.ParkedAt.Equal(list[0].ParkedAt))
	assert.WithinDuration(f, time.Now(), list[3].ParkedAt, time.Hour)
	for i := range list {
		list[i].ParkedAt = time.Time{}
	}
	first.ParkedAt = time.Time{}
	assert.Contains(f, list, first)
	assert.Contains(f, list, other)
	assert.Equal(f, []int64{1, 2, 2, 3}, []int64{list[0].Number, list[1].Number, list[2].Number, list[3].Number})
	assert.Equal(f, list[2:], bare(read(store.ParkedRequest{AfterNumber: 2, AfterID: list[1].ID})), "the page behind a place")
	assert.Equal(f, list[:1], bare(read(store.ParkedRequest{Limit: 1})))
	assert.Equal(f, list[:1], bare(read(store.ParkedRequest{ToNumber: 1})))
	assert.Equal(f, []store.ParkedEvent{other}, bare(read(store.ParkedRequest{Keys: []string{"b", "c"}})))
	assert.Equal(f, []store.ParkedEvent{third}, bare(read(store.ParkedRequest{Numbers: []int64{3, 4}})))
	assert.Equal(f, []store.ParkedEvent{other}, bare(read(store.ParkedRequest{Ready: true, AfterNumber: -1})), "a waits for its first")

	again := first
	again.Failed, again.Error, again.Attempts = false, "", 0
	save([]store.ParkedEvent{again})
	assert.Equal(f, first, bare(read(store.ParkedRequest{Numbers: []int64{1}}))[0], "it came again, and has failed before")
	again = first
	again.Error, again.Attempts = "another", 8
	save([]store.ParkedEvent{again})
	assert.Equal(f, again, bare(read(store.ParkedRequest{Numbers: []int64{1}}))[0], "it has failed again")
	moved := second
	moved.Number = 9
	save([]store.ParkedEvent{moved})
	assert.Equal(f, []store.ParkedEvent{moved}, bare(read(store.ParkedRequest{Numbers: []int64{9}})), "another event has its id")

	known, keys, err := p.tap.park.LookParked(f.ctx, id, -1)
	require.NoError(f, err)
	slices.Sort(keys)
	same(f, []string{"a", "b"}, keys, "keys")
	n, err := p.tap.park.ReplayParked(f.ctx, id, []uuid.UUID{first.ID, uuid.New()})
	require.NoError(f, err)
	require.EqualValues(f, 1, n)
	changes, keys, err := p.tap.park.LookParked(f.ctx, id, known)
	require.NoError(f, err)
	assert.NotEqual(f, known, changes, "the change can be seen")
	slices.Sort(keys)
	same(f, []string{"a", "b"}, keys, "keys")
	same(f, []int64{1, 2, 3, 9}, parkedNumbers(read(store.ParkedRequest{Ready: true, AfterNumber: -1})), "all are ready")
	same(f, []int64{2, 3, 9}, parkedNumbers(read(store.ParkedRequest{Ready: true, AfterNumber: 1, AfterID: first.ID})), "those behind the first")
	ready := func(limit int, except ...string) []int64 {
		return parkedNumbers(read(store.ParkedRequest{Ready: true, ExceptKeys: except, AfterNumber: -1, Limit: limit}))
	}
	same(f, []int64{2}, ready(1, "a"), "the page has no events of these keys")
	same(f, []int64{1, 2, 3, 9}, ready(10, "c"), "nothing of this key is parked")
	same(f, nil, ready(10, "c", "b", "a"), "nothing is left")
	_, keys, err = p.tap.park.LookParked(f.ctx, id, changes)
	require.NoError(f, err)
	assert.Empty(f, keys, "nothing has changed")
	save(nil, first.ID, other.ID, uuid.New())
	same(f, []int64{3, 9}, parkedNumbers(read(store.ParkedRequest{})), "what is left")
	n, err = p.tap.park.DiscardParked(f.ctx, id, []uuid.UUID{third.ID, third.ID, first.ID})
	require.NoError(f, err)
	require.EqualValues(f, 1, n)
	known = changes
	changes, keys, err = p.tap.park.LookParked(f.ctx, id, known)
	require.NoError(f, err)
	assert.NotEqual(f, known, changes)
	same(f, []string{"a"}, keys, "keys")
	counts, err := p.tap.park.ParkedCounts(f.ctx)
	require.NoError(f, err)
	assert.Equal(f, map[store.SubscriptionID]int64{id: 1}, counts)
}

// bare returns parked events without the time.
func bare(list []store.ParkedEvent) []store.ParkedEvent {
	for i := range list {
		list[i].ParkedAt = time.Time{}
	}
	return list
}

func parkedNumbers(list []store.ParkedEvent) []int64 {
	var all []int64
	for _, e := range list {
		all = append(all, e.Number)
	}
	return all
}

func subParkEpoch(f *fixture) {
	p := f.parkers()
	id := store.SubscriptionID{Stream: store.All, Name: subscription}
	was := p.leaseFor(id)
	a := f.fill("a", 2)
	kept := parkedRow(a[0], 1, true)
	p.saves(store.ParkedChange{ID: id, Epoch: was.Epoch, Park: []store.ParkedEvent{kept}}, 1)
	now := p.leaseFor(id)
	require.NotEqual(f, was.Epoch, now.Epoch)
	late := store.ParkedChange{ID: id, Epoch: was.Epoch, Park: []store.ParkedEvent{parkedRow(a[1], 2, true)}, Remove: []uuid.UUID{kept.ID}}
	_, err := p.tap.park.SaveParked(f.ctx, late)
	require.ErrorIs(f, err, store.ErrLeaseLost)
	late.ID.Name = "nothing"
	_, err = p.tap.park.SaveParked(f.ctx, late)
	require.ErrorIs(f, err, store.ErrLeaseLost)
	p.parks(1)
	p.saves(store.ParkedChange{ID: id, Epoch: now.Epoch, Remove: []uuid.UUID{kept.ID}}, 0)
	p.parks()
}

func subParkGone(f *fixture) {
	p := f.parkers()
	a, b := f.fill("a", 1), f.fill("b", 1)
	f.link("a", store.Any, b...)
	onAll, onA := store.SubscriptionID{Stream: store.All, Name: subscription}, store.SubscriptionID{Stream: "a", Name: subscription}
	all, some := p.leaseFor(onAll), p.leaseFor(onA)
	first, link := parkedRow(a[0], 1, true), parkedRow(b[0], 2, true)
	link.Subscription = onA
	inAll := store.ParkedChange{ID: onAll, Epoch: all.Epoch, Park: []store.ParkedEvent{first}}
	inA := store.ParkedChange{ID: onA, Epoch: some.Epoch, StreamID: f.info("a").ID, Park: []store.ParkedEvent{link}}
	again := inAll
	again.Again = true
	left := func(want ...int64) {
		f.Helper()
		list, err := p.tap.park.ReadParked(f.ctx, store.ParkedRequest{Subscription: onAll, Partitions: 1, ToNumber: 1 << 62, Limit: 10})
		require.NoError(f, err)
		require.Equal(f, want, parkedNumbers(list), "what is parked of all events")
	}
	p.saves(again, 0) // was never parked
	left()
	p.saves(inAll, 1)
	p.saves(again, 1)
	moved := again
	moved.Park = []store.ParkedEvent{parkedRow(a[0], 9, true)}
	p.saves(moved, 0)
	left(1)
	n, err := p.tap.park.DiscardParked(f.ctx, onAll, []uuid.UUID{first.ID})
	require.NoError(f, err)
	require.EqualValues(f, 1, n)
	p.saves(again, 0) // was discarded
	left()
	p.saves(inA, 1)

	f.delete("a", store.HardDelete)
	p.saves(inAll, 0) // the event is gone
	left()
	p.saves(inA, 0) // the stream is gone, though the event that was linked there is not
	f.fill("a", 1)
	p.saves(inA, 0) // this is another stream
	inA.Again = true
	p.saves(inA, 0)
	link.Subscription, link.Number = onAll, 2
	p.saves(store.ParkedChange{ID: onAll, Epoch: all.Epoch, Park: []store.ParkedEvent{first, link}}, 1)
	left(2)
}

func subParkForgotten(f *fixture) {
	f.append("a", store.Any, events(2)...)
	f.append("b", store.Any, events(2)...)
	p := f.parkers()
	ids := []store.SubscriptionID{{Stream: store.All, Name: "one"}, {Stream: store.All, Name: "two"}, {Stream: "a", Name: "one"}, {Stream: "b", Name: "one"}}
	park := func(nth int) {
		f.Helper()
		for _, id := range ids {
			r := store.ParkedChange{ID: id, Epoch: p.leaseFor(id).Epoch}
			if id.Stream != store.All {
				r.StreamID = f.info(id.Stream).ID
			}
			for _, stream := range []string{"a", "b"} {
				e := f.read(stream, nil)[nth]
				row := parkedRow(e, e.Version, true)
				row.Subscription = id
				r.Park = append(r.Park, row)
			}
			p.saves(r, 2)
		}
	}
	left := func(want ...string) {
		f.Helper()
		var got []string
		for _, id := range ids {
			list, err := p.tap.park.ReadParked(f.ctx, store.ParkedRequest{Subscription: id, Partitions: 1, ToNumber: 1 << 62, Limit: 10})
			require.NoError(f, err)
			for _, e := range list {
				got = append(got, fmt.Sprintf("%s %s: %s", id.Stream, id.Name, e.Stream))
			}
		}
		same(f, want, got, "what is parked")
	}
	park(0)
	require.NoError(f, p.ResetSubscription(f.ctx, store.All, "one", 1))
	left("$all two: a", "$all two: b", "a one: a", "a one: b", "b one: a", "b one: b")
	require.NoError(f, p.DeleteSubscription(f.ctx, "b", "one"))
	left("$all two: a", "$all two: b", "a one: a", "a one: b")
	park(1)
	known := map[store.SubscriptionID]int64{}
	for _, id := range ids {
		var err error
		known[id], _, err = p.tap.park.LookParked(f.ctx, id, -1)
		require.NoError(f, err)
	}
	require.NoError(f, p.store.Delete(f.ctx, "a", store.Any, store.HardDelete))
	left("$all one: b", "$all two: b", "$all two: b", "b one: b")
	for _, id := range ids {
		changes, _, err := p.tap.park.LookParked(f.ctx, id, known[id])
		require.NoError(f, err)
		assert.NotEqual(f, known[id], changes, "%v is to look", id)
	}
}
