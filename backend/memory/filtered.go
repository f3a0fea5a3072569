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

// filteredAll reads a page of all events. The caller holds b.mu.
func (b *Backend) filteredAll(r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64) {
	w := windowOf(r, int64(len(b.all)))
	p := filling{request: r}
	for at := w.first; at != w.behind; at += w.step {
		if e := b.all[at-1]; e != nil && (f.Matches(&e.recorded) || w.keeps(at)) && p.full(&e.recorded) {
			return p.Events, p.behind()
		}
	}
	return p.Events, w.behind
}

// filtered reads a page of a stream. The caller holds b.mu.
func (s *stream) filtered(r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64) {
	w := windowOf(r, s.info.Version)
	p := filling{request: r}
	at, found := slices.BinarySearchFunc(s.entries, w.first, func(e entry, from int64) int { return cmp.Compare(e.version, from) })
	if r.Backward && !found {
		at--
	}
	for ; at >= 0 && at < len(s.entries) && w.has(s.entries[at].version); at += int(w.step) {
		e := s.entries[at].event.recorded
		e.Number = s.entries[at].version
		if (f.Matches(&e) || w.keeps(e.Number)) && p.full(&e) {
			return p.Events, p.behind()
		}
	}
	return p.Events, w.behind
}

// window is the numbers that a page looks at: from first on, up to the one before behind.
type window struct {
	first, behind, step int64
	ends                bool // the events at its ends are wanted
}

// windowOf returns the numbers that a page looks at, where the numbers end at end.
func windowOf(r store.ReadRequest, end int64) window {
	size := max(10*int64(r.Limit), 10_000)
	if r.Backward {
		first := min(r.From, end)
		return window{first: first, behind: max(first-size, 0), step: -1}
	}
	return window{first: r.From, behind: max(r.From, min(end, r.From-1+size)+1), step: 1, ends: !r.ChosenOnly}
}

// has reports whether the page looks at a number.
func (w window) has(number int64) bool {
	return w.step > 0 && w.first <= number && number < w.behind || w.step < 0 && w.behind < number && number <= w.first
}

// keeps reports whether the event at a number is wanted, whatever the filter says.
func (w window) keeps(number int64) bool {
	return w.ends && (number == w.first || number == w.behind-1)
}

// full adds an event to the page, if there is room, and reports whether the page ends there.
func (p *filling) full(e *store.Recorded) bool {
	return !p.add(e) || len(p.Events) == p.request.Limit
}

// behind returns the number behind the last event of the page, in its direction.
func (p *filling) behind() int64 {
	last := p.Events[len(p.Events)-1].Number
	if p.request.Backward {
		return last - 1
	}
	return last + 1
}
