package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Subscribe adds a subscriber to the persistent subscription called name on a stream, or on [All], and creates the
// subscription if there is none. The stream need not exist yet.
//
// A subscription delivers every event at least once and in order, across crashes, restarts, and takeover by another
// process; only one process runs it at a time. If that is another one, the subscriber waits, and takes over within
// the lease time when that process has died, at once when it has closed. Several subscribers in one process share the
// events, if ConcurrencyLimit allows.
//
// ctx counts for the call only; end the subscriber by [Subscriber.Close]. Errors are [ErrInvalid],
// [ErrTooManySubscribers], [ErrClosed], [ErrPositionLost] and [ErrSchema] in a [SubscriptionError], and ctx's. While the
// database can't be reached the subscription tries again, and State says so.
func (s *Store) Subscribe(ctx context.Context, stream, name string, opts *SubscribeOptions) (*Subscriber, error) {
	return s.subscribeBy(ctx, stream, name, opts, viaSubscribe)
}

// subscribeBy is Subscribe, for a kind of call.
func (s *Store) subscribeBy(ctx context.Context, stream, name string, opts *SubscribeOptions, by kind) (*Subscriber, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	id := SubscriptionID{Stream: stream, Name: name}
	if err := checkSubscription(id); err != nil {
		return nil, err
	}
	checked, err := opts.checked()
	if err != nil {
		return nil, err
	}
	checked.kind = by
	return s.subscribe(ctx, id, checked)
}

// subscribe subscribes and waits as long as opts say.
func (s *Store) subscribe(ctx context.Context, id SubscriptionID, opts runOptions) (*Subscriber, error) {
	h, err := s.subscriptions()
	if err != nil {
		return nil, err
	}
	r, err := h.subscribe(ctx, id, opts)
	if err != nil {
		return nil, err
	}
	err = r.subscription.await(ctx, func(state SubscriptionState) bool {
		return !opts.WaitForLease || state.Phase != Waiting || r.subscription.isLeased()
	})
	if err != nil {
		if r.leave() && opts.kind == viaConsume {
			<-r.subscription.done
		} // otherwise without waiting for a database that may hang, as ctx says
		return nil, err
	}
	return r, nil
}

// subscriptions returns the hub, or why there is none.
func (s *Store) subscriptions() (*hub, error) {
	switch {
	case s.inTx:
		return nil, &InvalidError{Field: "store", Reason: "is bound to a transaction: subscribe on the Store itself"}
	case s.hub == nil:
		return nil, fmt.Errorf("store: this backend keeps no subscriptions: %w", errors.ErrUnsupported)
	}
	return s.hub, nil
}

