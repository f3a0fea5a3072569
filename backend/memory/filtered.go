package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/eventstore-go/eventstore/store"
)

// StreamVersions implements [store.SubscriptionStorage].
func (b *Backend) StreamVersions(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found := make(map[string]store.StreamInfo, len(streams))
	for _, name := range streams {
		if s, ok := b.streams[name]; ok {
			found[name] = s.info
		}
	}
	return found, nil
}

// ReadFiltered implements [store.SubscriptionStorage].
func (b *Backend) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, r.From, err
	}
	if r.Stream == store.All {
		page, next = b.filteredAll(r, f)
		return page, next, nil
	}
	s, err := b.readable(r)
	if err != nil {
		return nil, r.From, err
	}
	page, next = s.filtered(r, f)
	return page, next, nil
}

// window is how many numbers a page looks at.
func window(r store.ReadRequest) int64 { return max(10*int64(r.Limit), 10_000) }

// filteredAll reads a page of all events. The caller holds b.mu.
func (b *Backend) filteredAll(r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64) {
	end := min(int64(len(b.all)), r.From-1+window(r))
	p := filling{request: r}
	for at := r.From - 1; at < end; at++ {
		if e := b.all[at]; e != nil && (f.Matches(&e.recorded) || at == r.From-1 || at == end-1) && p.full(&e.recorded) {
			return p.Events, p.behind()
		}
	}
	return p.Events, max(r.From, end+1)
}

// filtered reads a page of a stream. The caller holds b.mu.
func (s *stream) filtered(r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64) {
	end := min(s.info.Version, r.From-1+window(r)) // the last number to look at
	at, _ := slices.BinarySearchFunc(s.entries, r.From, func(e entry, from int64) int { return cmp.Compare(e.version, from) })
	p := filling{request: r}
	for ; at < len(s.entries) && s.entries[at].version <= end; at++ {
		e := s.entries[at].event.recorded
		e.Number = s.entries[at].version
		if (f.Matches(&e) || e.Number == r.From || e.Number == end) && p.full(&e) {
			return p.Events, p.behind()
		}
	}
	return p.Events, max(r.From, end+1)
}

// full adds an event to the page, if there is room, and reports whether the page ends there.
func (p *filling) full(e *store.Recorded) bool {
	return !p.add(e) || len(p.Events) == p.request.Limit
}

// behind returns the number behind the last event of the page.
func (p *filling) behind() int64 { return p.Events[len(p.Events)-1].Number + 1 }
