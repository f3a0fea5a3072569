package memory

import (
	"cmp"
	"context"
	"slices"

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
	var page []store.Recorded
	for ; at >= 0 && at < len(s.entries) && len(page) < r.Limit; at += step {
		e := s.entries[at].event.recorded
		e.Number = s.entries[at].version
		page = append(page, e)
	}
	return r.Page(s.info.ID, s.info.Version, page), nil
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
func (b *Backend) ReadAll(ctx context.Context, r store.ReadRequest) ([]store.Recorded, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at, step := min(r.From-1, int64(len(b.all))), int64(1)
	if r.Backward {
		at, step = min(at, int64(len(b.all))-1), -1
	}
	var page []store.Recorded
	for ; at >= 0 && at < int64(len(b.all)) && len(page) < r.Limit; at += step {
		if e := b.all[at]; e != nil {
			page = append(page, e.recorded)
		}
	}
	return page, nil
}

// Recycle implements [store.Recycler]. It uses no memory again, but shows whoever still uses the page.
func (b *Backend) Recycle(page []store.Recorded) { clear(page) }
