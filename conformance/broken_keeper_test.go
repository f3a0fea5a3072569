package conformance

import (
	"context"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// brokenKeeper is the part of a broken storage that keeps subscriptions. A nil field leaves the call as it is.
type brokenKeeper struct {
	store.SubscriptionStorage
	acquire    func(ctx context.Context, r store.LeaseRequest) (store.Lease, error)
	renew      func(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error)
	free       func(ctx context.Context) ([]store.SubscriptionID, error)
	checkpoint func(ctx context.Context, r store.CheckpointRequest) error
	problem    func(ctx context.Context, id store.SubscriptionID, epoch int64, text string, number int64) error
	release    func(ctx context.Context, r store.CheckpointRequest) error
	reset      func(ctx context.Context, id store.SubscriptionID, checkpoint, streamID int64) error
	remove     func(ctx context.Context, id store.SubscriptionID) error
	listing    func(ctx context.Context) ([]store.SubscriptionInfo, error)
	arrivals   func(ctx context.Context, list []store.Behind) (store.Arrivals, error)
	versions   func(ctx context.Context, streams []string) (map[string]store.StreamInfo, error)
	filtered   filteredRead
}

type filteredRead func(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error)

// newBroken returns a broken storage on s with nothing broken yet.
func newBroken(s store.Storage) *broken {
	return &broken{Storage: s, brokenKeeper: brokenKeeper{SubscriptionStorage: s.(store.SubscriptionStorage)}}
}

func (b *brokenKeeper) AcquireLease(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
	return or(b.acquire, b.SubscriptionStorage.AcquireLease, ctx, r)
}

func (b *brokenKeeper) RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
	if b.renew != nil {
		return b.renew(ctx, owner, ttl)
	}
	return b.SubscriptionStorage.RenewLeases(ctx, owner, ttl)
}

func (b *brokenKeeper) FreeLeases(ctx context.Context) ([]store.SubscriptionID, error) {
	if b.free != nil {
		return b.free(ctx)
	}
	return b.SubscriptionStorage.FreeLeases(ctx)
}

func (b *brokenKeeper) SaveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	if b.checkpoint != nil {
		return b.checkpoint(ctx, r)
	}
	return b.SubscriptionStorage.SaveCheckpoint(ctx, r)
}

func (b *brokenKeeper) SaveError(ctx context.Context, id store.SubscriptionID, epoch int64, text string, number int64) error {
	if b.problem != nil {
		return b.problem(ctx, id, epoch, text, number)
	}
	return b.SubscriptionStorage.SaveError(ctx, id, epoch, text, number)
}

func (b *brokenKeeper) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	if b.release != nil {
		return b.release(ctx, r)
	}
	return b.SubscriptionStorage.ReleaseLease(ctx, r)
}

func (b *brokenKeeper) ResetSubscription(ctx context.Context, id store.SubscriptionID, checkpoint, streamID int64) error {
	if b.reset != nil {
		return b.reset(ctx, id, checkpoint, streamID)
	}
	return b.SubscriptionStorage.ResetSubscription(ctx, id, checkpoint, streamID)
}

func (b *brokenKeeper) DeleteSubscription(ctx context.Context, id store.SubscriptionID) error {
	if b.remove != nil {
		return b.remove(ctx, id)
	}
	return b.SubscriptionStorage.DeleteSubscription(ctx, id)
}

func (b *brokenKeeper) ListSubscriptions(ctx context.Context) ([]store.SubscriptionInfo, error) {
	if b.listing != nil {
		return b.listing(ctx)
	}
	return b.SubscriptionStorage.ListSubscriptions(ctx)
}

func (b *brokenKeeper) Arrivals(ctx context.Context, list []store.Behind) (store.Arrivals, error) {
	return or(b.arrivals, b.SubscriptionStorage.Arrivals, ctx, list)
}

func (b *brokenKeeper) StreamVersions(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
	return or(b.versions, b.SubscriptionStorage.StreamVersions, ctx, streams)
}

func (b *brokenKeeper) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
	if b.filtered != nil {
		return b.filtered(ctx, r, f)
	}
	return b.SubscriptionStorage.ReadFiltered(ctx, r, f)
}

// subscription returns what is kept of a subscription, or nothing.
func (b *brokenKeeper) subscription(ctx context.Context, id store.SubscriptionID) (store.SubscriptionInfo, bool) {
	list, _ := b.SubscriptionStorage.ListSubscriptions(ctx)
	for _, i := range list {
		if i.SubscriptionID == id {
			return i, true
		}
	}
	return store.SubscriptionInfo{}, false
}
