package conformance

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var subFailureCases = []testCase{
	{name: "sub/selector-panics", tx: noTx, run: subSelectorPanics, why: "a selector that panics is told to the subscriber, which can try again or leave the event out, and harms no other subscription"},
	{name: "sub/partition-by-panics", tx: noTx, run: subPartitionByPanics, why: "a partition key that can't be had is told to the subscriber"},
	{name: "sub/mapper-fails", tx: noTx, run: subMapperFails, why: "a mapper that fails is told to the subscriber, which can try again or leave the event out"},
	{name: "sub/undecodable", tx: noTx, run: subUndecodable, why: "an event that does not decode spoils no subscription: it is delivered, and says so when it is decoded"},
	{name: "sub/reads-fail", tx: noTx, run: subReadsFail, why: "a subscription outlives a database that can't be reached, and says what it waits for"},
	{name: "sub/few-retries", tx: noTx, run: subFewRetries, why: "a database that can't be reached is asked at the retry interval, however many subscribers wait"},
	{name: "sub/feed-fails", tx: noTx, run: subFeedFails, why: "live subscriptions outlive reads that fail"},
}

// failing returns a callback that fails on one number until it is mended.
func failing(number int64) (call func(e store.Recorded) error, mend func()) {
	var mended atomic.Bool
	return func(e store.Recorded) error {
		if e.Number == number && !mended.Load() {
			return errCallback
		}
		return nil
	}, func() { mended.Store(true) }
}

// callbackFails takes events up to one that a callback fails on, and checks the error.
func (f *fixture) callbackFails(r watcher, callback string, number int64) *store.CallbackError {
	f.Helper()
	ctx, cancel := f.soon()
	defer cancel()
	_, err := r.Next(ctx)
	var failed *store.CallbackError
	require.ErrorAs(f, err, &failed)
	assert.Equal(f, callback, failed.Callback)
	assert.Equal(f, number, failed.Event.Number)
	assert.ErrorIs(f, err, errCallback)
	return failed
}

// retriesAndSkips drives a subscription to 1, 2, 3 whose callback fails on 2: first it is tried again in vain, then left
// out; and another to the same whose callback is mended.
func (f *fixture) retriesAndSkips(p *party, callback string, with func(call func(store.Recorded) error) *store.SubscribeOptions) {
	f.fill("s", 3)
	bystander := p.subscribe("s", "bystander", nil)
	call, _ := failing(2)
	r := p.subscribe("s", "skips", with(call))
	f.takes(r, 1)
	for range 3 {
		failed := f.callbackFails(r, callback, 2)
		require.NoError(f, r.Nack(f.ctx, failed.Event))
	}
	failed := f.callbackFails(r, callback, 2)
	f.ack(r, failed.Event)
	f.takes(r, 3)
	f.saved("s", "skips", 3)

	call, mend := failing(2)
	r = p.subscribe("s", "mends", with(call))
	f.takes(r, 1)
	failed = f.callbackFails(r, callback, 2)
	mend()
	require.NoError(f, r.Nack(f.ctx, failed.Event))
	f.takes(r, 2, 3)
	f.takes(bystander, 1, 2, 3)
	p.fill("s", 1)
	f.takes(bystander, 4)
	f.takes(r, 4)
}

func subSelectorPanics(f *fixture) {
	f.retriesAndSkips(f.party(), "Selector", func(call func(store.Recorded) error) *store.SubscribeOptions {
		return &store.SubscribeOptions{CheckpointThreshold: 1, Selector: func(e store.Recorded) bool {
			if err := call(e); err != nil {
				panic(err)
			}
			return true
		}}
	})
}

func subPartitionByPanics(f *fixture) {
	f.retriesAndSkips(f.party(), "PartitionBy", func(call func(store.Recorded) error) *store.SubscribeOptions {
		return &store.SubscribeOptions{CheckpointThreshold: 1, PartitionBy: func(e store.Recorded) string {
			if err := call(e); err != nil {
				panic(err)
			}
			return e.Type
		}}
	})
}

