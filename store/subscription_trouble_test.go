package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

var errBoom = errors.New("boom")

// consume consumes until stop is called, which waits for the end.
func (p *process) consume(handler store.Handler, opts *store.ConsumeOptions) (stop func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Consume(ctx, "s", "reader", handler, opts) }()
	return func() {
		p.t.Helper()
		cancel()
		require.ErrorIs(p.t, <-done, context.Canceled)
	}
}

// info returns what the list says of the only subscription.
func (p *process) info() store.SubscriptionInfo {
	p.t.Helper()
	list, err := p.Subscriptions(p.t.Context())
	require.NoError(p.t, err)
	require.Len(p.t, list, 1)
	return list[0]
}

// lastError returns the last error in the list, and the number of its event.
func (p *process) lastError() (string, int64) {
	p.t.Helper()
	synctest.Wait()
	i := p.info()
	return i.LastError, i.LastErrorNumber
}

func handled(context.Context, store.Recorded) error { return nil }

// failing is a handler that fails on the events with these numbers, as often as it says.
func failing(times map[int64]int) store.Handler {
	return func(_ context.Context, e store.Recorded) error {
		if times[e.Number]--; times[e.Number] >= 0 {
			return errBoom
		}
		return nil
	}
}

// TestLastErrorIsOver: the last error is listed with its time and event, and not any more when that event is dealt with, in
// whichever way and by whichever process.
func TestLastErrorIsOver(t *testing.T) {
	t.Parallel()
	const forever = 1 << 30
	for name, over := range map[string]func(t *testing.T, p, q *process, stop func()){
		"by another process": func(_ *testing.T, _, q *process, stop func()) {
			stop()
			q.consume(handled, nil)
		},
		"by a takeover": func(_ *testing.T, p, q *process, _ func()) {
			p.storage.guard(unreachable) // for ever
			q.consume(handled, nil)
			time.Sleep(2 * store.DefaultLeaseTTL)
		},
		"in a later run": func(_ *testing.T, p, _ *process, stop func()) {
			stop()
			p.consume(handled, nil)
		},
		"skipped in a later run": func(_ *testing.T, p, _ *process, stop func()) {
			stop()
			p.consume(failing(map[int64]int{2: forever}), &store.ConsumeOptions{
				OnError: func(store.Recorded, error, int) store.Decision { return store.Skip },
			})
		},
		"reset": func(t *testing.T, p, _ *process, stop func()) {
			stop()
			require.NoError(t, p.ResetSubscription(t.Context(), "s", "reader", 0))
		},
		"stream created again": func(t *testing.T, p, q *process, stop func()) {
			stop()
			require.NoError(t, p.Delete(t.Context(), "s", store.Any, store.HardDelete))
			p.append(1)
			q.consume(handled, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := memory.New()
				p, q := newProcess(t, b, &store.Options{HardDelete: true}), newProcess(t, b, nil)
				p.append(3)
				began := time.Now()
				stop := p.consume(failing(map[int64]int{2: forever}), nil)
				time.Sleep(time.Minute)
				text, number := p.lastError()
				assert.Equal(t, errBoom.Error(), text)
				assert.EqualValues(t, 2, number)
				assert.WithinRange(t, p.info().LastErrorAt, began, time.Now())
				over(t, p, q, stop)
				time.Sleep(store.DefaultCheckpointAfter)
				text, number = q.lastError()
				assert.Empty(t, text)
				assert.Zero(t, number)
				assert.Zero(t, q.info().LastErrorAt)
			})
		})
	}
}

// TestLastErrorOfSeveral: an error stays as long as its event fails, whatever becomes of other events meanwhile.
func TestLastErrorOfSeveral(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		opts := &store.ConsumeOptions{Handlers: 3, MinBackoff: time.Hour, OnError: func(e store.Recorded, _ error, _ int) store.Decision {
			if e.Number < 3 {
				return store.Retry
			}
			time.Sleep(3 * time.Minute)
			return store.Skip
		}}
		opts.BufferSize = 1
		stop := p.consume(func(_ context.Context, e store.Recorded) error {
			time.Sleep(time.Duration(e.Number%3) * time.Minute) // the third one fails first
			return errBoom
		}, opts)
		time.Sleep(150 * time.Second)
		_, number := p.lastError()
		assert.EqualValues(t, 2, number, "the last one")
		time.Sleep(time.Minute)
		_, number = p.lastError()
		assert.EqualValues(t, 2, number, "another event was dealt with")
		stop()
	})
}

