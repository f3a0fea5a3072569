package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/lease"
)

// tenant is a subscription that has a lease, as leases sees it. Its methods do not block.
type tenant interface {
	waker
	// known returns the lease as the tenant remembers it.
	known() Lease
	// extend reports that the lease of an epoch was renewed until a time.
	extend(epoch int64, until time.Time)
	// warnIfLost logs err if a saved checkpoint was lost.
	warnIfLost(err error)
	// loseLease reports that the lease of an epoch is lost.
	loseLease(epoch int64)
}

// waker waits for leases of other processes. Its method does not block.
type waker interface {
	// leaseFree hints that a lease may be free.
	leaseFree()
}

// watch holds the leases that a waker waits for.
type watch struct {
	ids   []SubscriptionID
	every time.Duration // how often to look
}

// leases keeps the leases of a Store: one statement renews all that it holds, and one looks for those it waits for,
// however many there are. A [lease.Keeper] decides when.
type leases struct {
	env   *env
	runs  func(SubscriptionID) bool // whether a persistent subscription runs here, or is going to
	hints chan struct{}             // holds one

	mu      sync.Mutex
	running bool
	held    map[tenant]bool
	waiting map[waker]watch
}

func newLeases(e *env, runs func(SubscriptionID) bool) *leases {
	return &leases{env: e, runs: runs, hints: make(chan struct{}, 1), held: map[tenant]bool{}, waiting: map[waker]watch{}}
}

// poke hints that a lease may be free.
func (l *leases) poke() {
	select {
	case l.hints <- struct{}{}:
	default:
	}
}

// hold keeps the lease of t from now on.
func (l *leases) hold(t tenant) { l.change(func() { l.held[t] = true }) }

// watch calls w when one of the leases is free, and looks for free leases at that interval at least. It replaces the watch of w.
func (l *leases) watch(w waker, every time.Duration, ids ...SubscriptionID) {
	l.change(func() {
		if delete(l.waiting, w); len(ids) > 0 {
			l.waiting[w] = watch{ids, every}
		}
	})
}

// change changes what there is to do.
func (l *leases) change(do func()) {
	l.mu.Lock()
	do()
	start := !l.running && l.busy()
	l.running = l.running || start
	l.mu.Unlock()
	if start {
		l.env.start(l.run)
	} else {
		l.poke()
	}
}

// stopWaiting ends a watch.
func (l *leases) stopWaiting(w waker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, w)
}

// leave forgets t.
func (l *leases) leave(t tenant) {
	l.mu.Lock()
	delete(l.held, t)
	delete(l.waiting, t)
	l.mu.Unlock()
	l.poke()
}

// run keeps leases until there are none, held or waited for.
func (l *leases) run(ctx context.Context) {
	keeper := lease.NewKeeper(l.env.leaseTTL, time.Now())
	for {
		holds, retry := l.jobs()
		if !holds && retry == 0 && l.idle() {
			return
		}
		wait, ok := keeper.Wait(time.Now(), holds, retry)
		if !ok {
			wait = -1
		}
		if awaitHint(ctx, l.hints, wait) {
			keeper.Hint()
		}
		if ctx.Err() != nil {
			return
		}
		if keeper.Renew(time.Now()) {
			l.renew(ctx)
		}
		if keeper.Look(time.Now(), retry) {
			l.look(ctx)
		}
	}
}

// jobs reports whether any leases are held, and returns how often to look for free ones. 0 means never.
func (l *leases) jobs() (holds bool, retry time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waiting {
		if retry == 0 || w.every < retry {
			retry = w.every
		}
	}
	return len(l.held) > 0, retry
}

// busy reports whether there is something to do. l.mu is held.
func (l *leases) busy() bool { return len(l.held)+len(l.waiting) > 0 }

// idle reports whether there is nothing to do, and notes then that the goroutine has stopped.
func (l *leases) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = l.busy()
	return !l.running
}

// holders returns the tenants.
func (l *leases) holders() []tenant {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.held))
}

// renew renews all leases and tells those that are lost.
func (l *leases) renew(ctx context.Context) {
	held := l.holders()
	if len(held) == 0 {
		return
	}
	before := make([]Lease, len(held)) // as they are before the call
	for i, t := range held {
		before[i] = t.known()
	}
	ctx, cancel := context.WithTimeout(ctx, l.env.leaseTTL/3)
	defer cancel()
	until := time.Now().Add(l.env.leaseTTL)
	observed, end := l.env.observe(ctx, Operation{Kind: OpRenew})
	list, err := l.env.storage.RenewLeases(observed, l.env.owner, l.env.leaseTTL)
	if err != nil {
		end(Outcome{Err: err})
		if ctx.Err() == nil {
			l.env.lines.warn(ctx, "eventstore: leases were not renewed; trying again", "err", err)
		}
		return
	}
	current := make(map[SubscriptionID]Lease, len(list))
	for _, found := range list {
		current[found.ID] = found
	}
	lost := 0
	for i, t := range held {
		was := before[i]
		is := current[was.ID]
		switch lease.Judge(was.judged(), is.judged()) {
		case lease.Kept:
			t.extend(was.Epoch, until)
			continue
		case lease.WentBack:
			t.warnIfLost(&CheckpointLostError{SubscriptionID: was.ID, Known: was.Checkpoint, Found: is.Checkpoint})
		case lease.Taken:
		}
		lost++
		t.loseLease(was.Epoch)
	}
	end(Outcome{Count: len(list), Lost: lost})
	for _, found := range list {
		if !l.runs(found.ID) {
			l.giveUp(ctx, found)
		}
	}
}

// judged returns the part of a lease that decides whether a renewal has kept it.
func (l Lease) judged() lease.Known {
	return lease.Known{Epoch: l.Epoch, StreamID: l.StreamID, Checkpoint: l.Checkpoint}
}

// giveUp gives up a lease that was renewed for nobody: it was not given up when its subscription ended.
func (l *leases) giveUp(ctx context.Context, of Lease) {
	err := l.env.storage.ReleaseLease(ctx, of.request())
	if err != nil && !errors.Is(err, ErrLeaseLost) && !errors.Is(err, ErrPositionLost) {
		l.env.lines.warn(ctx, "eventstore: a lease that is not used was not given up; trying again",
			"stream", of.ID.Stream, "subscription", of.ID.Name, "err", err)
	}
}

// look calls every waker that has a free lease to wait for.
func (l *leases) look(ctx context.Context) {
	if _, retry := l.jobs(); retry == 0 { // nobody waits
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.env.leaseTTL/3)
	defer cancel()
	list, err := l.env.storage.FreeLeases(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.env.lines.warn(ctx, "eventstore: free leases can't be read; trying again", "err", err)
		}
		return
	}
	free := make(map[SubscriptionID]bool, len(list))
	for _, id := range list {
		free[id] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for w, watched := range l.waiting {
		if slices.ContainsFunc(watched.ids, func(id SubscriptionID) bool { return free[id] }) {
			w.leaseFree()
		}
	}
}
