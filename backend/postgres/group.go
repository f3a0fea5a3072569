package postgres

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

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
	// patience is for how long an append that goes by itself may hold up others.
	patience = 50 * time.Millisecond
)

// group is group commit: appends that come while others are under way are sent and committed together, one statement for
// all. Nobody waits for company: an append that finds fewer than mostFlushes under way goes at once, by itself, and whoever
// ends a flush sees to it that what has come meanwhile goes next. Two appends to one stream are not under way together, and
// keep their order.
//
// Others do not wait for a stream that another session holds, as a caller's transaction may for hours. A flush of several
// passes over it: that append goes alone, in its turn at the gate, and so does one that was refused, to find out why, and all of a flush that failed
// as a whole. An append by itself that takes long makes way: it, and what is behind it, does not count any more. (The
// leader who takes followers along is the group commit of databases. The idea is that of DeWitt et al., Implementation
// Techniques for Main Memory Database Systems, 1984.)
type group struct {
	places   chan struct{} // one for each append that waits, or that others have taken along
	patience time.Duration // see the constant
	gate     *gate         // for appends that go by themselves; locked after mu

	mu      sync.Mutex
	flushes int              // under way, and leaders
	leaders map[*leader]bool // appends under way by themselves
	waiting []*member
	streams map[string]*traffic
}

// traffic is what there is of appends to a stream.
type traffic struct {
	busy    bool // one is in a flush, or leads
	waiting int
	alone   int // go alone, whoever holds the stream
}

// leader is an append that goes by itself, and takes others along when it ends.
type leader struct {
	stream string
	turn   *turn // at the gate
	since  time.Time
	passed bool // it has taken too long, and does not lead any more
}

// member is an append that waits for a flush.
type member struct {
	r     store.AppendRequest
	bytes int
	ctx   context.Context
	flush *flush        // that has taken it, or nil; the group's mu guards it
	done  chan struct{} // closed when what follows is set

	leader  *leader // it leads now, or nil
	turn    *turn   // at the gate, if it goes alone because its leader was passed
	version int64   // the stream's new version, or 0: nothing was written
	err     error   // what is known to have failed, or not known to have not
}

// flush is several appends on their way.
type flush struct {
	members []*member
	present int // members whose callers still wait; the group's mu guards it
	ctx     context.Context
	cancel  context.CancelFunc
	copied  chan struct{} // closed when it needs the memory of its members no more
}

func newGroup(streams *gate) *group {
	return &group{places: make(chan struct{}, mostWaiting), patience: patience, gate: streams, leaders: map[*leader]bool{}, streams: map[string]*traffic{}}
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
	l, m, err := g.enter(ctx, b, r)
	switch {
	case err != nil:
		return store.AppendResult{}, err
	case l != nil:
		defer g.leave(b, l)
		return b.appendInTurn(ctx, l.turn, r, false)
	case m != nil && m.version > 0:
		return store.AppendResult{Stream: r.Stream, First: m.version - int64(len(r.Events)) + 1, Last: m.version}, nil
	}
	g.alone(r.Stream, 1)
	defer g.alone(r.Stream, -1)
	if m != nil && m.turn != nil {
		return b.appendInTurn(ctx, m.turn, r, false)
	}
	return b.appendInTurn(ctx, g.gate.queue(r.Stream), r, m != nil)
}

// enter returns when an append may go by itself: as a leader, or alone; or when a flush has taken it, with what has become
// of it.
func (g *group) enter(ctx context.Context, b *Backend, r store.AppendRequest) (*leader, *member, error) {
	select {
	case g.places <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, translate(ctx, "append", ctx.Err())
	}
	defer func() { <-g.places }()
	l, m := g.join(ctx, r)
	if m == nil {
		return l, nil, nil
	}
	if err := g.await(b, m); err != nil {
		return nil, nil, err
	}
	if errors.Is(m.err, context.Canceled) { // the flush was cancelled, since all had given up: each by its own context
		return nil, m, translate(ctx, "append", m.err)
	}
	return m.leader, m, m.err
}

// join lets an append lead, or wait. It does neither if others go alone to its stream: somebody holds that.
func (g *group) join(ctx context.Context, r store.AppendRequest) (*leader, *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.traffic(r.Stream)
	switch {
	case t.alone > 0:
		return nil, nil
	case g.flushes < mostFlushes && !t.busy && t.waiting == 0:
		g.flushes++
		t.busy = true
		return g.lead(r.Stream), nil
	}
	m := &member{ctx: ctx, r: r, bytes: size(r.Events), done: make(chan struct{})}
	t.waiting++
	g.waiting = append(g.waiting, m)
	return nil, m
}

