package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/tail"
)

// hub runs the subscriptions of a Store. It has the names of those that run, and the goroutines that they share.
type hub struct {
	*env
	services
	notifier Notifier
	progress progress

	mu        sync.Mutex
	listening bool
	named     map[subscriptionKey]*subscription
	unnamed   map[*subscription]bool // watchers
	projected map[string]bool        // projections that run here
	ticking   chan struct{}          // holds one; nil until somebody ticks
}

// subscriptionKey tells apart what runs in a Store: a transient subscription is another than the persistent one of the
// same name.
type subscriptionKey struct {
	SubscriptionID
	transient bool
}

func newHub(e *env, n Notifier) *hub {
	h := &hub{
		env: e, notifier: n,
		named: map[subscriptionKey]*subscription{}, unnamed: map[*subscription]bool{}, projected: map[string]bool{},
	}
	h.services = services{newFeed(e), newLeases(e, h.runs), newCheckpoints(e, h.savers)}
	return h
}

// subscribe adds a subscriber to the subscription, which it starts if it is the first. An unnamed one is a watcher.
func (h *hub) subscribe(ctx context.Context, id SubscriptionID, opts runOptions) (*Subscriber, error) {
	for {
		r, before, err := h.attach(id, opts)
		if err != nil {
			return nil, err
		}
		if before == nil {
			return r, nil
		}
		select { // the subscription is about to stop
		case <-before.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// attach returns a new subscriber, or the subscription that has to stop before.
func (h *hub) attach(id SubscriptionID, opts runOptions) (r *Subscriber, before *subscription, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isClosed() { // and is not closed while h.mu is held
		return nil, nil, ErrClosed
	}
	h.listen()
	key := subscriptionKey{id, opts.Transient}
	if s := h.named[key]; s != nil && id.Name != "" {
		r, err := s.attach(&opts)
		if r == nil && err == nil {
			return nil, s, nil
		}
		return r, nil, err
	}
	s := newSubscription(h.env, h.services, id, opts)
	if r, err = s.attach(&opts); err != nil {
		return nil, nil, err
	}
	if id.Name == "" {
		h.unnamed[s] = true
	} else {
		h.named[key] = s
	}
	h.start(func(ctx context.Context) { s.run(ctx, func() { h.forget(s) }) })
	return r, nil, nil
}

// forget removes a subscription that has ended.
func (h *hub) forget(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.unnamed, s)
	key := subscriptionKey{s.id, s.opts.Transient}
	if h.named[key] == s {
		delete(h.named, key)
	}
}

// running returns the subscriptions of that id that run here.
func (h *hub) running(id SubscriptionID) (list []*subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, transient := range []bool{false, true} {
		if s := h.named[subscriptionKey{id, transient}]; s != nil {
			list = append(list, s)
		}
	}
	return list
}

// runs reports whether a persistent subscription runs here, or is going to.
func (h *hub) runs(id SubscriptionID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.named[subscriptionKey{SubscriptionID: id}] != nil
}

// enter notes that a projection runs here, unless one of the name does already, which it reports.
func (h *hub) enter(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.projected[name] {
		return false
	}
	h.projected[name] = true
	return true
}

// projects reports whether a projection runs here.
func (h *hub) projects(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.projected[name]
}

func (h *hub) exit(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.projected, name)
}

// all returns all subscriptions that run here.
func (h *hub) all() []*subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*subscription, 0, len(h.named)+len(h.unnamed))
	for _, s := range h.named {
		list = append(list, s)
	}
	for s := range h.unnamed {
		list = append(list, s)
	}
	return list
}

// savers is all, for those that save checkpoints.
func (h *hub) savers() (list []saver) {
	for _, s := range h.all() {
		list = append(list, s)
	}
	return list
}

// listen starts the notifier, once. h.mu is held.
func (h *hub) listen() {
	if h.notifier == nil || h.listening {
		return
	}
	h.listening = true
	h.start(func(ctx context.Context) {
		err := h.notifier.Listen(ctx, h.hint)
		if err != nil && ctx.Err() == nil {
			h.log.Error("eventstore: the notifier has ended; new events are found by polling", "err", err)
		}
	})
}

// hint says that there may be new events, or free leases.
func (h *hub) hint() {
	h.feed.poke()
	h.leases.poke()
}

// committed says that this process has committed something. Where other processes are to be told, or read a replica, and nobody reads
// here, a tick gives it its position, and tells them.
func (h *hub) committed() {
	if h.feed.committed() || h.notifier == nil && !h.replicated || h.ticker == nil {
		return
	}
	h.tickSoon()
}

// tickSoon has a tick in the background.
func (h *hub) tickSoon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isClosed() {
		return
	}
	if h.ticking == nil {
		h.ticking = make(chan struct{}, 1)
		h.start(h.tick)
	}
	select {
	case h.ticking <- struct{}{}:
	default: // the next tick covers this commit, too
	}
}

// tick ticks after each commit it is told of.
func (h *hub) tick(ctx context.Context) {
	for {
		select {
		case <-h.ticking:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		placed, err := h.place(ctx)
		if err != nil && ctx.Err() == nil {
			h.lines.warn(ctx, "eventstore: a tick failed; the next one covers it", "err", err)
		}
		sleep(ctx, tail.Rest(placed, time.Since(began)))
	}
}

// close ends all subscriptions, in good order, and all goroutines.
func (h *hub) close() error {
	h.mu.Lock()
	h.shut()
	h.mu.Unlock()
	list := h.all()
	var err error
	for _, s := range list {
		s.close(ErrClosed)
	}
	for _, s := range list {
		<-s.done
		if e := s.flushed(); e != nil && err == nil {
			err = fmt.Errorf("store: close: %w", e)
		}
	}
	h.stop()
	return err
}
