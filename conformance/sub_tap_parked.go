package conformance

import (
	"context"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// parkedTap is a tap on a storage that keeps what is parked.
type parkedTap struct {
	*tap
	parkedCalls
}

// batchParkedTap is one on a storage that also saves checkpoints in batches.
type batchParkedTap struct {
	batchTap
	parkedCalls
}

// parkedCalls are the calls of a [store.ParkedStorage].
type parkedCalls struct{ t *tap }

var (
	_ store.ParkedStorage = parkedTap{}
	_ store.ParkedStorage = batchParkedTap{}
)

func (p parkedCalls) SaveParked(ctx context.Context, r store.ParkedChange) (int64, error) {
	if err := p.t.pass(ctx, "SaveParked"); err != nil {
		return 0, err
	}
	return p.t.park.SaveParked(ctx, r)
}

func (p parkedCalls) ReadParked(ctx context.Context, r store.ParkedRequest) ([]store.ParkedEvent, error) {
	if err := p.t.pass(ctx, "ReadParked"); err != nil {
		return nil, err
	}
	return p.t.park.ReadParked(ctx, r)
}

func (p parkedCalls) LookParked(ctx context.Context, id store.SubscriptionID, known int64) (int64, []string, error) {
	if err := p.t.pass(ctx, "LookParked"); err != nil {
		return 0, nil, err
	}
	return p.t.park.LookParked(ctx, id, known)
}

func (p parkedCalls) ReplayParked(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error) {
	if err := p.t.pass(ctx, "ReplayParked"); err != nil {
		return 0, err
	}
	return p.t.park.ReplayParked(ctx, id, ids)
}

func (p parkedCalls) DiscardParked(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error) {
	if err := p.t.pass(ctx, "DiscardParked"); err != nil {
		return 0, err
	}
	return p.t.park.DiscardParked(ctx, id, ids)
}

func (p parkedCalls) ParkedCounts(ctx context.Context) (map[store.SubscriptionID]int64, error) {
	if err := p.t.pass(ctx, "ParkedCounts"); err != nil {
		return nil, err
	}
	return p.t.park.ParkedCounts(ctx)
}
