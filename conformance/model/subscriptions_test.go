package model

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

func TestMemorySubscriptions(t *testing.T) {
	RunSubscriptions(t, 0, func(testing.TB) store.Storage { return memory.New() })
}

// brokenKeeper is memory with one promise about subscriptions broken.
type brokenKeeper struct {
	*memory.Backend
	fault string
}

func (b *brokenKeeper) AcquireLease(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
	l, err := b.Backend.AcquireLease(ctx, r)
	if err == nil && b.fault == "goes on too far" && l.Checkpoint > 0 {
		l.Checkpoint++
	}
	return l, err
}

func (b *brokenKeeper) SaveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	if b.fault == "one too far" {
		r.Checkpoint++
	}
	return b.Backend.SaveCheckpoint(ctx, r)
}

func (b *brokenKeeper) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	if b.fault == "not flushed" {
		r.Checkpoint = 0
	}
	return b.Backend.ReleaseLease(ctx, r)
}

func (b *brokenKeeper) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
	page, next, err := b.Backend.ReadFiltered(ctx, r, f)
	switch {
	case err != nil || len(page) < 2:
	case b.fault == "event left out":
		page = append(page[:1:1], page[2:]...)
	case b.fault == "filter chooses nothing" && !f.IsZero():
		page = slices.DeleteFunc(page, func(e store.Recorded) bool { return e.Number != r.From && e.Number != next-1 })
	}
	return page, next, err
}

// TestSubscriptionFaults checks that random histories find what is broken.
func TestSubscriptionFaults(t *testing.T) {
	expectFailures(t)
	for _, fault := range []string{"goes on too far", "one too far", "not flushed", "event left out", "filter chooses nothing"} {
		t.Run(fault, func(t *testing.T) {
			f := &failures{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				checkSubscriptions(f, t, 0, func(testing.TB) store.Storage {
					return &brokenKeeper{Backend: memory.New(), fault: fault}
				})
			}()
			<-done
			assert.True(t, f.failed, "no history found it")
		})
	}
}
