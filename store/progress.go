package store

import "sync"

// progress wakes the calls that wait for a projection when one of this Store has applied something.
type progress struct {
	mu      sync.Mutex
	waiting chan struct{} // closed at the next progress; nil if no call waits
}

// next returns a channel that is closed at the next progress.
func (p *progress) next() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = make(chan struct{})
	}
	return p.waiting
}

// tell wakes the calls that wait.
func (p *progress) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting != nil {
		close(p.waiting)
		p.waiting = nil
	}
}
