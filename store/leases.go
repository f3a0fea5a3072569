package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

// leases keeps the leases of a Store: one statement renews all that it holds, and one looks for those it waits for,
// however many there are.
type leases struct {
	hub   *hub
	hints chan struct{} // holds one

	mu      sync.Mutex
	running bool
	held    map[*subscription]bool
	waiting map[*subscription]bool
	foreign map[*projector]map[SubscriptionID]bool // partitions that other Stores run
}

func newLeases(h *hub) *leases {
	return &leases{
		hub: h, hints: make(chan struct{}, 1),
		held: map[*subscription]bool{}, waiting: map[*subscription]bool{}, foreign: map[*projector]map[SubscriptionID]bool{},
	}
}

// poke hints that a lease may be free.
func (l *leases) poke() {
	select {
	case l.hints <- struct{}{}:
	default:
	}
}

// hold keeps the lease of s from now on.
func (l *leases) hold(s *subscription) { l.add(l.held, s) }

// wait pokes s when its lease is free.
func (l *leases) wait(s *subscription) { l.add(l.waiting, s) }

func (l *leases) add(list map[*subscription]bool, s *subscription) {
	l.change(func() { list[s] = true })
}

// watch pokes p when the lease of one of these partitions is free, instead of those that it has named before.
func (l *leases) watch(p *projector, partitions []SubscriptionID) {
	l.change(func() {
		delete(l.foreign, p)
		if len(partitions) > 0 {
			l.foreign[p] = make(map[SubscriptionID]bool, len(partitions))
		}
		for _, id := range partitions {
			l.foreign[p][id] = true
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
		l.hub.start(l.run)
	} else {
		l.poke()
	}
}

func (l *leases) stopWaiting(s *subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, s)
}

// leave forgets s.
func (l *leases) leave(s *subscription) {
	l.mu.Lock()
	delete(l.held, s)
	delete(l.waiting, s)
	l.mu.Unlock()
	l.poke()
}

// lookLeast is how soon free leases are looked for again when there are many hints, most of which are of events.
const lookLeast = 100 * time.Millisecond

// run keeps leases until there are none, held or waited for.
func (l *leases) run(ctx context.Context) {
	renewed := time.Now()
	var looked time.Time
	hinted := false
	for {
		held, _, interval := l.jobs()
		looks := interval > 0
		if len(held) == 0 && !looks && l.idle() {
			return
		}
		wait := time.Duration(-1)
		if len(held) > 0 {
			wait = max(0, l.hub.leaseTTL/3-time.Since(renewed))
		}
		least := min(lookLeast, interval)
		if hinted {
			interval = max(0, least-time.Since(looked))
		}
		if looks && (wait < 0 || interval < wait) {
			wait = interval
		}
		timer := time.NewTimer(wait)
		if wait < 0 {
			timer.Stop()
		}
		select {
		case <-l.hints:
			hinted = true
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
		if time.Since(renewed) >= l.hub.leaseTTL/3 {
			renewed = time.Now()
			l.renew(ctx)
		}
		if time.Since(looked) >= least {
			hinted, looked = false, time.Now()
			l.look(ctx)
		}
	}
}

// jobs returns what there is to do, and how often to look for free leases, 0 if not at all.
func (l *leases) jobs() (held, waiting []*subscription, interval time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.held {
		held = append(held, s)
	}
	often := func(d time.Duration) {
		if interval == 0 || d < interval {
			interval = d
		}
	}
	for s := range l.waiting {
		waiting = append(waiting, s)
		often(s.opts.RetryInterval)
	}
	for p := range l.foreign {
		often(p.opts.RetryInterval)
	}
	return held, waiting, interval
}

// busy reports whether there is something to do. l.mu is held.
func (l *leases) busy() bool { return len(l.held)+len(l.waiting)+len(l.foreign) > 0 }

// idle reports whether there is nothing to do, and notes then that the goroutine has stopped.
func (l *leases) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = l.busy()
	return !l.running
}

// renew renews all leases and tells those that are lost.
func (l *leases) renew(ctx context.Context) {
	held, _, _ := l.jobs()
	if len(held) == 0 {
		return
	}
	before := make([]Lease, len(held)) // as they are before the call
	for i, s := range held {
		before[i] = s.known()
	}
	ctx, cancel := context.WithTimeout(ctx, l.hub.leaseTTL/3)
	defer cancel()
	until := time.Now().Add(l.hub.leaseTTL)
	observed, end := l.hub.observe(ctx, Operation{Kind: OpRenew})
	list, err := l.hub.storage.RenewLeases(observed, l.hub.owner, l.hub.leaseTTL)
	if err != nil {
		end(Outcome{Err: err})
		if ctx.Err() == nil {
			l.hub.lines.warn(ctx, "eventstore: leases were not renewed; trying again", "err", err)
		}
		return
	}
	current := make(map[SubscriptionID]Lease, len(list))
	for _, lease := range list {
		current[lease.ID] = lease
	}
	lost := 0
	for i, s := range held {
		now, was := current[s.id], before[i]
		switch {
		case now.Epoch != was.Epoch:
			lost++
			s.loseLease(was.Epoch)
		case now.StreamID == was.StreamID && now.Checkpoint < was.Checkpoint:
			s.warnIfLost(&CheckpointLostError{SubscriptionID: s.id, Known: was.Checkpoint, Found: now.Checkpoint})
			lost++
			s.loseLease(was.Epoch)
		default:
			s.extend(was.Epoch, until)
		}
	}
	end(Outcome{Count: len(list), Lost: lost})
	for _, lease := range list {
		if !l.hub.runs(lease.ID) {
			l.giveUp(ctx, lease)
		}
	}
}

// giveUp gives up a lease that was renewed for nobody: it was not given up when its subscription ended.
func (l *leases) giveUp(ctx context.Context, lease Lease) {
	err := l.hub.storage.ReleaseLease(ctx, lease.request())
	if err != nil && !errors.Is(err, ErrLeaseLost) && !errors.Is(err, ErrPositionLost) {
		l.hub.lines.warn(ctx, "eventstore: a lease that is not used was not given up; trying again",
			"stream", lease.ID.Stream, "subscription", lease.ID.Name, "err", err)
	}
}

// look pokes those whose lease is free.
func (l *leases) look(ctx context.Context) {
	_, waiting, interval := l.jobs()
	if interval == 0 { // nobody waits
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.hub.leaseTTL/3)
	defer cancel()
	list, err := l.hub.storage.FreeLeases(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.hub.lines.warn(ctx, "eventstore: free leases can't be read; trying again", "err", err)
		}
		return
	}
	free := make(map[SubscriptionID]bool, len(list))
	for _, id := range list {
		free[id] = true
	}
	for _, s := range waiting {
		if free[s.id] {
			s.leaseFree()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, partitions := range l.foreign {
		for _, id := range list {
			if partitions[id] {
				p.poke()
			}
		}
	}
}