// TestLastErrorSolvedBesideAnother: when the last error is over, one that is not takes its place.
func TestLastErrorSolvedBesideAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(2)
		opts := &store.ConsumeOptions{Handlers: 2, MinBackoff: time.Hour, OnError: func(e store.Recorded, _ error, _ int) store.Decision {
			if e.Number < 2 {
				return store.Retry
			}
			time.Sleep(time.Minute)
			return store.Skip
		}}
		opts.BufferSize = 1
		stop := p.consume(func(_ context.Context, e store.Recorded) error {
			time.Sleep(time.Duration(e.Number) * time.Minute)
			return errBoom
		}, opts)
		time.Sleep(150 * time.Second)
		_, number := p.lastError()
		assert.EqualValues(t, 2, number)
		time.Sleep(time.Minute)
		text, number := p.lastError()
		assert.Equal(t, errBoom.Error(), text)
		assert.EqualValues(t, 1, number)
		stop()
	})
}

// TestReadErrors: a page that can't be read while the database answers shows as the state and in the list, once, until it is read.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call   string
		before int // events that are there before
		number int64
	}{
		"catching up": {"ReadStream", 3, 1},
		"the feed":    {"ReadFiltered", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), nil)
				if c.before > 0 {
					p.append(c.before)
					p.storage.guard(only(c.call))
				}
				var states []store.SubscriptionState
				r := p.subscribe(store.SubscribeOptions{WaitForLease: true, OnState: func(s store.SubscriptionState) { states = append(states, s) }})
				if c.before == 0 {
					synctest.Wait()
					p.storage.guard(only(c.call))
					p.append(3)
				}
				synctest.Wait()
				time.Sleep(time.Hour)
				synctest.Wait()
				assert.Equal(t, store.Waiting, r.State().Phase)
				require.ErrorIs(t, r.State().Err, errUnreachable)
				text, number := p.lastError()
				assert.Contains(t, text, errUnreachable.Error())
				assert.Equal(t, c.number, number)
				assert.Len(t, p.storage.at("SaveError"), 1, "it is written once")
				assert.LessOrEqual(t, len(states), 4, "%v", states)
				p.storage.guard(nil)
				time.Sleep(time.Minute)
				text, _ = p.lastError()
				assert.Empty(t, text, "it is over before anything is acknowledged")
				assert.Equal(t, store.SubscriptionState{Phase: store.Live}, r.State())
				got, _ := next(t, r, 3)
				require.NoError(t, r.Ack(t.Context(), got...))
			})
		})
	}
}

// TestOutageWritesNoErrors: when an outage is over, subscriptions don't all write that there was one.
func TestOutageWritesNoErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		p.subscribe(store.SubscribeOptions{BufferSize: 1, MaxSize: 1})
		_, err := p.Subscribe(t.Context(), store.All, "live", nil)
		require.NoError(t, err)
		synctest.Wait()
		p.storage.guard(unreachable)
		time.Sleep(time.Hour)
		p.storage.guard(nil)
		time.Sleep(time.Hour)
		assert.Empty(t, p.storage.at("SaveError"))
	})
}

// TestStatesDoNotFlap: a subscription whose lease has expired waits for it, whatever it reads meanwhile.
func TestStatesDoNotFlap(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]string{"of a stream": "s", "of all": store.All} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := memory.New()
				p, other := newProcess(t, b, nil), newProcess(t, b, nil)
				var states []store.SubscriptionState
				r, err := p.Subscribe(t.Context(), stream, "reader", &store.SubscribeOptions{
					OnState: func(s store.SubscriptionState) { states = append(states, s) },
				})
				require.NoError(t, err)
				synctest.Wait()
				p.storage.guard(only("RenewLeases"))
				time.Sleep(2 * store.DefaultLeaseTTL)
				synctest.Wait()
				states = nil
				for range 20 { // it reads them, live and from storage
					other.append(150)
					time.Sleep(30 * time.Millisecond)
				}
				synctest.Wait()
				assert.Empty(t, states)
				require.ErrorIs(t, r.State().Err, store.ErrLeaseLost)
				p.storage.guard(nil)
				time.Sleep(store.DefaultLeaseTTL)
				synctest.Wait()
				require.NotEmpty(t, states)
				assert.LessOrEqual(t, len(states), 2, "%v", states)
				next(t, r, 100)
			})
		})
	}
}

