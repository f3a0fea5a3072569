package store_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// TestStateInOutage: a subscription that hears of nothing says so, and why, once.
func TestStateInOutage(t *testing.T) {
	t.Parallel()
	for name, subscribe := range map[string]func(p *process, opts store.SubscribeOptions){
		"persistent": func(p *process, opts store.SubscribeOptions) { p.subscribe(opts) },
		"transient": func(p *process, opts store.SubscribeOptions) {
			opts.Transient = true
			p.subscribe(opts)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), nil)
				states := make(chan store.SubscriptionState, 99)
				subscribe(p, store.SubscribeOptions{OnState: func(s store.SubscriptionState) { states <- s }})
				synctest.Wait()
				p.storage.guard(unreachable)
				time.Sleep(time.Hour)
				p.storage.guard(nil)
				time.Sleep(time.Minute)
				require.NoError(t, p.Close())
				close(states)
				var phases []store.Phase
				var errs []error
				for s := range states {
					phases, errs = append(phases, s.Phase), append(errs, s.Err)
				}
				require.Greater(t, len(phases), 2)
				assert.ErrorIs(t, errs[2], errUnreachable)
				phases = slices.Compact(phases) // when the database is back, the lease may not be
				assert.Equal(t, []store.Phase{store.CatchingUp, store.Live, store.Waiting, store.Live, store.Stopped}, phases)
				assert.LessOrEqual(t, len(errs), 6)
			})
		})
	}
}

// TestStateWhileCheckpointsFail: a subscription whose checkpoint can't be written says so, and why, once, and goes on sending.
func TestStateWhileCheckpointsFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(2)
		var phases []store.Phase
		opts := store.SubscribeOptions{ConcurrencyLimit: 2, OnState: func(s store.SubscriptionState) { phases = append(phases, s.Phase) }}
		r := p.subscribe(opts)
		got, _ := next(t, r, 2)
		p.storage.guard(refusedCheckpoints)
		require.NoError(t, r.Ack(t.Context(), got[0]))
		time.Sleep(time.Hour)
		assert.Equal(t, store.Waiting, r.State().Phase)
		opts.WaitForLease, opts.OnState = true, nil
		p.subscribe(opts) // it has the lease
		p.append(1)       // and reads on
		more, _ := next(t, r, 1)
		require.NoError(t, r.Ack(t.Context(), got[1]))
		time.Sleep(time.Hour)
		require.ErrorIs(t, r.State().Err, errUnreachable)
		p.storage.guard(nil)
		time.Sleep(time.Minute)
		require.Equal(t, store.SubscriptionState{Phase: store.Live}, r.State())
		require.NoError(t, r.Ack(t.Context(), more...))
		require.NoError(t, p.Close())
		assert.Equal(t, []store.Phase{store.CatchingUp, store.Live, store.Waiting, store.Live, store.Stopped}, phases)
	})
}

// TestCheckpointsFailNoMore: when the database is back, a subscription whose checkpoint could not be written is Live soon, whether
// or not there is a time at which the checkpoint would be due.
func TestCheckpointsFailNoMore(t *testing.T) {
	t.Parallel()
	never := store.SubscribeOptions{CheckpointAfter: store.Forever, CheckpointThreshold: 2}
	for _, test := range []struct {
		name      string
		opts      store.SubscribeOptions
		meanwhile func(p *process)
	}{
		{"written", never, func(*process) {}},
		{"created again", never, func(p *process) {
			require.NoError(p.t, p.Delete(p.t.Context(), "s", store.Any, store.HardDelete))
			p.append(1)
		}},
		{"taken along", store.SubscribeOptions{CheckpointAfter: time.Hour, CheckpointThreshold: 9}, func(p *process) {
			time.Sleep(40 * time.Minute)
			other, err := p.Subscribe(p.t.Context(), "s", "other", &store.SubscribeOptions{CheckpointThreshold: 1})
			require.NoError(p.t, err)
			got, _ := next(p.t, other, 2)
			require.NoError(p.t, other.Ack(p.t.Context(), got...))
			synctest.Wait()
			_ = other.Close() // nothing is due any more
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), &store.Options{HardDelete: true})
				p.append(2)
				r := p.subscribe(test.opts)
				got, _ := next(t, r, 2)
				p.storage.guard(refusedCheckpoints)
				require.NoError(t, r.Ack(t.Context(), got...))
				test.meanwhile(p)
				time.Sleep(time.Second)
				p.storage.guard(nil)
				time.Sleep(time.Minute)
				assert.Equal(t, store.SubscriptionState{Phase: store.Live}, r.State())
				require.NoError(t, p.Close())
			})
		})
	}
}

// refusedCheckpoints is a gate that checkpoints do not pass.
func refusedCheckpoints(_ context.Context, call string) error {
	if call == "SaveCheckpoint" || call == "SaveCheckpoints" {
		return errUnreachable
	}
	return nil
}

// TestWaitForLeaseInOutage: Subscribe waits for the lease, and for nothing else.
func TestWaitForLeaseInOutage(t *testing.T) {
	t.Parallel()
	opts := store.SubscribeOptions{ConcurrencyLimit: 9, CheckpointThreshold: 1}
	patient := opts
	patient.WaitForLease = true
	t.Run("somebody else has it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := memory.New()
			p, q := newProcess(t, b, nil), newProcess(t, b, nil)
			p.append(1)
			r := p.subscribe(opts)
			got, _ := next(t, r, 1)
			p.storage.guard(refusedCheckpoints)
			require.NoError(t, r.Ack(t.Context(), got...))
			time.Sleep(time.Second)
			p.subscribe(patient) // p has it
			p.storage.guard(unreachable)
			q.subscribe(patient)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := p.Subscribe(ctx, "s", "reader", &patient)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
	t.Run("it comes back", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := newProcess(t, memory.New(), nil)
			p.append(1)
			r := p.subscribe(opts)
			got, _ := next(t, r, 1)
			p.storage.guard(unreachable)
			require.NoError(t, r.Ack(t.Context(), got...))
			time.Sleep(time.Hour)
			joined := make(chan error, 1)
			go func() {
				_, err := p.Subscribe(t.Context(), "s", "reader", &patient)
				joined <- err
			}()
			time.Sleep(time.Hour)
			require.Empty(t, joined)
			p.storage.guard(refusedCheckpoints) // the lease is renewed
			time.Sleep(time.Minute)
			require.Len(t, joined, 1)
			require.NoError(t, <-joined)
		})
	})
}
