package postgres

import (
	"context"
	"slices"
	"sync"
	"time"
)

// On a busy stream the writes behind the first may try: see [turn.near].
const (
	flowing = 16                     // quick writes in a row that make a stream busy
	quick   = 100 * time.Millisecond // limit for a quick write; a try gives up after it, see queries.sql
	depth   = 8                      // writes of a line that are at the server at most
)

// gate keeps the writes to a stream in line: only the first of them waits at the server as long as it takes. The others wait here, in
// the order they came, without a connection.
//
// A forgotten transaction may hold a stream for hours. If each write to it waited at the server, no connection of the pool would be left
// for writes to other streams and for reads.
//
// The gate adds no deadlock, because a write that waits at it holds nothing: it passes the gate before it takes a connection, and
// passes one gate only. A write in a caller's transaction has its connection already, and its transaction may be what the first in
// line waits for. So it passes no gate, and waits at the server.
type gate struct {
	mu    sync.Mutex
	lines map[string]*line // by stream
	spare *line            // one that is empty, or nil
}

// line is the writes to a stream.
type line struct {
	turns []*turn   // in the order they came
	since time.Time // when the first became the first
	quick int       // number of quick writes in a row
}

// turn is a write's place at a gate.
type turn struct {
	gate   *gate
	stream string
	try    chan struct{} // closed when it may try; nil if it was the first from the beginning
	first  chan struct{} // closed when it is the first
}

func newGate() *gate { return &gate{lines: map[string]*line{}} }

// queue puts a write in line. It leaves by [turn.end], or by an error of a wait.
func (g *gate) queue(stream string) *turn {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[stream]
	if l == nil {
		if l = g.spare; l == nil {
			l = &line{}
		}
		g.spare = nil
		g.lines[stream] = l
	}
	t := &turn{gate: g, stream: stream, first: open}
	if len(l.turns) == 0 {
		l.since = time.Now()
	} else {
		t.first, t.try = make(chan struct{}), make(chan struct{})
	}
	l.turns = append(l.turns, t)
	l.move()
	return t
}

// open is a channel that is closed.
var open = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// move wakes the first, and the writes that may try. If the first is not quick, no further writes may try, so that they can't overtake
// it again and again. The gate's mu is held.
func (l *line) move() {
	if first := l.turns[0].first; !isClosed(first) {
		close(first)
		l.since = time.Now()
	}
	if l.quick < flowing || time.Since(l.since) > quick {
		return
	}
	for _, t := range l.turns[1:min(depth, len(l.turns))] {
		if !isClosed(t.try) {
			close(t.try)
		}
	}
}

// end takes the write out of the line, if it is still there.
func (t *turn) end() {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[t.stream]
	if l == nil {
		return
	}
	i := slices.Index(l.turns, t)
	switch {
	case i < 0:
		return
	case i == 0 && time.Since(l.since) > quick:
		l.quick = 0
	case i == 0:
		l.quick++
	}
	if l.turns = slices.Delete(l.turns, i, i+1); len(l.turns) == 0 {
		l.quick = 0
		delete(g.lines, t.stream)
		g.spare = l
		return
	}
	l.move()
}

// wait waits until the write is the first in line. If ctx ends before, the write leaves, and the error is that of ctx.
func (t *turn) wait(ctx context.Context) error {
	select {
	case <-t.first:
		return nil
	case <-ctx.Done():
		if isClosed(t.first) {
			return nil
		}
		t.end()
		return translate(ctx, "wait for the stream", ctx.Err())
	}
}

// near is wait, but it also returns when the write may try, with first false: then the caller sends a statement that the server cancels
// after a short wait. While a write to a busy stream is being committed, the next ones already wait for its lock, so that no round trip
// is lost between two of them. The server decides their order.
func (t *turn) near(ctx context.Context) (first bool, err error) {
	select {
	case <-t.first:
		return true, nil
	case <-t.try:
		return isClosed(t.first), nil
	case <-ctx.Done():
		return true, t.wait(ctx)
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// pass runs f when it is the turn of a write to the stream: at once in a caller's transaction.
func (b *Backend) pass(ctx context.Context, g *gate, stream string, f func() error) error {
	if b.tx != nil {
		return f()
	}
	t := g.queue(stream)
	if err := t.wait(ctx); err != nil {
		return err
	}
	defer t.end()
	return f()
}
