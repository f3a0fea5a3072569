package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// taken is a failover after which another process has all leases, for ever.
type taken struct {
	*failover

	gone atomic.Bool
}

func (s *taken) RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
	if s.gone.Load() {
		return nil, nil
	}
	return s.failover.RenewLeases(ctx, owner, ttl)
}

func (s *taken) AcquireLease(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
	if s.gone.Load() {
		return store.Lease{}, store.ErrLeaseHeld
	}
	return s.failover.AcquireLease(ctx, r)
}

// TestFailoverForAnotherOwner: a standby takes over, and another process is the first to take the lease. The process that has handled
// events which are lost is told at its next attempt. It does not wait until it gets the lease, which may be never.
func TestFailoverForAnotherOwner(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lag, fresh int }{{0, 0}, {0, 5}, {3, 0}, {3, 5}} {
		for _, stream := range []string{store.All, "s"} {
			t.Run(fmt.Sprintf("lag=%d/fresh=%d/%s", c.lag, c.fresh, stream), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ids := make([]uuid.UUID, 10)
					for i := range ids {
						ids[i] = uuid.New()
					}
					fill := func(b *memory.Backend, ids ...uuid.UUID) {
						for _, id := range ids {
							_, err := store.New(b, nil).Append(t.Context(), "s", store.Any, store.Event{ID: id, Type: "t", Data: 1})
							require.NoError(t, err)
						}
					}
					old, standby := memory.New(), memory.New()
					fill(old, ids...)
					fill(standby, ids[:10-c.lag]...)
					for range c.fresh {
						fill(standby, uuid.New())
					}
					s := &taken{failover: &failover{Backend: old}}
					s.now.Store(old)
					es := store.New(s, &store.Options{PollInterval: 24 * time.Hour})
					defer es.Close() //nolint:errcheck // it has no leases

					// The feed looks for new events more and more seldom. It must not be what finds out.
					time.AfterFunc(2*time.Hour, func() {
						s.now.Store(standby)
						s.gone.Store(true)
					})
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour+time.Minute)
					defer cancel()
					err := es.Consume(ctx, stream, "consumer", func(context.Context, store.Recorded) error { return nil }, &store.ConsumeOptions{SubscribeOptions: store.SubscribeOptions{CheckpointThreshold: 100, CheckpointAfter: time.Hour}})
					if c.lag == 0 {
						assert.ErrorIs(t, err, context.DeadlineExceeded)
						assert.NotErrorIs(t, err, store.ErrPositionLost)
						return
					}
					var lost *store.PositionLostError
					require.ErrorAs(t, err, &lost)
					assert.Equal(t, store.PositionLostError{
						Stream: stream, After: 10, Head: int64(10 - c.lag + c.fresh), Replaced: c.fresh > 0,
					}, *lost)
					assert.NoError(t, ctx.Err(), "it did not have to end for that")
				})
			})
		}
	}
}
