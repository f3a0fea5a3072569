package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.ParkedStorage = (*Backend)(nil)

// parked is what a subscription has parked.
type parked struct {
	changes int64
	events  map[uuid.UUID]store.ParkedEvent
}

// parkedBy returns what a subscription has parked. The caller holds b.mu.
func (b *Backend) parkedBy(id store.SubscriptionID) *parked {
	p := b.parked[id]
	if p == nil {
		p = &parked{events: map[uuid.UUID]store.ParkedEvent{}}
		b.parked[id] = p
	}
	return p
}

// SaveParked implements [store.ParkedStorage].
func (b *Backend) SaveParked(ctx context.Context, r store.ParkedChange) (n int64, err error) {
	err = b.inEpoch(ctx, r.ID, r.Epoch, func(*subscription) {
		p := b.parkedBy(r.ID)
		for _, id := range r.Remove {
			delete(p.events, id)
		}
		for _, e := range r.Park {
			was, there := p.events[e.ID]
			there = there && was.Number == e.Number
			if r.Again && !there || !r.Again && !b.parkable(r, e.ID) {
				continue
			}
			n++
			if there && !e.Failed {
				continue
			}
			if e.ParkedAt.IsZero() {
				e.ParkedAt = now()
			}
			p.events[e.ID] = e
		}
	})
	return n, err
}

// parkable reports whether an event, and the stream that a subscription got it from, have not been hard deleted. The caller holds b.mu.
func (b *Backend) parkable(r store.ParkedChange, id uuid.UUID) bool {
	if r.ID.Stream != store.All {
		if s := b.streams[r.ID.Stream]; s == nil || s.info.ID != r.StreamID {
			return false
		}
	}
	return b.events[id] != nil
}

// ReadParked implements [store.ParkedStorage].
func (b *Backend) ReadParked(ctx context.Context, r store.ParkedRequest) ([]store.ParkedEvent, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := b.parked[r.Subscription]
	if p == nil {
		return nil, nil
	}
	failed := map[string]int64{} // by key: the first number that has failed
	for _, e := range p.events {
		if first, ok := failed[e.Key]; e.Failed && (!ok || e.Number < first) {
			failed[e.Key] = e.Number
		}
	}
	except := make(map[string]bool, len(r.ExceptKeys))
	for _, key := range r.ExceptKeys {
		except[key] = true
	}
	var list []store.ParkedEvent
	for _, e := range p.events {
		first, any := failed[e.Key]
		switch {
		case r.Ready && (e.Failed || except[e.Key] || any && first < e.Number):
		case !r.Ready && e.Number > r.ToNumber:
		case compareParked(e, store.ParkedEvent{Number: r.AfterNumber, ID: r.AfterID}) <= 0:
		case len(r.Keys) > 0 && !slices.Contains(r.Keys, e.Key):
		case len(r.Numbers) > 0 && !slices.Contains(r.Numbers, e.Number):
		default:
			list = append(list, e)
		}
	}
	slices.SortFunc(list, compareParked)
	return list[:min(len(list), r.Limit)], nil
}

// compareParked compares by number and id.
func compareParked(x, y store.ParkedEvent) int {
	return cmp.Or(cmp.Compare(x.Number, y.Number), bytes.Compare(x.ID[:], y.ID[:]))
}

// LookParked implements [store.ParkedStorage].
func (b *Backend) LookParked(ctx context.Context, id store.SubscriptionID, known int64) (changes int64, keys []string, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	p := b.parked[id]
	switch {
	case p == nil:
		return 0, nil, nil
	case p.changes == known:
		return known, nil, nil
	}
	for _, e := range p.events {
		if !slices.Contains(keys, e.Key) {
			keys = append(keys, e.Key)
		}
	}
	return p.changes, keys, nil
}

// ReplayParked implements [store.ParkedStorage].
func (b *Backend) ReplayParked(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error) {
	return b.changeParked(ctx, id, ids, func(p *parked, e store.ParkedEvent) {
		e.Failed = false
		p.events[e.ID] = e
	})
}

// DiscardParked implements [store.ParkedStorage].
func (b *Backend) DiscardParked(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error) {
	return b.changeParked(ctx, id, ids, func(p *parked, e store.ParkedEvent) { delete(p.events, e.ID) })
}

// changeParked changes parked events, and returns how many were there.
func (b *Backend) changeParked(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID, change func(p *parked, e store.ParkedEvent)) (n int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	p := b.parkedBy(id)
	p.changes++
	for _, id := range ids {
		if e, ok := p.events[id]; ok {
			change(p, e)
			n++
		}
	}
	return n, nil
}

// ParkedCounts implements [store.ParkedStorage].
func (b *Backend) ParkedCounts(ctx context.Context) (map[store.SubscriptionID]int64, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	counts := map[store.SubscriptionID]int64{}
	for id, p := range b.parked {
		if len(p.events) > 0 {
			counts[id] = int64(len(p.events))
		}
	}
	return counts, nil
}

// forgetParked removes what is parked of a stream that is hard deleted, and what subscriptions on it have parked. The caller
// holds b.mu.
func (b *Backend) forgetParked(stream string) {
	for id, p := range b.parked {
		before := len(p.events)
		for _, e := range p.events {
			if id.Stream == stream || e.Stream == stream {
				delete(p.events, e.ID)
			}
		}
		if len(p.events) < before {
			p.changes++
		}
	}
}
