package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// ReadStream implements [store.Storage].
func (b *Backend) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return store.StreamPart{}, err
	}
	s, err := b.readable(r)
	if err != nil {
		return store.StreamPart{}, err
	}
	at, found := slices.BinarySearchFunc(s.entries, r.From, func(e entry, from int64) int { return cmp.Compare(e.version, from) })
	step := 1
	if r.Backward {
		step = -1
		if !found {
			at--
		}
	}
	page := filling{request: r}
	for ; at >= 0 && at < len(s.entries) && len(page.Events) < r.Limit; at += step {
		e := s.entries[at].event.recorded
		e.Number = s.entries[at].version
		if !page.add(&e) {
			break
		}
	}
	return r.Page(s.info.ID, s.info.Version, page.Part), nil
}

// filling is a page that is being filled.
type filling struct {
	store.Part
	request  store.ReadRequest
	n, bytes int // of the events that count
}

// add adds an event to the page. It reports whether there was room, else the page has ended.
func (p *filling) add(e *store.Recorded) bool {
	if !p.request.Overlaps(e.Number) {
		if !p.request.Fits(p.n, p.bytes, e.Size()) {
			p.More = true
			return false
		}
		p.n++
		p.bytes += e.Size()
	}
	p.Events = append(p.Events, *e)
	return true
}

// readable returns the stream that r is to read. The caller holds b.mu.
func (b *Backend) readable(r store.ReadRequest) (*stream, error) {
	s := b.streams[r.Stream]
	var info store.StreamInfo
	if s != nil {
		info = s.info
	}
	return s, r.Judge(info)
}

// ReadAll implements [store.Storage].
func (b *Backend) ReadAll(ctx context.Context, r store.ReadRequest) (store.Part, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return store.Part{}, err
	}
	at, step := min(r.From-1, int64(len(b.all))), int64(1)
	if r.Backward {
		at, step = min(at, int64(len(b.all))-1), -1
	}
	page := filling{request: r}
	for ; at >= 0 && at < int64(len(b.all)) && len(page.Events) < r.Limit; at += step {
		if e := b.all[at]; e != nil && !page.add(&e.recorded) {
			break
		}
	}
	return page.Part, nil
}

// ReadEvent implements [store.Storage].
func (b *Backend) ReadEvent(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
	if err := ctx.Err(); err != nil {
		return store.Recorded{}, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	e, ok := b.events[id]
	if !ok {
		return store.Recorded{}, &store.EventNotFoundError{ID: id}
	}
	r := e.recorded
	r.Number = r.Version
	return r, nil
}

// Head implements [store.Storage].
func (b *Backend) Head(ctx context.Context) (int64, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return int64(len(b.all)), ctx.Err()
}

// PositionAt implements [store.PastStorage].
func (b *Backend) PositionAt(ctx context.Context, t time.Time) (int64, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	n, _ := slices.BinarySearch(b.times, t.UnixMicro()) // the first that was not given before t
	return int64(n), ctx.Err()
}

// VersionAt implements [store.PastStorage].
func (b *Backend) VersionAt(ctx context.Context, name string, position int64) (version int64, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s, err := b.readable(store.ReadRequest{Stream: name})
	if err != nil {
		return 0, err
	}
	for _, e := range slices.Backward(s.entries) {
		if e.event.origin == s && e.event.recorded.Number <= position {
			return e.version, nil
		}
	}
	return 0, nil
}

// Recycle implements [store.Recycler]. It uses no memory again, but shows whoever still uses the page.
func (b *Backend) Recycle(page []store.Recorded) { clear(page) }
