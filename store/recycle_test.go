package store_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// TestRecycleWhileSent: a page is not used again before the last of its events that are being sent has been copied, also if
// they are acknowledged meanwhile. Memory clears pages that are recycled.
func TestRecycleWhileSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(5)
		var r *store.Subscriber
		r = p.subscribe(store.SubscribeOptions{Mapper: func(e store.Recorded) (store.Recorded, error) {
			if e.Version == 1 {
				require.NoError(t, r.AckNumber(t.Context(), 5)) // somebody who knows what is coming
			}
			return e, nil
		}})
		got, _ := next(t, r, 5)
		for i, e := range got {
			assert.Equal(t, int64(i+1), e.Number)
			assert.Equal(t, "happened", e.Type)
		}
		require.NoError(t, p.Close())
		assert.Equal(t, int64(5), p.checkpoint())
	})
}

// TestRecycleGivenBack: what was given back comes again as it was, though others of its page were acknowledged.
func TestRecycleGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(5)
		r := p.subscribe(store.SubscribeOptions{ConcurrencyLimit: 2})
		got, _ := next(t, r, 5)
		require.NoError(t, r.Nack(t.Context(), got[4]))
		require.NoError(t, r.Ack(t.Context(), got[3]))
		clear(got) // what was sent is the subscriber's own
		again, _ := next(t, r, 1)
		assert.Equal(t, "happened", again[0].Type)
		assert.Equal(t, int64(5), again[0].Number)
		require.NoError(t, r.Ack(t.Context(), again...))
	})
}

// TestRecycleAmongMany: several callers of Next share what a subscriber has in flight. None gets an event of a page that is used
// again, whatever the others acknowledge, give back, or fail on meanwhile.
func TestRecycleAmongMany(t *testing.T) {
	t.Parallel()
	const total = 2000
	p := newProcess(t, memory.New(), nil)
	p.append(total)
	var calls atomic.Int64
	r := p.subscribe(store.SubscribeOptions{BufferSize: 16, MaxSize: 8, CheckpointThreshold: 1, Mapper: func(e store.Recorded) (store.Recorded, error) {
		if calls.Add(1)%50 == 0 {
			return e, errors.New("not now")
		}
		return e, nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				list, err := r.Next(ctx)
				var failed *store.CallbackError
				switch {
				case errors.As(err, &failed):
					_ = r.Nack(ctx, failed.Event) // somebody may have acknowledged it
					continue
				case err != nil:
					return
				}
				for _, e := range list {
					assert.Equal(t, "happened", e.Type)
					assert.Equal(t, e.Version, e.Number)
				}
				if n%5 == 0 {
					_ = r.Nack(ctx, list...)
				} else {
					_ = r.Ack(ctx, list...)
				}
			}
		})
	}
	assert.Eventually(t, func() bool { return p.checkpoint() == total }, time.Minute, time.Millisecond)
	cancel()
	wg.Wait()
	require.NoError(t, r.Close())
}

// TestCheckpointPace: by default a fast subscriber's checkpoint is written four times a second, and in time when it stops; a
// threshold that was asked for is kept to.
func TestCheckpointPace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts store.SubscribeOptions
		most int
		rest time.Duration
	}{
		"default":            {store.SubscribeOptions{}, 5, time.Second},
		"after":              {store.SubscribeOptions{CheckpointAfter: 400 * time.Millisecond}, 11, 400 * time.Millisecond},
		"never by the clock": {store.SubscribeOptions{CheckpointAfter: store.Forever}, 20, 0},
		"late by the clock":  {store.SubscribeOptions{CheckpointAfter: time.Hour}, 5, 250 * time.Millisecond},
		"threshold":          {store.SubscribeOptions{CheckpointThreshold: 1000}, 20, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), nil)
				p.append(20_000)
				c.opts.BufferSize = 1000
				r := p.subscribe(c.opts)
				for range 20 { // 20,000 events/s
					got, _ := next(t, r, 1000)
					require.NoError(t, r.Ack(t.Context(), got...))
					time.Sleep(50 * time.Millisecond)
				}
				saved := len(p.storage.at("SaveCheckpoint"))
				assert.LessOrEqual(t, saved, c.most)
				assert.GreaterOrEqual(t, saved, c.most-1)
				time.Sleep(c.rest) // the timer of the threshold, or of CheckpointAfter
				synctest.Wait()
				assert.Equal(t, int64(20_000), p.checkpoint())
			})
		})
	}
}
