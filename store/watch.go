package store

import (
	"context"
	"errors"
	"iter"
)

// DefaultWatchSize is how many events a watcher may be behind.
const DefaultWatchSize = 10_000

// WatchOptions of a watcher. The zero value of each field is its default.
type WatchOptions struct {
	// MaxSize is how many events are kept for the watcher. Default: DefaultWatchSize.
	MaxSize int
	// Filter chooses events. Default: all.
	Filter EventFilter
	// Selector chooses events, on the watcher's own goroutine. Default: all.
	Selector func(Recorded) bool
}

// Watch returns a subscriber to the events that are appended to a stream, or to [All], after the call. It has no name,
// no checkpoint and no lease, and events need not be acknowledged: Next gives the next ones. A watcher that does not
// keep up is ended with [ErrTooSlow] once more than MaxSize events wait for it, and holds up nobody.
func (s *Store) Watch(ctx context.Context, stream string, opts *WatchOptions) (*Watcher, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &WatchOptions{}
	}
	if stream != All {
		if err := checkStream(stream); err != nil {
			return nil, err
		}
	}
	size := opts.MaxSize
	if size == 0 {
		size = DefaultWatchSize
	}
	checked, err := (&SubscribeOptions{
		Start: StartCurrent, BufferSize: min(size, DefaultPageSize), MaxSize: size, Filter: opts.Filter, Selector: opts.Selector,
		Transient: true, WaitForLease: true,
	}).checked()
	if err != nil {
		return nil, err
	}
	checked.kind = viaWatch
	r, err := s.subscribe(ctx, SubscriptionID{Stream: stream}, checked)
	if err != nil {
		return nil, err
	}
	return &Watcher{subscriber: r}, nil
}

// Watcher receives new events. [Store.Watch] makes one. It is for one goroutine.
type Watcher struct {
	subscriber *Subscriber
	rest       []Recorded // taken by Events, and not yielded yet
}

// Next waits for events and returns them in order. The error is ctx's, a [CallbackError], or, for good, a
// [SubscriptionError]: [ErrTooSlow], [ErrSubscriberClosed], [ErrClosed], [ErrStreamDeleted], [ErrPositionLost].
func (w *Watcher) Next(ctx context.Context) ([]Recorded, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if rest := w.rest; len(rest) > 0 {
		w.rest = nil
		return rest, nil
	}
	events, err := w.subscriber.Next(ctx)
	var failed *CallbackError
	if errors.As(err, &failed) {
		events = []Recorded{failed.Event}
	}
	if len(events) > 0 {
		if e := w.subscriber.Ack(context.WithoutCancel(ctx), events...); err == nil && e != nil {
			return nil, e
		}
	}
	if err != nil {
		return nil, err
	}
	return events, nil
}

// Events yields new events one by one, in order, and waits for more. The sequence ends with an error, which comes last: those of
// Next. Ranging again, also after the loop was left early, goes on behind the last event that was yielded; so does Next.
func (w *Watcher) Events(ctx context.Context) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		for {
			events, err := w.Next(ctx)
			if err != nil {
				yield(Recorded{}, err)
				return
			}
			for w.rest = events; len(w.rest) > 0; {
				if err := ctx.Err(); err != nil {
					yield(Recorded{}, err)
					return
				}
				e := w.rest[0]
				w.rest = w.rest[1:]
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Close ends the watcher. Closing again does nothing.
func (w *Watcher) Close() error { return w.subscriber.Close() }
