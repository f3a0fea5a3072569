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
	bytes int // of all that are kept, at most, and one more; 0 for any number

	mu   sync.Mutex
	kept map[int64]*page // by where they begin
	size int             // bytes of those that were read
}

// page is a page that was read, or is being read.
type page struct {
	done  chan struct{} // closed when it was read
	at    time.Time
	limit int
	size  int        // bytes, once it is among those that count in pages.size
	list  []Recorded // not to be changed
	next  int64
	err   error
}

// Bounds of what is kept.
const (
	keptPages = 16
	keptFor   = time.Second
)

// read returns the page from a number on, by read unless another partition has read it, or is about to.
func (p *pages) read(ctx context.Context, from int64, limit int, read func(limit int) ([]Recorded, int64, error)) ([]Recorded, int64, error) {
	if limit >= readSize { // let all come to the same places, wherever they begin
		limit = readSize - int((from-1)%readSize)
	}
	shared, mine := p.find(from, limit)
	if mine {
		shared.list, shared.next, shared.err = read(limit)
		close(shared.done)
		p.settle(from, shared)
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
			p.drop(key)
		}
	}
	if found = p.kept[from]; found != nil && found.limit == limit {
		return found, false
	}
	found = &page{done: make(chan struct{}), at: time.Now(), limit: limit}
	if p.kept == nil {
		p.kept = map[int64]*page{}
	}
	p.drop(from)
	p.kept[from] = found
	for len(p.kept) > keptPages {
		p.dropFirst()
	}
	return found, true
}

// settle keeps a page that was read, if others can use it, and no more bytes than there may be.
func (p *pages) settle(from int64, read *page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept[from] != read {
		return
	}
	if read.err != nil || read.next == from {
		delete(p.kept, from)
		return
	}
	read.size = sizeOf(read.list)
	p.size += read.size
	for p.bytes > 0 && p.size > p.bytes && len(p.kept) > 1 {
		p.dropFirst()
	}
}

// dropFirst drops the page that begins first: the partition that is furthest behind reads it for itself. p.mu is held.
func (p *pages) dropFirst() { p.drop(slices.Min(slices.Collect(maps.Keys(p.kept)))) }

// drop drops a page, if it is kept. p.mu is held.
func (p *pages) drop(from int64) {
	if old := p.kept[from]; old != nil {
		p.size -= old.size
		delete(p.kept, from)
	}
}
