// Package tcpproxy is a TCP link that tests cut, stall and slow down.
package tcpproxy

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Proxy passes connections on to a target. It is safe for concurrent use.
type Proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	conns   map[net.Conn]bool
	closed  bool
	cut     bool
	stalled bool
	delay   time.Duration
	lose    []byte        // the answer to lose, or nil
	lost    chan struct{} // closed when it was lost
}

// Start starts a proxy before target, as in "127.0.0.1:5432", and stops it when the test ends.
func Start(tb testing.TB, target string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	p := &Proxy{listener: listener, target: target, conns: map[net.Conn]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// Addr returns the address to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut closes all connections, and new ones as they come.
func (p *Proxy) Cut() {
	p.set(func() {
		p.cut = true
		for c := range p.conns {
			_ = c.Close()
		}
	})
}

// Restore lets new connections through again.
func (p *Proxy) Restore() { p.set(func() { p.cut = false }) }

// Stall keeps connections, but passes nothing on.
func (p *Proxy) Stall() { p.set(func() { p.stalled = true }) }

// Resume passes on what was held back.
func (p *Proxy) Resume() { p.set(func() { p.stalled = false }) }

// Delay holds back whatever comes, in either direction, for so long.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// LoseAnswer loses the next answer of the target that contains part: the proxy closes that connection instead of passing
// the answer on. The channel is closed once that has happened.
func (p *Proxy) LoseAnswer(part string) <-chan struct{} {
	lost := make(chan struct{})
	p.set(func() { p.lose, p.lost = []byte(part), lost })
	return lost
}

// loses reports whether answer is the one to lose, and forgets about it then.
func (p *Proxy) loses(answer []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose == nil || !bytes.Contains(answer, p.lose) {
		return false
	}
	p.lose = nil
	close(p.lost)
	return true
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.set(func() { p.closed = true })
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

// serve connects c to the target until either side closes.
func (p *Proxy) serve(c net.Conn) {
	defer p.forget(c)
	if !p.keep(c) {
		return
	}
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer p.forget(up)
	if !p.keep(up) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(up, c, false) })
	both.Go(func() { p.pass(c, up, true) })
	both.Wait()
}

// keep notes a connection, unless the link is cut.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

// pass copies until from ends, and closes both then.
func (p *Proxy) pass(to, from net.Conn, answers bool) {
	defer to.Close()   //nolint:errcheck // it may be closed already
	defer from.Close() //nolint:errcheck // likewise
	_, _ = io.Copy(held{p, to, answers}, from)
}

// held holds back what is written as the proxy says.
type held struct {
	proxy   *Proxy
	to      io.Writer
	answers bool // comes from the target
}

func (h held) Write(b []byte) (int, error) {
	p := h.proxy
	p.mu.Lock()
	for p.stalled && !p.closed && !p.cut {
		p.changed.Wait()
	}
	delay := p.delay
	p.mu.Unlock()
	if delay > 0 {
		<-time.After(delay)
	}
	if h.answers && p.loses(b) {
		return 0, net.ErrClosed
	}
	return h.to.Write(b)
}
