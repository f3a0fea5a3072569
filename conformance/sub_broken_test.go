package conformance

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// carelessSubs is a Store that does not do for subscribers some of what it should. A nil field leaves the call as it is.
type carelessSubs struct {
	subFace
	options     func(o *store.SubscribeOptions)
	watching    func(o *store.WatchOptions)
	subscribe   func(ctx context.Context, stream, name string, o *store.SubscribeOptions) (subscriber, error)
	watch       func(ctx context.Context, stream string, o *store.WatchOptions) (watcher, error)
	subscriber  func(r subscriber) subscriber // of Subscribe
	watcher     func(w watcher) watcher
	handler     func(h store.Handler) store.Handler
	failure     func(err error) error // of every call
	list        func(list []store.SubscriptionInfo)
	unsubscribe func() error
	remove      func() error
	reset       func() error
	close       func() error
}

func (c *carelessSubs) failed(err error) error {
	if c.failure != nil && err != nil {
		return c.failure(err)
	}
	return err
}

func (c *carelessSubs) Subscribe(ctx context.Context, stream, name string, opts *store.SubscribeOptions) (subscriber, error) {
	var o store.SubscribeOptions
	if opts != nil {
		o = *opts
	}
	if c.options != nil {
		c.options(&o)
	}
	call := c.subFace.Subscribe
	if c.subscribe != nil {
		call = c.subscribe
	}
	r, err := call(ctx, stream, name, &o)
	if err != nil {
		return nil, c.failed(err)
	}
	if c.subscriber != nil {
		r = c.subscriber(r)
	}
	return r, nil
}

func (c *carelessSubs) Watch(ctx context.Context, stream string, opts *store.WatchOptions) (watcher, error) {
	var o store.WatchOptions
	if opts != nil {
		o = *opts
	}
	if c.watching != nil {
		c.watching(&o)
	}
	call := c.subFace.Watch
	if c.watch != nil {
		call = c.watch
	}
	w, err := call(ctx, stream, &o)
	if err != nil {
		return nil, c.failed(err)
	}
	if c.watcher != nil {
		w = c.watcher(w)
	}
	return w, nil
}

func (c *carelessSubs) Consume(ctx context.Context, stream, name string, handler store.Handler, opts *store.ConsumeOptions) error {
	var o store.ConsumeOptions
	if opts != nil {
		o = *opts
	}
	if c.options != nil {
		c.options(&o.SubscribeOptions)
	}
	if c.handler != nil {
		handler = c.handler(handler)
	}
	return c.failed(c.subFace.Consume(ctx, stream, name, handler, &o))
}

func (c *carelessSubs) Subscriptions(ctx context.Context) ([]store.SubscriptionInfo, error) {
	list, err := c.subFace.Subscriptions(ctx)
	if c.list != nil {
		c.list(list)
	}
	return list, c.failed(err)
}

func (c *carelessSubs) Unsubscribe(ctx context.Context, stream, name string) error {
	if c.unsubscribe != nil {
		return c.unsubscribe()
	}
	return c.failed(c.subFace.Unsubscribe(ctx, stream, name))
}

func (c *carelessSubs) DeleteSubscription(ctx context.Context, stream, name string) error {
	if c.remove != nil {
		return c.remove()
	}
	return c.failed(c.subFace.DeleteSubscription(ctx, stream, name))
}

func (c *carelessSubs) ResetSubscription(ctx context.Context, stream, name string, number int64) error {
	if c.reset != nil {
		return c.reset()
	}
	return c.failed(c.subFace.ResetSubscription(ctx, stream, name, number))
}

func (c *carelessSubs) Close() error {
	if c.close != nil {
		return c.close()
	}
	return c.subFace.Close()
}

// carelessSubscriber is a subscriber with some of its calls replaced. A nil field leaves the call as it is.
type carelessSubscriber struct {
	subscriber
	next   func(ctx context.Context) ([]store.Recorded, error)
	ack    func(ctx context.Context, numbers []int64) error
	nack   func(ctx context.Context, events []store.Recorded) error
	events func(seq iter.Seq2[store.Recorded, error]) iter.Seq2[store.Recorded, error]
	state  func() store.SubscriptionState
	close  func() error
}

