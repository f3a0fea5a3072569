package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

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
	return store.Lease{ID: s.SubscriptionID, Epoch: s.Epoch, Checkpoint: s.Checkpoint, StreamID: s.StreamID}
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
	return b.inEpoch(ctx, r.ID, r.Epoch, func(s *subscription) { s.save(r) })
}

// SaveError implements [store.SubscriptionStorage].
func (b *Backend) SaveError(ctx context.Context, id store.SubscriptionID, epoch int64, text string) error {
	return b.inEpoch(ctx, id, epoch, func(s *subscription) { s.LastError = text })
}

// ReleaseLease implements [store.SubscriptionStorage].
func (b *Backend) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	return b.inEpoch(ctx, r.ID, r.Epoch, func(s *subscription) {
		s.save(r)
		s.LeaseUntil = time.Time{}
	})
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

// save sets the checkpoint, but never back in the same stream.
func (s *subscription) save(r store.CheckpointRequest) {
	if s.StreamID != r.StreamID || s.Checkpoint < r.Checkpoint {
		s.Checkpoint, s.StreamID, s.UpdatedAt = r.Checkpoint, r.StreamID, now()
	}
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
	s.Checkpoint, s.StreamID, s.UpdatedAt = checkpoint, streamID, now()
	s.Epoch, s.LeaseUntil, s.LastError = b.lastEpoch, time.Time{}, ""
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
