package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.SubscriptionStorage = (*Backend)(nil)

// subscription is a row of what a database would have. Epochs are drawn from one counter for all subscriptions, so that
// one that was deleted and created again does not take an owner of before for its own.
type subscription struct {
	store.SubscriptionInfo // Held is not set
}

// held reports whether somebody holds the lease.
func (s *subscription) held(at time.Time) bool { return s.LeaseUntil.After(at) }

// AcquireLease implements [store.SubscriptionStorage].
func (b *Backend) AcquireLease(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.Lease{}, err
	}
	at := now()
	s, ok := b.subscriptions[r.ID]
	switch {
	case !ok && !r.Create:
		return store.Lease{}, &store.SubscriptionError{SubscriptionID: r.ID, Err: store.ErrSubscriptionNotFound}
	case !ok:
		s = &subscription{store.SubscriptionInfo{
			SubscriptionID: r.ID, Checkpoint: r.Checkpoint, StreamID: r.StreamID, CreatedAt: at, UpdatedAt: at,
		}}
		b.subscriptions[r.ID] = s
	case s.held(at) && s.Owner != r.Owner:
		return store.Lease{}, &store.SubscriptionError{SubscriptionID: r.ID, Err: store.ErrLeaseHeld}
	}
	b.lastEpoch++
	s.Owner, s.Epoch, s.LeaseUntil = r.Owner, b.lastEpoch, at.Add(r.TTL)
	return s.lease(), nil
}

func (s *subscription) lease() store.Lease {
	return store.Lease{ID: s.SubscriptionID, Epoch: s.Epoch, Checkpoint: s.Checkpoint, StreamID: s.StreamID, Seen: s.Seen}
}

// RenewLeases implements [store.SubscriptionStorage].
func (b *Backend) RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var list []store.Lease
	until := now().Add(ttl)
	for _, s := range b.subscriptions {
		if s.Owner == owner && !s.LeaseUntil.IsZero() {
			s.LeaseUntil = until
			list = append(list, s.lease())
		}
	}
	return list, nil
}

// FreeLeases implements [store.SubscriptionStorage].
func (b *Backend) FreeLeases(ctx context.Context) ([]store.SubscriptionID, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var list []store.SubscriptionID
	at := now()
	for id, s := range b.subscriptions {
		if !s.held(at) {
			list = append(list, id)
		}
	}
	return list, nil
}

// SaveCheckpoint implements [store.SubscriptionStorage].
func (b *Backend) SaveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.save(r)
}

// SaveError implements [store.SubscriptionStorage].
func (b *Backend) SaveError(ctx context.Context, id store.SubscriptionID, epoch int64, text string, number int64) error {
	return b.inEpoch(ctx, id, epoch, func(s *subscription) {
		if s.LastError, s.LastErrorNumber, s.LastErrorAt = text, number, now(); text == "" {
			s.forgetError()
		}
	})
}

// ReleaseLease implements [store.SubscriptionStorage].
func (b *Backend) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	err := b.save(r)
	if s := b.subscriptions[r.ID]; s != nil && s.Epoch == r.Epoch {
		s.LeaseUntil = time.Time{}
	}
	return err
}

// forgetError notes that the last error is over.
func (s *subscription) forgetError() {
	s.LastError, s.LastErrorNumber, s.LastErrorAt = "", 0, time.Time{}
}

// inEpoch writes to a subscription whose epoch is still the one given.
func (b *Backend) inEpoch(ctx context.Context, id store.SubscriptionID, epoch int64, write func(s *subscription)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s, ok := b.subscriptions[id]
	if !ok || s.Epoch != epoch {
		return &store.SubscriptionError{SubscriptionID: id, Err: store.ErrLeaseLost}
	}
	write(s)
	return nil
}

// save sets the checkpoint, but never back in the same stream. The caller holds b.mu.
func (b *Backend) save(r store.CheckpointRequest) error {
	var state store.CheckpointState
	s, ok := b.subscriptions[r.ID]
	if ok {
		state = store.CheckpointState{Epoch: s.Epoch, Checkpoint: s.Checkpoint, StreamID: s.StreamID}
	}
	state.End, state.At = b.place(r.ID.Stream, r.StreamID, r.Seen.Number)
	if err := r.Judge(state); err != nil {
		return err
	}
	if s.StreamID != r.StreamID || s.Checkpoint < r.Checkpoint {
		if s.StreamID != r.StreamID || s.LastErrorNumber <= r.Checkpoint {
			s.forgetError()
		}
		s.Checkpoint, s.StreamID, s.UpdatedAt = r.Checkpoint, r.StreamID, now()
	}
	s.Seen = r.Seen
	return nil
}