func (c *carelessSubscriber) Next(ctx context.Context) ([]store.Recorded, error) {
	if c.next != nil {
		return c.next(ctx)
	}
	return c.subscriber.Next(ctx)
}

func (c *carelessSubscriber) Ack(ctx context.Context, events ...store.Recorded) error {
	return c.AckNumber(ctx, numbers(events)...)
}

func (c *carelessSubscriber) AckNumber(ctx context.Context, numbers ...int64) error {
	if c.ack != nil {
		return c.ack(ctx, numbers)
	}
	return c.subscriber.AckNumber(ctx, numbers...)
}

func (c *carelessSubscriber) Nack(ctx context.Context, events ...store.Recorded) error {
	if c.nack != nil {
		return c.nack(ctx, events)
	}
	return c.subscriber.Nack(ctx, events...)
}

func (c *carelessSubscriber) Events(ctx context.Context) iter.Seq2[store.Recorded, error] {
	seq := c.subscriber.Events(ctx)
	if c.events != nil {
		return c.events(seq)
	}
	return seq
}

func (c *carelessSubscriber) State() store.SubscriptionState {
	if c.state != nil {
		return c.state()
	}
	return c.subscriber.State()
}

func (c *carelessSubscriber) Close() error {
	if c.close != nil {
		return c.close()
	}
	return c.subscriber.Close()
}

// optioned changes the options of every subscription.
func optioned(change func(o *store.SubscribeOptions)) func(c *carelessSubs, _ *tap) {
	return func(c *carelessSubs, _ *tap) { c.options = change }
}

// subscribed breaks every subscriber.
func subscribed(change func(c *carelessSubscriber)) func(c *carelessSubs, _ *tap) {
	return func(c *carelessSubs, _ *tap) {
		c.subscriber = func(r subscriber) subscriber {
			s := &carelessSubscriber{subscriber: r}
			change(s)
			return s
		}
	}
}

// batched changes every batch that a subscriber or a watcher gets.
func batched(change func(batch []store.Recorded) []store.Recorded) func(c *carelessSubs, t *tap) {
	next := func(real func(ctx context.Context) ([]store.Recorded, error)) func(ctx context.Context) ([]store.Recorded, error) {
		return func(ctx context.Context) ([]store.Recorded, error) {
			batch, err := real(ctx)
			if err == nil {
				batch = change(batch)
			}
			return batch, err
		}
	}
	return func(c *carelessSubs, t *tap) {
		subscribed(func(s *carelessSubscriber) { s.next = next(s.subscriber.Next) })(c, t)
		c.watcher = func(w watcher) watcher { return &carelessWatcher{w, next(w.Next)} }
	}
}

// carelessWatcher is a watcher with another Next.
type carelessWatcher struct {
	watcher
	next func(ctx context.Context) ([]store.Recorded, error)
}

func (c *carelessWatcher) Next(ctx context.Context) ([]store.Recorded, error) { return c.next(ctx) }

// unfailing makes what fails with one error succeed, as if there was no reason for it.
func unfailing(is error) func(c *carelessSubs, t *tap) {
	swallow := func(err error) error {
		if errors.Is(err, is) {
			return nil
		}
		return err
	}
	next := func(real func(ctx context.Context) ([]store.Recorded, error)) func(ctx context.Context) ([]store.Recorded, error) {
		return func(ctx context.Context) ([]store.Recorded, error) {
			for {
				batch, err := real(ctx)
				if !errors.Is(err, is) {
					return batch, err
				}
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
			}
		}
	}
	return func(c *carelessSubs, t *tap) {
		c.failure = swallow
		subscribed(func(s *carelessSubscriber) {
			s.next = next(s.subscriber.Next)
			s.ack = func(ctx context.Context, numbers []int64) error {
				return swallow(s.subscriber.AckNumber(ctx, numbers...))
			}
			s.nack = func(ctx context.Context, events []store.Recorded) error {
				return swallow(s.subscriber.Nack(ctx, events...))
			}
		})(c, t)
		c.watcher = func(w watcher) watcher { return &carelessWatcher{w, next(w.Next)} }
	}
}

