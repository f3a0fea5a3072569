package conformance

import (
	"context"
	"iter"

	"github.com/eventstore-go/eventstore/store"
)

// subFace is what cases use of a [store.Store] that has subscribers.
type subFace interface {
	Subscribe(ctx context.Context, stream, name string, opts *store.SubscribeOptions) (subscriber, error)
	Watch(ctx context.Context, stream string, opts *store.WatchOptions) (watcher, error)
	Consume(ctx context.Context, stream, name string, handler store.Handler, opts *store.ConsumeOptions) error
	Subscriptions(ctx context.Context) ([]store.SubscriptionInfo, error)
	Unsubscribe(ctx context.Context, stream, name string) error
	DeleteSubscription(ctx context.Context, stream, name string) error
	ResetSubscription(ctx context.Context, stream, name string, number int64) error
	Close() error
}

// subscriber is what cases use of a [store.Subscriber].
type subscriber interface {
	Next(ctx context.Context) ([]store.Recorded, error)
	Ack(ctx context.Context, events ...store.Recorded) error
	AckNumber(ctx context.Context, numbers ...int64) error
	Nack(ctx context.Context, events ...store.Recorded) error
	Events(ctx context.Context) iter.Seq2[store.Recorded, error]
	State() store.SubscriptionState
	Close() error
}

// watcher is what cases use of a [store.Watcher].
type watcher interface {
	Next(ctx context.Context) ([]store.Recorded, error)
	Close() error
}

// realSubs is a Store as a subFace.
type realSubs struct{ *store.Store }

func (s realSubs) Subscribe(ctx context.Context, stream, name string, opts *store.SubscribeOptions) (subscriber, error) {
	r, err := s.Store.Subscribe(ctx, stream, name, opts)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (s realSubs) Watch(ctx context.Context, stream string, opts *store.WatchOptions) (watcher, error) {
	w, err := s.Store.Watch(ctx, stream, opts)
	if err != nil {
		return nil, err
	}
	return w, nil
}
