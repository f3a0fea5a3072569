package conformance

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// inTxKeeper is an inTx that keeps subscriptions.
type inTxKeeper struct{ *inTx }

var _ store.SubscriptionStorage = inTxKeeper{}

// keeping is call for the part that keeps subscriptions.
func keeping[R any](ctx context.Context, s inTxKeeper, f func(store.SubscriptionStorage) (R, error)) (R, error) {
	return call(ctx, s.inTx, func(b store.Storage) (R, error) { return f(b.(store.SubscriptionStorage)) })
}

// keep is keeping for a call without a result.
func (s inTxKeeper) keep(ctx context.Context, f func(store.SubscriptionStorage) error) error {
	return s.do(ctx, func(b store.Storage) error { return f(b.(store.SubscriptionStorage)) })
}

func (s inTxKeeper) AcquireLease(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
	return keeping(ctx, s, func(b store.SubscriptionStorage) (store.Lease, error) { return b.AcquireLease(ctx, r) })
}

func (s inTxKeeper) RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
	return keeping(ctx, s, func(b store.SubscriptionStorage) ([]store.Lease, error) { return b.RenewLeases(ctx, owner, ttl) })
}

func (s inTxKeeper) FreeLeases(ctx context.Context) ([]store.SubscriptionID, error) {
	return keeping(ctx, s, func(b store.SubscriptionStorage) ([]store.SubscriptionID, error) { return b.FreeLeases(ctx) })
}

func (s inTxKeeper) SaveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	return s.keep(ctx, func(b store.SubscriptionStorage) error { return b.SaveCheckpoint(ctx, r) })
}

func (s inTxKeeper) SaveError(ctx context.Context, id store.SubscriptionID, epoch int64, text string, number int64) error {
	return s.keep(ctx, func(b store.SubscriptionStorage) error { return b.SaveError(ctx, id, epoch, text, number) })
}

func (s inTxKeeper) Arrivals(ctx context.Context, list []store.Behind) (store.Arrivals, error) {
	return keeping(ctx, s, func(b store.SubscriptionStorage) (store.Arrivals, error) { return b.Arrivals(ctx, list) })
}

func (s inTxKeeper) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	return s.keep(ctx, func(b store.SubscriptionStorage) error { return b.ReleaseLease(ctx, r) })
}

func (s inTxKeeper) ResetSubscription(ctx context.Context, id store.SubscriptionID, checkpoint, streamID int64) error {
	return s.keep(ctx, func(b store.SubscriptionStorage) error { return b.ResetSubscription(ctx, id, checkpoint, streamID) })
}

func (s inTxKeeper) DeleteSubscription(ctx context.Context, id store.SubscriptionID) error {
	return s.keep(ctx, func(b store.SubscriptionStorage) error { return b.DeleteSubscription(ctx, id) })
}

func (s inTxKeeper) ListSubscriptions(ctx context.Context) ([]store.SubscriptionInfo, error) {
	return keeping(ctx, s, func(b store.SubscriptionStorage) ([]store.SubscriptionInfo, error) { return b.ListSubscriptions(ctx) })
}

func (s inTxKeeper) StreamVersions(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
	return keeping(ctx, s, func(b store.SubscriptionStorage) (map[string]store.StreamInfo, error) {
		return b.StreamVersions(ctx, streams)
	})
}

// ReadFiltered commits first if it is to read all events: they have no position before.
func (s inTxKeeper) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64, err error) {
	if r.Stream == store.All {
		require.NoError(s.tb, s.commit(), "commit before a read of all events")
		return s.Storage.(store.SubscriptionStorage).ReadFiltered(ctx, r, f)
	}
	err = s.keep(ctx, func(b store.SubscriptionStorage) error {
		page, next, err = b.ReadFiltered(ctx, r, f)
		return err
	})
	return page, next, err
}
