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

// WaitUntil blocks until the subscription has reached a phase, or a later one: [Waiting], [CatchingUp], [Live], [Stopped]. Use it in
// another goroutine than the one that receives the events, or for a subscription that needs no help to get there: if the queue is full
// of events that nobody takes (see [SubscribeOptions].MaxSize), the subscription does not become Live. A Live subscription may be behind
// again later, so that WaitUntil is for the start of a program and for tests.
//
// The error is ctx's, or, if the subscription has stopped and another phase was asked for, why it did: a [SubscriptionError] or
// [ErrClosed]. A phase that does not exist is [ErrInvalid].
func (r *Subscriber) WaitUntil(ctx context.Context, phase Phase) error {
	if phase < Waiting || phase > Stopped {
		return &InvalidError{Field: "phase", Reason: fmt.Sprintf("%d is none of Waiting, CatchingUp, Live and Stopped", int(phase))}
	}
	err := r.subscription.await(ctx, func(state SubscriptionState) bool { return state.Phase >= phase })
	if phase == Stopped && r.State().Phase == Stopped {
		return nil
	}
	return err
}

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
	return s.infos(ctx, h, func(SubscriptionID) bool { return true })
}

// Subscription returns the persistent subscription called name on a stream, or on [All], whichever process runs it, with its lag.
// The error is [ErrSubscriptionNotFound] if there is none. A projection is no subscription: see [Store.Projection].
func (s *Store) Subscription(ctx context.Context, stream, name string) (SubscriptionInfo, error) {
	if err := s.usable(ctx); err != nil {
		return SubscriptionInfo{}, err
	}
	id := SubscriptionID{Stream: stream, Name: name}
	if err := checkSubscription(id); err != nil {
		return SubscriptionInfo{}, err
	}
	h, err := s.subscriptions()
	if err != nil {
		return SubscriptionInfo{}, err
	}
	list, err := s.infos(ctx, h, func(other SubscriptionID) bool { return other == id })
	if err != nil {
		return SubscriptionInfo{}, err
	}
	if len(list) == 0 {
		return SubscriptionInfo{}, &SubscriptionError{id, ErrSubscriptionNotFound}
	}
	return list[0], nil
}

// infos lists the subscriptions that want chooses, without those of projections.
func (s *Store) infos(ctx context.Context, h *hub, want func(SubscriptionID) bool) ([]SubscriptionInfo, error) {
	list, err := h.storage.ListSubscriptions(ctx)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(i SubscriptionInfo) bool {
		return strings.HasPrefix(i.Name, partitionPrefix) || !want(i.SubscriptionID)
	})
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
