package postgres

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/backend/postgres/internal/grouping"
	"github.com/eventstore-go/eventstore/store"
)

// Bounds of what goes into a group. What is larger gains nothing by company.
const (
	mostFlushes   = 2 // at a time: one would leave the server idle while it waits for the disk, more make groups small
	mostMembers   = 256
	mostWaiting   = 4096 // appends; those beyond wait for a place
	groupedEvents = 100  // of one append
	groupedBytes  = 64 << 10
	groupEvents   = 2_000
	groupBytes    = 4 << 20
	// patience is how long an append that goes by itself may delay others.
	patience = 50 * time.Millisecond
)

// group implements group commit: appends that arrive while others are under way are sent and committed together, in one statement.
// Package grouping decides which appends go together. This file has the lock, the clock, the waiting and the sending.
type group struct {
	places   chan struct{} // one for each append that waits, or that others have taken along
	patience time.Duration // see the constant
	gate     *gate         // for appends that go by themselves; locked after mu

	mu      sync.Mutex
	appends *grouping.Group[*member]
}

// member is an append that waits for a flush. The fields after done are set before done is closed.
type member struct {
	r     store.AppendRequest
	ctx   context.Context
	flush *flush // that has taken it, or nil; the group's mu guards it
	done  chan struct{}

	turn    *turn // at the gate, if it goes by itself
	version int64 // the stream's new version, or 0: nothing was written
	err     error // what is known to have failed, or not known to have not
}

// flush is a flush on its way.
type flush struct {
	members []*member
	ctx     context.Context
	cancel  context.CancelFunc
	copied  chan struct{} // closed when it needs the memory of its members no more
}

func newGroup(streams *gate) *group {
	return &group{
		places: make(chan struct{}, mostWaiting), patience: patience, gate: streams,
		appends: grouping.New[*member](grouping.Limits{Flushes: mostFlushes, Members: mostMembers, Events: groupEvents, Bytes: groupBytes}),
	}
}

// grouped reports whether an append is small enough for a group.
func grouped(r store.AppendRequest) bool {
	return len(r.Events) <= groupedEvents && size(r.Events) <= groupedBytes
}

func size(events []store.NewEvent) (n int) {
	for i := range events {
		n += len(events[i].Data) + len(events[i].Metadata)
	}
	return n
}

// append appends r together with others, or by itself if there are none.
func (g *group) append(ctx context.Context, b *Backend, r store.AppendRequest) (store.AppendResult, error) {
	a, t, err := g.enter(ctx, b, r)
	if err != nil {
		return store.AppendResult{}, err
	}
	if t != nil {
		defer g.leave(b, a)
		return b.appendInTurn(ctx, t, r, false)
	}
	if last := a.Of.version; last > 0 {
		return store.AppendResult{Stream: r.Stream, First: last - int64(len(r.Events)) + 1, Last: last}, nil
	}
	t = g.refuse(a)
	defer g.leave(b, a)
	return b.appendInTurn(ctx, t, r, true)
}

// enter returns when the append may go by itself, with its turn at the gate, or when a flush has dealt with it, with a nil turn.
func (g *group) enter(ctx context.Context, b *Backend, r store.AppendRequest) (*grouping.Append[*member], *turn, error) {
	select {
	case g.places <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, translate(ctx, "append", ctx.Err())
	}
	defer func() { <-g.places }()
	a, t := g.join(ctx, r)
	if t != nil {
		return a, t, nil
	}
	if err := g.await(b, a); err != nil {
		return nil, nil, err
	}
	m := a.Of
	if errors.Is(m.err, context.Canceled) { // the flush was cancelled, since all had given up: each by its own context
		return nil, nil, translate(ctx, "append", m.err)
	}
	return a, m.turn, m.err
}

// join adds an append. It returns its turn at the gate if it goes by itself.
func (g *group) join(ctx context.Context, r store.AppendRequest) (*grouping.Append[*member], *turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.appends.Join(r.Stream, len(r.Events), size(r.Events), time.Now())
	if a.State() != grouping.Waiting {
		return a, g.gate.queue(r.Stream)
	}
	a.Of = &member{ctx: ctx, r: r, done: make(chan struct{})}
	return a, nil
}

// leave ends an append that went by itself.
func (g *group) leave(b *Backend, a *grouping.Append[*member]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.start(b, g.appends.Leave(a, time.Now()))
}

// refuse returns the turn at the gate of an append that its flush did not write.
func (g *group) refuse(a *grouping.Append[*member]) *turn {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.appends.Refuse(a)
	return g.gate.queue(a.Stream())
}

// start starts the appends that go next. g.mu is held.
func (g *group) start(b *Backend, next []*grouping.Append[*member]) {
	switch len(next) {
	case 0:
		return
	case 1:
		g.release(next[0])
		return
	}
	f := &flush{members: make([]*member, len(next)), copied: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(next[0].Of.ctx))
	for i, a := range next {
		f.members[i], a.Of.flush = a.Of, f
	}
	go func() {
		f.send(b)
		runtime.Gosched() // callers that have their answer come back first
		g.mu.Lock()
		defer g.mu.Unlock()
		g.start(b, g.appends.Sent(next, time.Now()))
	}()
}

// release lets an append that has waited go by itself. g.mu is held.
func (g *group) release(a *grouping.Append[*member]) {
	a.Of.turn = g.gate.queue(a.Stream())
	close(a.Of.done)
}

// pass lets others go where an append by itself takes too long.
func (g *group) pass(b *Backend) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.appends.Pass(time.Now(), g.patience) {
		for _, a := range p.Alone {
			g.release(a)
		}
		g.start(b, p.Next)
	}
}

// await waits until the append may go by itself, or a flush has dealt with it. It returns an error if the caller has given up.
func (g *group) await(b *Backend, a *grouping.Append[*member]) error {
	m := a.Of
	timer := time.NewTimer(g.patience)
	defer timer.Stop()
	for {
		select {
		case <-m.done:
			return nil
		case <-timer.C:
			g.pass(b)
			timer.Reset(g.patience)
			continue
		case <-m.ctx.Done():
		}
		break
	}
	switch f, last := g.quit(a); {
	case f == nil && isClosed(m.done):
		return nil
	case f == nil: // it has left the queue
	case last:
		f.cancel() // no caller waits for it any more
		<-m.done
		return nil
	default:
		<-f.copied
	}
	return translate(m.ctx, "append", m.ctx.Err())
}

// quit removes an append, or returns the flush that has taken it and whether no other caller waits for the flush.
func (g *group) quit(a *grouping.Append[*member]) (f *flush, last bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return a.Of.flush, g.appends.Quit(a)
}

// send sends the flush and gives each member its outcome.
func (f *flush) send(b *Backend) {
	defer f.cancel()
	requests := make([]store.AppendRequest, len(f.members))
	for i, m := range f.members {
		requests[i] = m.r
	}
	args := groupArgs(requests)
	close(f.copied)
	versions, err := b.writeGroup(f.ctx, args, len(requests))
	for i, m := range f.members {
		if err == nil {
			m.version = versions[i]
		}
		m.err = err
		close(m.done)
	}
}
