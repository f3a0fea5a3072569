package store_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// held reports whether the storage says that somebody holds the lease.
func (p *process) held() bool {
	p.t.Helper()
	list, err := p.storage.Backend.ListSubscriptions(p.t.Context())
	require.NoError(p.t, err)
	require.Len(p.t, list, 1)
	return list[0].Held
}

// slow is a gate at which one kind of call waits.
func slow(call string, d time.Duration) func(ctx context.Context, c string) error {
	return func(ctx context.Context, c string) error {
		if c == call {
			return takes(d)(ctx, c)
		}
		return nil
	}
}

// TestSubscribeWhileClosing: a Subscribe that comes while the last subscriber closes does not keep Close from returning, and
// begins anew.
func TestSubscribeWhileClosing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		p.storage.guard(slow("ReadStream", time.Minute)) // so that the subscription is busy when its subscriber leaves
		r := p.subscribe(store.SubscribeOptions{Timeout: time.Hour})
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- r.Close() }()
		synctest.Wait()
		p.storage.guard(nil)
		began := time.Now()
		second := p.subscribe(store.SubscribeOptions{})
		assert.Equal(t, time.Minute, time.Since(began), "it waits for the end of the one before")
		select {
		case err := <-closed:
			require.NoError(t, err)
		case <-time.After(time.Hour):
			t.Error("Close waits for the other subscriber")
		}
		assert.Len(t, p.storage.at("AcquireLease"), 2)
		next(t, second, 3)
		require.NoError(t, second.Close())
	})
}

// TestConsumeCancelledWhileAcquiring: Consume does not return before a lease that it may get is given up.
func TestConsumeCancelledWhileAcquiring(t *testing.T) {
	t.Parallel()
	for _, handlers := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			p := newProcess(t, memory.New(), nil)
			p.storage.guard(slow("AcquireLease", time.Minute))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := p.Consume(ctx, "s", "reader", func(context.Context, store.Recorded) error { return nil }, &store.ConsumeOptions{
				Handlers: handlers, SubscribeOptions: store.SubscribeOptions{Timeout: time.Hour, WaitForLease: true},
			})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Len(t, p.storage.at("ReleaseLease"), 1)
			assert.False(t, p.held())
		})
	}
}

// answerless is a storage whose answer to AcquireLease is lost.
type answerless struct{ *timed }

func (s answerless) AcquireLease(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
	if _, err := s.timed.AcquireLease(ctx, r); err != nil {
		return store.Lease{}, err
	}
	return store.Lease{}, errUnreachable
}

// TestCloseGivesBack: a lease that is this process's in the database is given up, also if the process does not know that it has
// it, and the row keeps its checkpoint.
func TestCloseGivesBack(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(t *testing.T, p *process){
		"answer lost": func(t *testing.T, p *process) {
			p.Store = store.New(answerless{p.storage}, nil)
			r := p.subscribe(store.SubscribeOptions{})
			require.ErrorIs(t, r.State().Err, errUnreachable)
			require.True(t, p.held())
			require.NoError(t, r.Close())
			require.NoError(t, p.Close())
		},
		"given up as lost": func(t *testing.T, p *process) {
			r := p.subscribe(store.SubscribeOptions{CheckpointThreshold: 1})
			got, _ := next(t, r, 3)
			require.NoError(t, r.Ack(t.Context(), got[1]))
			synctest.Wait()
			p.storage.goBack(1)
			p.storage.guard(only("AcquireLease"))
			_, err := r.Next(t.Context())
			require.ErrorIs(t, err, store.ErrLeaseLost)
			synctest.Wait()
			require.True(t, p.held())
			p.storage.goBack(0)
			require.NoError(t, r.Close())
			assert.EqualValues(t, 2, p.checkpoint())
		},
		"goroutine ended": func(t *testing.T, p *process) {
			r := p.subscribe(store.SubscribeOptions{Start: store.StartCurrent, Selector: func(store.Recorded) bool {
				runtime.Goexit()
				return true
			}})
			p.append(1)
			_, err := r.Next(t.Context())
			require.ErrorContains(t, err, "a callback has ended")
			require.NoError(t, r.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), nil)
				p.append(3)
				run(t, p)
				assert.False(t, p.held())
			})
		})
	}
}

// TestCloseTwice: closing a subscriber that another goroutine is closing waits for the lease to be given up, but not when OnState
// does it.
func TestCloseTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		var r *store.Subscriber
		r = p.subscribe(store.SubscribeOptions{OnState: func(state store.SubscriptionState) {
			if state.Phase == store.Stopped {
				assert.NoError(t, r.Close())
			}
		}})
		p.storage.guard(slow("ReleaseLease", 10*time.Second))
		closed := make(chan error, 1)
		go func() { closed <- r.Close() }()
		_, err := r.Next(t.Context())
		require.ErrorIs(t, err, store.ErrSubscriberClosed)
		require.True(t, p.held())
		require.NoError(t, r.Close())
		assert.False(t, p.held())
		require.NoError(t, <-closed)
	})
}