func subMapperFails(f *fixture) {
	for name, fail := range sorted(map[string]func(err error) error{
		"error": func(err error) error { return err },
		"panic": func(err error) error { panic(err) },
	}) {
		f.sub(name, func(f *fixture) {
			g := *f
			g.storage = f.New(f.TB)
			g.store = f.newStore(f.TB, g.storage)
			g.es = g.face(g.store)
			g.retriesAndSkips(g.party(), "Mapper", func(call func(store.Recorded) error) *store.SubscribeOptions {
				return &store.SubscribeOptions{CheckpointThreshold: 1, Mapper: func(e store.Recorded) (store.Recorded, error) {
					if err := call(e); err != nil {
						return e, fail(err)
					}
					return e, nil
				}}
			})
		})
	}
}

func subUndecodable(f *fixture) {
	p := f.party(func(o *store.Options) { o.Serializer = picky{} })
	text := []byte(`{"n":1}`)
	write := func() {
		_, err := p.store.Append(f.ctx, "s", store.Any, store.Event{Type: "good", Data: text}, store.Event{Type: "bad", Data: text}, store.Event{Type: "good", Data: text})
		require.NoError(f, err)
	}
	write()
	r, other := p.live("s", subscription, nil), p.live(store.All, subscription, nil)
	for range 2 { // catching up, and live
		for _, r := range []subscriber{r, other} {
			got := f.take(r, 3)
			require.Len(f, got, 3)
			for i, e := range got {
				var data []byte
				err := e.Decode(&data)
				if i != 1 {
					require.NoError(f, err)
					continue
				}
				assert.ErrorIs(f, err, store.ErrDecode)
				assert.ErrorIs(f, err, errPicky)
			}
		}
		write()
	}
}

func subReadsFail(f *fixture) {
	f.fill("s", 3)
	p := f.party()
	for _, calls := range [][]string{{"AcquireLease"}, {"StreamVersions"}, {"ReadStream"}, {"Head"}, nil} {
		name := subscription
		if len(calls) > 0 {
			name = calls[0]
		}
		p.tap.cut(calls...)
		r := p.subscribe("s", name, &store.SubscribeOptions{RetryInterval: time.Millisecond, Start: store.StartCurrent})
		if name == "ReadStream" || name == "Head" {
			p.tap.guard(nil) // there is nothing to read yet; and only the first one in looks at the head
		} else {
			f.eventually("the state says so", func() bool { return errors.Is(r.State().Err, errCut) })
			require.Equal(f, store.Waiting, r.State().Phase)
			p.tap.guard(nil)
		}
		f.phase(r, store.Live)
		from := f.info("s").Version
		p.tap.cut()
		f.fill("s", 2)
		p.store.Committed()
		reads := p.tap.total()
		f.eventually("a read fails", func() bool { return p.tap.total() > reads })
		p.tap.guard(nil)
		f.takes(r, from+1, from+2)
		require.NoError(f, r.Close())
	}
}

// subFewRetries counts how often a database is asked that can't be reached.
func subFewRetries(f *fixture) {
	const interval, rounds = 100 * time.Millisecond, 4
	f.fill("s", 3)
	p := f.party()
	p.tap.cut("AcquireLease")
	began := time.Now()
	list := p.crowd(5, store.SubscribeOptions{RetryInterval: interval})
	f.eventually("it is tried again", func() bool { return p.tap.count("AcquireLease") > rounds })
	assert.GreaterOrEqual(f, time.Since(began), (rounds-1)*interval, "for %d attempts", p.tap.count("AcquireLease"))
	p.tap.guard(nil)
	f.takes(list[0], 1, 2, 3)
}

func subFeedFails(f *fixture) {
	p := f.party()
	list := []subscriber{p.live("s", subscription, nil), p.live(store.All, subscription, nil)}
	for n := range int64(4) {
		var failed atomic.Int64
		p.tap.guard(func(_ context.Context, call string) error {
			if call == "ReadAll" && failed.Add(1) <= n {
				return errCut
			}
			return nil
		})
		p.fill("s", 1)
		for _, r := range list {
			f.takes(r, n+1)
		}
	}
}
