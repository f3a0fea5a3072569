package store

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// pages lets the partitions of a projection that catch up side by side read each page once. What was read is not read
// again for a moment; an end is never shared, since there may be more by now.
type pages struct {
	mu   sync.Mutex
	kept map[int64]*page // by where they begin
}

// page is a page that was read, or is being read.
type page struct {
	done  chan struct{} // closed when it was read
	at    time.Time
	limit int
	list  []Recorded // not to be changed
	next  int64
	err   error
}

// Bounds of what is kept.
const (
	keptPages = 16
	keptFor   = time.Second
)

// read returns the page from a number on, by read unless somebody else has read it, or is about to.
func (p *pages) read(ctx context.Context, from int64, limit int, read func(limit int) ([]Recorded, int64, error)) ([]Recorded, int64, error) {
	if limit >= readSize { // let all come to the same places, wherever they begin
		limit = readSize - int((from-1)%readSize)
	}
	shared, mine := p.find(from, limit)
	if mine {
		shared.list, shared.next, shared.err = read(limit)
		close(shared.done)
		if shared.err != nil || shared.next == from {
			p.forget(from, shared)
		}
		return shared.list, shared.next, shared.err
	}
	select {
	case <-shared.done:
	case <-ctx.Done():
		return nil, from, ctx.Err()
	}
	if shared.err == nil && shared.next > from {
		return shared.list, shared.next, nil
	}
	return read(limit)
}

// find returns the page from a number on, and whether it is the caller's to read.
func (p *pages) find(from int64, limit int) (found *page, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, old := range p.kept {
		if time.Since(old.at) > keptFor {
			delete(p.kept, key)
		}
	}
	if found = p.kept[from]; found != nil && found.limit == limit {
		return found, false
	}
	found = &page{done: make(chan struct{}), at: time.Now(), limit: limit}
	if p.kept == nil {
		p.kept = map[int64]*page{}
	}
	p.kept[from] = found
	for len(p.kept) > keptPages { // who is furthest behind reads alone
		delete(p.kept, slices.Min(slices.Collect(maps.Keys(p.kept))))
	}
	return found, true
}

func (p *pages) forget(from int64, old *page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept[from] == old {
		delete(p.kept, from)
	}
}
