package store_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// slowParked takes a millisecond for each page of parked events, and counts them.
type slowParked struct {
	*memory.Backend
	pages atomic.Int64
}

func (s *slowParked) ReadParked(ctx context.Context, r store.ParkedRequest) ([]store.ParkedEvent, error) {
	s.pages.Add(1)
	select {
	case <-time.After(time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Backend.ReadParked(ctx, r)
}

// TestReplayWithManyBehind: a replayed event that fails again costs a few reads, however many events are parked behind it, and new events
// of other keys are handled while it waits for its retry.
func TestReplayWithManyBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &slowParked{Backend: memory.New()}
		p := &process{store.New(b, nil), t, nil}
		t.Cleanup(func() { _ = p.Close() })
		types := make([]string, 1000)
		for i := range types {
			types[i] = "K"
		}
		p.appendTypes(types...)
		var again atomic.Bool
		var calls callLog
		end := p.startConsume(func(_ context.Context, e store.Recorded) error {
			calls.add("%s", e.Type)
			if e.Type == "K" {
				return errPoison
			}
			return nil
		}, &store.ConsumeOptions{
			MinBackoff: time.Minute, MaxBackoff: time.Minute,
			OnError: func(store.Recorded, error, int) store.Decision {
				if again.Load() {
					return store.Retry
				}
				return store.Park
			},
			SubscribeOptions: store.SubscribeOptions{PartitionBy: byType, Timeout: 100 * time.Millisecond},
		})
		time.Sleep(time.Minute)
		require.Len(t, p.parked(), len(types))
		require.Equal(t, []string{"K"}, calls.take())
		again.Store(true)
		before := b.pages.Load()
		p.replayParked(1)
		time.Sleep(10 * time.Second)
		assert.Less(t, b.pages.Load()-before, int64(10))
		p.appendTypes("other")
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"K", "other"}, calls.take())
		require.ErrorIs(t, end(), context.Canceled)
	})
}