// lead returns a leader. g.mu is held.
func (g *group) lead(stream string) *leader {
	l := &leader{stream: stream, turn: g.gate.queue(stream), since: time.Now()}
	g.leaders[l] = true
	return l
}

// traffic returns that of a stream. g.mu is held.
func (g *group) traffic(stream string) *traffic {
	t := g.streams[stream]
	if t == nil {
		t = &traffic{}
		g.streams[stream] = t
	}
	return t
}

// forget forgets a stream to which there is no traffic. g.mu is held.
func (g *group) forget(stream string) {
	if t := g.streams[stream]; t != nil && *t == (traffic{}) {
		delete(g.streams, stream)
	}
}

// alone notes that one more append goes alone to a stream, or one less.
func (g *group) alone(stream string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.traffic(stream).alone += n
	g.forget(stream)
}

// leave ends a leader.
func (g *group) leave(b *Backend, l *leader) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.passed {
		g.traffic(l.stream).alone--
		g.forget(l.stream)
		return
	}
	delete(g.leaders, l)
	g.end(l.stream)
	g.next(b)
}

// end notes that appends to these streams are not under way any more. g.mu is held.
func (g *group) end(streams ...string) {
	for _, stream := range streams {
		g.traffic(stream).busy = false
		g.forget(stream)
	}
}

// next has what is waiting sent in the place of a flush that has ended. g.mu is held.
func (g *group) next(b *Backend) {
	taken := g.take()
	switch len(taken) {
	case 0:
		g.flushes--
		return
	case 1:
		taken[0].leader = g.lead(taken[0].r.Stream)
		close(taken[0].done)
		return
	}
	f := &flush{members: taken, present: len(taken), copied: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(taken[0].ctx))
	for _, m := range taken {
		m.flush = f
	}
	go func() {
		f.send(b)
		runtime.Gosched() // those who got their answer come back first
		g.mu.Lock()
		defer g.mu.Unlock()
		g.end(f.streams()...)
		g.next(b)
	}()
}

// pass makes way for others where an append by itself takes too long.
func (g *group) pass(b *Backend) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for l := range g.leaders {
		if time.Since(l.since) < g.patience {
			continue
		}
		l.passed = true
		delete(g.leaders, l)
		t := g.traffic(l.stream)
		t.busy = false
		t.alone++
		g.waiting = slices.DeleteFunc(g.waiting, func(m *member) bool {
			behind := m.r.Stream == l.stream
			if behind {
				t.waiting--
				m.turn = g.gate.queue(m.r.Stream)
				close(m.done)
			}
			return behind
		})
		g.next(b)
	}
}

// take takes what may go together out of the queue: of each stream the first, if it has none under way. g.mu is held.
func (g *group) take() (taken []*member) {
	rest := g.waiting[:0]
	events, bytes := 0, 0
	for i, m := range g.waiting {
		t := g.streams[m.r.Stream]
		full := len(taken) == mostMembers || len(taken) > 0 && (events+len(m.r.Events) > groupEvents || bytes+m.bytes > groupBytes)
		if full {
			rest = append(rest, g.waiting[i:]...)
			break
		}
		if t.busy {
			rest = append(rest, m)
			continue
		}
		t.busy = true
		t.waiting--
		events += len(m.r.Events)
		bytes += m.bytes
		taken = append(taken, m)
	}
	clear(g.waiting[len(rest):])
	g.waiting = rest
	return taken
}

// await waits until m leads, or is to go alone, or a flush has dealt with it. The error says that its caller has given up.
func (g *group) await(b *Backend, m *member) error {
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
	switch f, last := g.quit(m); {
	case f == nil && m.isDone():
		return nil
	case f == nil: // nobody has taken it, and nobody will
	case last:
		f.cancel() // it is for nobody any more
		<-m.done
		return nil
	default:
		<-f.copied
	}
	return translate(m.ctx, "append", m.ctx.Err())
}

// isDone reports whether there is an answer for m.
func (m *member) isDone() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// quit takes m out of the queue, or returns the flush that has taken it, and whether nobody else waits for that.
func (g *group) quit(m *member) (f *flush, last bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f = m.flush; f != nil {
		f.present--
		return f, f.present == 0
	}
	if m.isDone() {
		return nil, false
	}
	i := slices.Index(g.waiting, m)
	g.waiting = slices.Delete(g.waiting, i, i+1)
	g.streams[m.r.Stream].waiting--
	g.forget(m.r.Stream)
	return nil, false
}

// streams are those that the flush appends to.
func (f *flush) streams() []string {
	list := make([]string, len(f.members))
	for i, m := range f.members {
		list[i] = m.r.Stream
	}
	return list
}

// send sends the flush, and tells the members what has become of them.
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