// await waits until the subscription has a state that will do. The error is ctx's, or why the subscription has stopped.
func (s *subscription) await(ctx context.Context, enough func(SubscriptionState) bool) error {
	for {
		s.mu.Lock()
		state, begun := s.state()
		changed := s.audience.changed
		s.mu.Unlock()
		switch {
		case begun && state.Phase == Stopped:
			return state.Err
		case begun && enough(state):
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

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
	return &Watcher{r}, nil
}

// Watcher receives new events. [Store.Watch] makes one. It is for one goroutine.
type Watcher struct{ subscriber *Subscriber }

// Next waits for events and returns them in order. The error is ctx's, a [CallbackError], or, for good, a
// [SubscriptionError]: [ErrTooSlow], [ErrSubscriberClosed], [ErrClosed], [ErrStreamDeleted], [ErrPositionLost].
func (w *Watcher) Next(ctx context.Context) ([]Recorded, error) {
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

// Close ends the watcher. Closing again does nothing.
func (w *Watcher) Close() error { return w.subscriber.Close() }

// Subscriptions lists all persistent subscriptions, by stream and name, whoever runs them, with their lag. Projections
// are listed by [Store.Projections].
func (s *Store) Subscriptions(ctx context.Context) ([]SubscriptionInfo, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	h, err := s.subscriptions()
	if err != nil {
		return nil, err
	}
	list, err := h.storage.ListSubscriptions(ctx)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(i SubscriptionInfo) bool { return strings.HasPrefix(i.Name, partitionPrefix) })
	if err := s.countParked(ctx, list); err != nil {
		return nil, err
	}
	return list, h.heads(ctx, list)
}

// countParked fills in how many events each subscription has parked.
func (s *Store) countParked(ctx context.Context, list []SubscriptionInfo) error {
	storage, ok := s.storage.(ParkedStorage)
	if !ok || len(list) == 0 {
		return nil
	}
	counts, err := storage.ParkedCounts(ctx)
	if err != nil {
		return err
	}
	for n := range list {
		list[n].Parked = counts[list[n].SubscriptionID]
	}
	return nil
}

// heads fills in Head, and since when events are there behind the checkpoint.
func (h *hub) heads(ctx context.Context, list []SubscriptionInfo) error {
	if len(list) == 0 {
		return nil
	}
	head, err := h.storage.Head(ctx)
	if err != nil {
		return err
	}
	var streams []string
	for _, i := range list {
		if i.Stream != All {
			streams = append(streams, i.Stream)
		}
	}
	infos := map[string]StreamInfo{}
	if len(streams) > 0 {
		if infos, err = h.storage.StreamVersions(ctx, streams); err != nil {
			return err
		}
	}
	for n := range list {
		i := &list[n]
		i.Head, i.HeadID = infos[i.Stream].Version, infos[i.Stream].ID
		if i.Stream == All {
			i.Head = head
		}
	}
	return h.arrivals(ctx, list)
}

// arrivals fills in since when there are events behind the checkpoint.
func (h *hub) arrivals(ctx context.Context, list []SubscriptionInfo) error {
	var behind []Behind
	var places []int
	for n, i := range list {
		if i.Lag() > 0 {
			behind, places = append(behind, Behind{i.Stream, i.Passed()}), append(places, n)
		}
	}
	if len(behind) == 0 {
		return nil
	}
	a, err := h.storage.Arrivals(ctx, behind)
	if err != nil {
		return err
	}
	for k, n := range places {
		list[n].NextAt, list[n].ListedAt = a.At[k], a.Now
	}
	return nil
}

// Unsubscribe closes all subscribers that this Store has on a subscription, whichever goroutine they are on. The
// checkpoint stays. Where there are none it does nothing.
func (s *Store) Unsubscribe(ctx context.Context, stream, name string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	h, err := s.subscriptions()
	if err != nil {
		return err
	}
	for _, running := range h.running(SubscriptionID{Stream: stream, Name: name}) {
		running.close(ErrSubscriberClosed)
		select {
		case <-running.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := running.flushed(); err != nil {
			return err
		}
	}
	return nil
}

// DeleteSubscription removes a subscription, its checkpoint and what it has parked, and ends it in whatever process runs it: in this one at
// once, in another within a third of the lease time, or at its next checkpoint. Subscribing again starts anew. The
// error is [ErrSubscriptionNotFound] if there is none.
func (s *Store) DeleteSubscription(ctx context.Context, stream, name string) error {
	return s.manage(ctx, stream, name, ErrSubscriptionNotFound, func(h *hub, id SubscriptionID) error {
		return h.storage.DeleteSubscription(ctx, id)
	})
}

// ResetSubscription sets the checkpoint of a subscription to number, back or forward: the next event is the one behind
// it. Whoever runs the subscription loses its lease, takes it again, and goes on from there; what its subscribers
// have in flight is void. What is parked is discarded. The error is [ErrSubscriptionNotFound] if there is none, and [ErrInvalid] if the stream
// does not reach that far.
func (s *Store) ResetSubscription(ctx context.Context, stream, name string, number int64) error {
	return s.manage(ctx, stream, name, nil, func(h *hub, id SubscriptionID) error {
		end, streamID, err := int64(0), int64(0), error(nil)
		if stream == All {
			end, err = h.storage.Head(ctx)
		} else {
			var infos map[string]StreamInfo
			infos, err = h.storage.StreamVersions(ctx, []string{stream})
			end, streamID = infos[stream].Version, infos[stream].ID
		}
		switch {
		case err != nil:
			return err
		case number < 0 || number > end:
			return &InvalidError{Field: "number", Reason: fmt.Sprintf("is %d, must be from 0 to %d, where the stream ends", number, end)}
		}
		return h.storage.ResetSubscription(ctx, id, number, streamID)
	})
}

// manage changes a subscription in the database, and has those who run it here look at once, or end it with an error.
func (s *Store) manage(ctx context.Context, stream, name string, end error, change func(*hub, SubscriptionID) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	id := SubscriptionID{Stream: stream, Name: name}
	if err := checkSubscription(id); err != nil {
		return err
	}
	h, err := s.subscriptions()
	if err != nil {
		return err
	}
	if err := change(h, id); err != nil {
		return err
	}
	for _, running := range h.running(id) {
		if !running.opts.Transient {
			running.loseLease(running.epoch())
			if end != nil {
				running.close(end)
			}
		}
	}
	h.leases.poke()
	return nil
}