// place returns where a stream ends, -1 if it is not the one with that id any more, and which event has a number in it.
func (b *Backend) place(name string, streamID, number int64) (end int64, at uuid.UUID) {
	if name == store.All {
		if number > 0 && number <= int64(len(b.all)) && b.all[number-1] != nil {
			at = b.all[number-1].recorded.ID
		}
		return int64(len(b.all)), at
	}
	s, ok := b.streams[name]
	if !ok || s.info.ID != streamID {
		return -1, at
	}
	i, ok := slices.BinarySearchFunc(s.entries, number, func(e entry, number int64) int { return cmp.Compare(e.version, number) })
	if ok {
		at = s.entries[i].event.recorded.ID
	}
	return s.info.Version, at
}

// ResetSubscription implements [store.SubscriptionStorage].
func (b *Backend) ResetSubscription(ctx context.Context, id store.SubscriptionID, checkpoint, streamID int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s, ok := b.subscriptions[id]
	if !ok {
		return &store.SubscriptionError{SubscriptionID: id, Err: store.ErrSubscriptionNotFound}
	}
	b.lastEpoch++
	s.Checkpoint, s.StreamID, s.Seen, s.UpdatedAt = checkpoint, streamID, store.SeenEvent{}, now()
	s.Epoch, s.LeaseUntil = b.lastEpoch, time.Time{}
	s.forgetError()
	delete(b.parked, id)
	return nil
}

// DeleteSubscription implements [store.SubscriptionStorage].
func (b *Backend) DeleteSubscription(ctx context.Context, id store.SubscriptionID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, ok := b.subscriptions[id]; !ok {
		return &store.SubscriptionError{SubscriptionID: id, Err: store.ErrSubscriptionNotFound}
	}
	delete(b.subscriptions, id)
	delete(b.parked, id)
	return nil
}

// ListSubscriptions implements [store.SubscriptionStorage].
func (b *Backend) ListSubscriptions(ctx context.Context) ([]store.SubscriptionInfo, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var list []store.SubscriptionInfo
	at := now()
	for _, s := range b.subscriptions {
		info := s.SubscriptionInfo
		info.Held = s.held(at)
		list = append(list, info)
	}
	slices.SortFunc(list, func(x, y store.SubscriptionInfo) int {
		return cmp.Or(cmp.Compare(x.Stream, y.Stream), cmp.Compare(x.Name, y.Name))
	})
	return list, nil
}

// Arrivals implements [store.SubscriptionStorage].
func (b *Backend) Arrivals(ctx context.Context, list []store.Behind) (store.Arrivals, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return store.Arrivals{}, err
	}
	a := store.Arrivals{At: make([]time.Time, len(list)), Now: now()}
	for i, l := range list {
		a.At[i] = b.arrival(l)
	}
	return a, nil
}

// arrival returns when the first event behind a number came into its stream. The caller holds b.mu.
func (b *Backend) arrival(l store.Behind) time.Time {
	if l.Stream == store.All {
		for _, e := range b.all[min(max(l.Number, 0), int64(len(b.all))):] {
			if e != nil {
				return e.entry().at
			}
		}
		return time.Time{}
	}
	s, ok := b.streams[l.Stream]
	if !ok {
		return time.Time{}
	}
	i, _ := slices.BinarySearchFunc(s.entries, l.Number+1, func(e entry, number int64) int { return cmp.Compare(e.version, number) })
	if i == len(s.entries) {
		return time.Time{}
	}
	return s.entries[i].at
}

// entry returns an event's place in the stream that it was appended to.
func (e *event) entry() entry {
	i, _ := slices.BinarySearchFunc(e.origin.entries, e.recorded.Version, func(e entry, version int64) int { return cmp.Compare(e.version, version) })
	return e.origin.entries[i]
}
