package store

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// env is what the subscriptions and projections of a Store share: the storage, the settings, the log, and the goroutines' context.
type env struct {
	database
	codec     *codec
	log       *slog.Logger
	lines     *lines   // of the same, for what may happen again and again
	observer  Observer // or nil
	owner     string   // of leases, see newOwner
	leaseTTL  time.Duration
	pollEvery time.Duration
	pageBytes int // see Options

	ctx    context.Context // of all goroutines
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// subscribed is a storage that keeps subscriptions.
type subscribed interface {
	Storage
	SubscriptionStorage
}

// database is where subscriptions are kept, and where they read events: the same storage, or a replica of it. What a replica shows counts
// only if the primary has it, too.
type database struct {
	storage    subscribed   // the primary
	reads      subscribed   // the replica if there is one, else storage
	replicated bool         // there is a replica
	end        atomic.Int64 // with a replica, where the primary ended when it was asked last
	ticker     Ticker       // nil if the storage gives positions at once
	poller     Poller       // nil if the storage is none
}

// use makes d use a storage, and a replica of it unless that is nil.
func (d *database) use(storage, replica subscribed) {
	d.storage, d.reads = storage, storage
	if replica != nil {
		d.reads, d.replicated = replica, true
	}
	d.ticker, _ = storage.(Ticker)
	d.poller, _ = storage.(Poller)
}

// start runs f in a goroutine. It reports false if the Store is closed.
func (e *env) start(f func(ctx context.Context)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.wg.Go(func() { f(e.ctx) })
	return true
}

// isClosed reports whether the Store is closed.
func (e *env) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// shut closes the Store: start fails from now on.
func (e *env) shut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
}

// stop ends all goroutines and waits for them.
func (e *env) stop() {
	e.cancel()
	e.wg.Wait()
	e.lines.end(context.Background())
}

// place gives committed events their positions. It returns how many appends those were.
func (e *env) place(ctx context.Context) (placed int, err error) {
	ctx, end := e.observe(ctx, Operation{Kind: OpTick})
	n, err := e.ticker.Tick(ctx)
	end(Outcome{Err: err, Count: int(n)})
	return int(n), err
}

// observe reports to the observer, if there is one, that an operation begins.
func (e *env) observe(ctx context.Context, op Operation) (context.Context, func(Outcome)) {
	return observe(ctx, e.observer, op)
}

// gaveUp reports to the observer that an event is skipped or parked.
func (e *env) gaveUp(ctx context.Context, op Operation, event Recorded, attempt int, err error) {
	if e.observer == nil {
		return
	}
	op.Events, op.Attempt = []Recorded{event}, attempt
	_, end := e.observer.Begin(ctx, op)
	end(Outcome{Err: err, Count: 1})
}