// TestStalled: since when a reader has not moved shows to other processes, and no write is needed for that.
func TestStalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		p, q := newProcess(t, b, nil), newProcess(t, b, nil)
		hang := make(chan struct{})
		stop := p.consume(func(ctx context.Context, e store.Recorded) error {
			if e.Number == 3 {
				select {
				case <-hang:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		}, nil)
		p.append(2)
		time.Sleep(time.Hour)
		assert.Zero(t, q.info().Stalled(), "there is nothing to do")
		assert.Zero(t, q.info().StalledSince())
		_, err := q.Append(t.Context(), "s", store.Any, store.Event{Type: "old", CreatedAt: time.Now().AddDate(-10, 0, 0)})
		require.NoError(t, err)
		came := time.Now()
		q.append(30)
		writes := len(p.storage.at("SaveCheckpoint")) + len(p.storage.at("SaveError"))
		time.Sleep(65 * time.Second)
		i := q.info()
		assert.EqualValues(t, 31, i.Lag())
		assert.Equal(t, 65*time.Second, i.Stalled())
		assert.Equal(t, 65*time.Second, i.Delay(), "not since it was created")
		assert.True(t, i.StalledSince().Equal(came))
		assert.Equal(t, writes, len(p.storage.at("SaveCheckpoint"))+len(p.storage.at("SaveError")))
		close(hang)
		time.Sleep(store.DefaultCheckpointAfter)
		synctest.Wait()
		assert.Zero(t, q.info().Stalled())
		stop()
	})
}

// TestStalledSinceCheckpoint: a reader that is behind, but moves, has not moved since its last checkpoint.
func TestStalledSinceCheckpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(10)
		stop := p.consume(func(context.Context, store.Recorded) error {
			time.Sleep(40 * time.Second)
			return nil
		}, nil)
		time.Sleep(100 * time.Second)
		i := p.info()
		assert.Equal(t, 100*time.Second, i.Delay())
		assert.Equal(t, 19*time.Second, i.Stalled(), "since the checkpoint of the second event")
		time.Sleep(time.Hour)
		stop()
	})
}

// TestCheckpointAfterTakeover: a checkpoint that is due soon is written then, also if one was when the lease was lost.
func TestCheckpointAfterTakeover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), &store.Options{LeaseTTL: time.Hour})
		p.append(3000)
		r := p.subscribe(store.SubscribeOptions{CheckpointAfter: time.Hour, BufferSize: 1000})
		got, _ := next(t, r, 1000)
		require.NoError(t, r.Ack(t.Context(), got...)) // is written at once
		synctest.Wait()
		got, _ = next(t, r, 1000)
		require.NoError(t, r.Ack(t.Context(), got...)) // is due a quarter of a second later
		synctest.Wait()
		require.NoError(t, p.ResetSubscription(t.Context(), "s", "reader", 0))
		synctest.Wait()
		_, err := r.Next(t.Context())
		require.ErrorIs(t, err, store.ErrLeaseLost)
		got, _ = next(t, r, 1000)
		require.NoError(t, r.Ack(t.Context(), got[0]))
		synctest.Wait()
		require.NoError(t, r.Ack(t.Context(), got[1:]...))
		assert.Zero(t, p.checkpoint())
		time.Sleep(store.DefaultCheckpointAfter)
		synctest.Wait()
		assert.EqualValues(t, 1000, p.checkpoint())
	})
}

// TestCheckpointAfterSlowWrite: the time that a checkpoint may wait begins with the first event that it passes, also if another
// is just being written.
func TestCheckpointAfterSlowWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		r := p.subscribe(store.SubscribeOptions{CheckpointAfter: 10 * time.Second})
		got, _ := next(t, r, 3)
		slow := takes(8 * time.Second)
		p.storage.guard(func(ctx context.Context, call string) error {
			if call != "SaveCheckpoint" {
				return nil
			}
			return slow(ctx, call)
		})
		require.NoError(t, r.Ack(t.Context(), got[0]))
		time.Sleep(11 * time.Second) // it is being written
		require.NoError(t, r.Ack(t.Context(), got[1]))
		time.Sleep(8 * time.Second) // it was
		p.storage.guard(nil)
		assert.EqualValues(t, 1, p.checkpoint())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 2, p.checkpoint())
	})
}