// tapping breaks the storage that subscriptions are kept in.
func tapping(change func(b *broken)) func(t *tap) {
	return func(t *tap) {
		b := newBroken(t.Storage)
		change(b)
		t.Storage, t.subs = b, b
	}
}

// paging changes every page that is read.
func paging(change func(page []store.Recorded, from int64) []store.Recorded) func(t *tap) {
	return tapping(func(b *broken) {
		read := func(real pageRead) pageRead {
			return func(ctx context.Context, r store.ReadRequest) ([]store.Recorded, error) {
				page, err := real(ctx, r)
				return change(page, r.From), err
			}
		}
		b.readAll, b.readStream = inAll(read, b), inStream(read, b)
		b.filtered = func(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
			page, next, err := b.SubscriptionStorage.ReadFiltered(ctx, r, f)
			return change(page, r.From), next, err
		}
	})
}

// looking changes what is known of streams.
func looking(change func(i *store.StreamInfo)) func(t *tap) {
	return tapping(func(b *broken) {
		b.versions = func(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
			infos, err := b.SubscriptionStorage.StreamVersions(ctx, streams)
			for name, i := range infos {
				change(&i)
				infos[name] = i
			}
			return infos, err
		}
	})
}

// frozen remembers what streams were like when they were first looked at.
func frozen() func(i *store.StreamInfo) {
	var mu sync.Mutex
	first := map[string]store.StreamInfo{}
	return func(i *store.StreamInfo) {
		mu.Lock()
		defer mu.Unlock()
		if was, ok := first[i.Stream]; ok {
			*i = was
		}
		first[i.Stream] = *i
	}
}

// alone gives every subscriber a Store of its own, that hears of nothing and looks at nothing by itself.
func alone(c *carelessSubs, t *tap) {
	var mu sync.Mutex
	var opened []*store.Store
	c.subscribe = func(ctx context.Context, stream, name string, o *store.SubscribeOptions) (subscriber, error) {
		es := store.New(t, &store.Options{PollInterval: time.Hour})
		mu.Lock()
		opened = append(opened, es)
		mu.Unlock()
		return realSubs{es}.Subscribe(ctx, stream, name, o)
	}
	real := c.subFace.Close
	c.close = func() error {
		mu.Lock()
		defer mu.Unlock()
		for _, es := range opened {
			_ = es.Close()
		}
		return real()
	}
}

// leftOpen makes every watcher one that can't be closed.
type leftOpen struct{ watcher }

func (leftOpen) Close() error { return nil }

// lasting is a watcher that is a subscriber in truth.
type lasting struct{ subscriber }

func (l lasting) Next(ctx context.Context) ([]store.Recorded, error) {
	events, err := l.subscriber.Next(ctx)
	if err == nil {
		err = l.Ack(ctx, events...)
	}
	return events, err
}

// inFlight notes what a subscriber has in flight.
type inFlight struct {
	mu   sync.Mutex
	list []int64
}

func (i *inFlight) add(events []store.Recorded) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.list = append(i.list, numbers(events)...)
}

// upTo returns what is in flight up to a number.
func (i *inFlight) upTo(most int64) []int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(i.list), func(n int64) bool { return n > most })
}

// byNumber is a sequence that acknowledges each event by its number.
func byNumber(r subscriber) iter.Seq2[store.Recorded, error] {
	return func(yield func(store.Recorded, error) bool) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for {
			batch, err := r.Next(ctx)
			if err != nil {
				yield(store.Recorded{}, err)
				return
			}
			for _, e := range batch {
				if !yield(e, nil) {
					return
				}
				_ = r.AckNumber(ctx, e.Number)
			}
		}
	}
}
