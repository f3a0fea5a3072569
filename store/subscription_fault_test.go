package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// only is a gate that one kind of call does not pass.
func only(call string) func(ctx context.Context, c string) error {
	return func(_ context.Context, c string) error {
		if c == call {
			return errUnreachable
		}
		return nil
	}
}

// TestOutageLosesNothing: the database is away for longer than the lease, nobody takes over, and it comes back. What
// was being handled when the lease ran out, and what was in flight behind it, comes again.
func TestOutageLosesNothing(t *testing.T) {
	t.Parallel()
	consume := func(p *process, ctx context.Context, handle func(store.Recorded)) error {
		return p.Consume(ctx, "s", "reader", func(_ context.Context, e store.Recorded) error {
			handle(e)
			return nil
		}, nil)
	}
	for name, run := range map[string]func(p *process, ctx context.Context, handle func(store.Recorded)) error{
		"Consume": consume,
		"Events": func(p *process, ctx context.Context, handle func(store.Recorded)) error {
			for e, err := range p.subscribe(store.SubscribeOptions{}).Events(ctx) {
				if err != nil {
					return err
				}
				handle(e)
			}
			return nil
		},
		"Next": func(p *process, ctx context.Context, handle func(store.Recorded)) error {
			r := p.subscribe(store.SubscribeOptions{})
			for {
				events, err := r.Next(ctx)
				if errors.Is(err, store.ErrLeaseLost) {
					continue
				}
				if err != nil {
					return err
				}
				for _, e := range events {
					handle(e)
					if err := r.Ack(ctx, e); errors.Is(err, store.ErrLeaseLost) {
						break // drop what is in flight, as the documentation says
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), nil)
				p.append(5)
				ctx, cancel := context.WithCancel(t.Context())
				handled := map[int64]int{}
				done := make(chan error, 1)
				go func() {
					done <- run(p, ctx, func(e store.Recorded) {
						if handled[e.Number]++; e.Number == 2 && handled[2] == 1 {
							p.storage.guard(unreachable)
							time.Sleep(2 * store.DefaultLeaseTTL)
						}
					})
				}()
				time.Sleep(3 * store.DefaultLeaseTTL)
				p.storage.guard(nil)
				p.append(1)
				time.Sleep(3 * store.DefaultLeaseTTL)
				cancel()
				require.ErrorIs(t, <-done, context.Canceled)
				for n := int64(1); n <= 6; n++ {
					assert.NotZero(t, handled[n], "event %d", n)
				}
				assert.EqualValues(t, 6, p.checkpoint())
			})
		})
	}
}

// TestManyCheckpoints: more checkpoints are due than are written in one statement.
func TestManyCheckpoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(1)
		const total = 1100
		for i := range total {
			r, err := p.Subscribe(t.Context(), "s", fmt.Sprint(i), nil)
			require.NoError(t, err)
			got, _ := next(t, r, 1)
			require.NoError(t, r.Ack(t.Context(), got...))
		}
		time.Sleep(store.DefaultCheckpointAfter)
		synctest.Wait()
		list, err := p.storage.ListSubscriptions(t.Context())
		require.NoError(t, err)
		saved := 0
		for _, i := range list {
			saved += int(i.Checkpoint)
		}
		assert.Equal(t, total, saved)
		require.NoError(t, p.Close())
	})
}

// TestReleaseFails: a lease that could not be given up expires, although its process holds others.
func TestReleaseFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		p, other := newProcess(t, b, nil), newProcess(t, b, nil)
		p.append(3)
		r := p.subscribe(store.SubscribeOptions{})
		_, err := p.Subscribe(t.Context(), "s", "stays", nil)
		require.NoError(t, err)
		next(t, r, 3)
		waits := other.subscribe(store.SubscribeOptions{})
		p.storage.guard(only("ReleaseLease"))
		require.ErrorIs(t, r.Close(), errUnreachable)
		p.storage.guard(nil)
		time.Sleep(2 * store.DefaultLeaseTTL)
		synctest.Wait()
		require.Equal(t, store.Live, waits.State().Phase, "the other process has taken over")
		next(t, waits, 3)
	})
}

// TestCheckpointsWait: while the checkpoint of one subscription takes long, others whose checkpoint is due wait for their
// turn, and do nothing meanwhile.
func TestCheckpointsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), &store.Options{LeaseTTL: time.Hour})
		p.append(2)
		first := p.subscribe(store.SubscribeOptions{CheckpointThreshold: 1})
		second, err := p.Subscribe(t.Context(), "s", "second", nil)
		require.NoError(t, err)
		next(t, first, 2)
		next(t, second, 2)
		slow := takes(20 * time.Second)
		p.storage.guard(func(ctx context.Context, call string) error {
			if call != "SaveCheckpoint" {
				return nil
			}
			return slow(ctx, call)
		})
		require.NoError(t, first.AckNumber(t.Context(), 1))
		synctest.Wait()
		require.NoError(t, second.AckNumber(t.Context(), 1))
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Len(t, p.storage.at("SaveCheckpoint"), 2)
	})
}

// TestLeaseLostTwice: a handler that takes so long that the lease is lost twice meanwhile does no harm.
func TestLeaseLostTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		var handled []int64
		go func() {
			done <- p.Consume(ctx, "s", "reader", func(_ context.Context, e store.Recorded) error {
				if handled = append(handled, e.Number); len(handled) == 1 {
					time.Sleep(time.Minute)
				}
				return nil
			}, nil)
		}()
		for range 2 {
			time.Sleep(time.Second)
			require.NoError(t, p.ResetSubscription(ctx, "s", "reader", 0))
		}
		time.Sleep(2 * time.Minute)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		assert.Equal(t, []int64{1, 1, 2, 3}, handled)
	})
}

// TestCallbackAttempts: attempts count, and waits grow, for callbacks as for handlers.
func TestCallbackAttempts(t *testing.T) {
	t.Parallel()
	mapper := func(e store.Recorded) (store.Recorded, error) {
		if e.Number == 2 {
			return e, errUnreachable
		}
		return e, nil
	}
	for name, opts := range map[string]store.SubscribeOptions{
		"Selector":    {Selector: func(e store.Recorded) bool { _, err := mapper(e); return err == nil || panicked() }},
		"PartitionBy": {PartitionBy: func(e store.Recorded) string { _, err := mapper(e); _ = err == nil || panicked(); return "" }},
		"Mapper":      {Mapper: mapper},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), nil)
				p.append(3)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				var attempts, handled []int64
				var at []time.Time
				err := p.Consume(ctx, "s", "reader", func(_ context.Context, e store.Recorded) error {
					handled = append(handled, e.Number)
					return nil
				}, &store.ConsumeOptions{
					SubscribeOptions: opts,
					OnError: func(_ store.Recorded, _ error, attempt int) store.Decision {
						attempts, at = append(attempts, int64(attempt)), append(at, time.Now())
						if attempt == 12 {
							return store.Skip
						}
						return store.Retry
					},
				})
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, []int64{1, 3}, handled)
				assert.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, attempts)
				waits := gaps(at)
				assert.Greater(t, waits[10], 10*waits[0])
			})
		})
	}
}

func panicked() bool { panic(errUnreachable) }

// TestEventsGiveBackFailed: an event that a callback failed on is not acknowledged by those behind it when the loop begins
// again; the loop can leave it out.
func TestEventsGiveBackFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		r := p.subscribe(store.SubscribeOptions{Mapper: func(e store.Recorded) (store.Recorded, error) {
			if e.Number == 2 {
				return e, errUnreachable
			}
			return e, nil
		}})
		var got, failed []int64
		for len(got) < 2 {
			for e, err := range r.Events(t.Context()) {
				var callback *store.CallbackError
				if errors.As(err, &callback) {
					if failed = append(failed, callback.Event.Number); len(failed) == 3 {
						require.NoError(t, r.Ack(t.Context(), callback.Event))
					}
					break
				}
				require.NoError(t, err)
				if got = append(got, e.Number); e.Number == 3 {
					break
				}
			}
		}
		assert.Equal(t, []int64{2, 2, 2}, failed)
		assert.Equal(t, []int64{1, 3}, got)
	})
}

// TestCloseWakesAll: every call of Next ends when the subscriber does, however many there are.
func TestCloseWakesAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		r := p.subscribe(store.SubscribeOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		results := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := r.Next(ctx)
				results <- err
			}()
		}
		synctest.Wait()
		require.NoError(t, r.Close())
		for range 3 {
			assert.ErrorIs(t, <-results, store.ErrSubscriberClosed)
		}
	})
}

// TestDeleteThenSubscribe: a subscription that was deleted can be begun anew at once, though its subscribers are not
// closed.
func TestDeleteThenSubscribe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		r := p.subscribe(store.SubscribeOptions{})
		got, _ := next(t, r, 3)
		for range 20 {
			require.NoError(t, r.Ack(t.Context(), got...))
			require.NoError(t, p.DeleteSubscription(t.Context(), "s", "reader"))
			again := p.subscribe(store.SubscribeOptions{})
			_, err := r.Next(t.Context())
			for errors.Is(err, store.ErrLeaseLost) {
				_, err = r.Next(t.Context())
			}
			assert.ErrorIs(t, err, store.ErrSubscriptionNotFound)
			r = again
			got, _ = next(t, r, 3)
		}
	})
}

// TestDeleteEndsWaiting: a process that waits for the lease of a subscription does not create it again when it was deleted.
func TestDeleteEndsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		p, other := newProcess(t, b, nil), newProcess(t, b, nil)
		p.append(3)
		p.subscribe(store.SubscribeOptions{})
		waits := other.subscribe(store.SubscribeOptions{})
		require.NoError(t, p.DeleteSubscription(t.Context(), "s", "reader"))
		began := time.Now()
		_, err := waits.Next(t.Context())
		require.ErrorIs(t, err, store.ErrSubscriptionNotFound)
		assert.LessOrEqual(t, time.Since(began), store.DefaultLeaseTTL)
		list, err := p.Subscriptions(t.Context())
		require.NoError(t, err)
		assert.Empty(t, list)
	})
}

// TestAckAfterEnd: what is acknowledged after the last checkpoint was written is refused, for it does not count.
func TestAckAfterEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		r := p.subscribe(store.SubscribeOptions{})
		got, _ := next(t, r, 3)
		require.NoError(t, r.Ack(t.Context(), got[0]))
		release := takes(time.Second)
		p.storage.guard(func(ctx context.Context, call string) error {
			if call != "ReleaseLease" {
				return nil
			}
			return release(ctx, call)
		})
		ended := make(chan error, 1)
		go func() { ended <- p.Unsubscribe(t.Context(), "s", "reader") }()
		synctest.Wait()
		assert.ErrorIs(t, r.Ack(t.Context(), got[1]), store.ErrSubscriberClosed, "while the last checkpoint is being written")
		require.NoError(t, <-ended)
		assert.ErrorIs(t, r.Ack(t.Context(), got[2]), store.ErrSubscriberClosed)
		assert.EqualValues(t, 1, p.checkpoint())
	})
}

// TestHandlerExits: a handler that ends its goroutine, as FailNow does, ends that of Consume's caller.
func TestHandlerExits(t *testing.T) {
	t.Parallel()
	for _, handlers := range []int{1, 3} {
		t.Run(fmt.Sprint(handlers), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), nil)
				p.append(1)
				returned := true
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = p.Consume(t.Context(), "s", "reader", func(context.Context, store.Recorded) error {
						returned = false
						runtime.Goexit()
						return nil
					}, &store.ConsumeOptions{Handlers: handlers})
					returned = true
				}()
				<-done
				assert.False(t, returned)
				list, err := p.Subscriptions(t.Context())
				require.NoError(t, err)
				assert.False(t, list[0].Held)
			})
		})
	}
}

// TestStopOnForeignLease: a handler's error is its own, also if it says that another subscription has lost its lease.
func TestStopOnForeignLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		foreign := &store.SubscriptionError{Err: store.ErrLeaseLost}
		err := p.Consume(ctx, "s", "reader", func(_ context.Context, e store.Recorded) error {
			if e.Number == 1 {
				return foreign
			}
			return nil
		}, &store.ConsumeOptions{OnError: func(store.Recorded, error, int) store.Decision { return store.Stop }})
		require.ErrorIs(t, err, foreign)
		assert.EqualValues(t, 0, p.checkpoint())
	})
}

// TestLeaseLostIsNoFailure: OnError is not asked about what a handler says after its event was taken away.
func TestLeaseLostIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var handled []int64
		err := p.Consume(ctx, "s", "reader", func(ctx context.Context, e store.Recorded) error {
			if handled = append(handled, e.Number); len(handled) == 1 {
				require.NoError(t, p.ResetSubscription(ctx, "s", "reader", 0))
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, &store.ConsumeOptions{OnError: func(store.Recorded, error, int) store.Decision { return store.Stop }})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, []int64{1, 1, 2}, handled)
	})
}

// TestErrorNotNoted: an error that can't be noted keeps nobody from giving up the lease.
func TestErrorNotNoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(2)
		p.storage.guard(only("SaveError"))
		err := p.Consume(t.Context(), "s", "reader", func(_ context.Context, e store.Recorded) error {
			if e.Number == 2 {
				return errUnreachable
			}
			return nil
		}, &store.ConsumeOptions{OnError: func(store.Recorded, error, int) store.Decision { return store.Stop }})
		require.ErrorIs(t, err, errUnreachable)
		list, err := p.Subscriptions(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, 1, list[0].Checkpoint)
		assert.False(t, list[0].Held)
	})
}

// TestCloseWhileJoining: a Store that is closed while a subscription begins gives its lease up.
func TestCloseWhileJoining(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		p, other := newProcess(t, b, nil), newProcess(t, b, nil)
		p.storage.guard(func(ctx context.Context, call string) error {
			if call == "Head" { // that the feed begins with
				return takes(5*time.Second)(ctx, call)
			}
			return nil
		})
		go func() { _, _ = p.Subscribe(t.Context(), "s", "reader", nil) }()
		time.Sleep(time.Second)
		require.NoError(t, p.Close())
		r := other.subscribe(store.SubscribeOptions{})
		assert.Equal(t, store.Live.String(), r.State().Phase.String(), "the lease is free")
	})
}

// TestPositionLostIsNoted: why a subscription does not begin can be seen in the list.
func TestPositionLostIsNoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		_, err := b.AcquireLease(t.Context(), store.LeaseRequest{
			ID: store.SubscriptionID{Stream: store.All, Name: "reader"}, Owner: "before", TTL: time.Second, Create: true, Checkpoint: 7,
		})
		require.NoError(t, err)
		time.Sleep(time.Second)
		p := newProcess(t, b, nil)
		_, err = p.Subscribe(t.Context(), store.All, "reader", nil)
		require.ErrorIs(t, err, store.ErrPositionLost)
		list, err := p.Subscriptions(t.Context())
		require.NoError(t, err)
		assert.Contains(t, list[0].LastError, "events were lost")
		assert.False(t, list[0].Held)
	})
}

// TestStartAfterUnknown: a start is not taken for a good one because the database did not answer.
func TestStartAfterUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(2)
		p.storage.guard(only("ListSubscriptions"))
		r := p.subscribe(store.SubscribeOptions{Start: store.StartAfter(9)})
		assert.ErrorIs(t, r.State().Err, errUnreachable)
		p.storage.guard(nil)
		_, err := r.Next(t.Context())
		assert.ErrorIs(t, err, store.ErrInvalid)
	})
}

// TestCallbackExits: a callback that ends the subscription's goroutine, as FailNow does, ends the subscription.
func TestCallbackExits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		r := p.subscribe(store.SubscribeOptions{Selector: func(store.Recorded) bool {
			runtime.Goexit()
			return true
		}})
		p.append(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := r.Next(ctx)
		require.ErrorContains(t, err, "a callback has ended")
		assert.Equal(t, store.Stopped, r.State().Phase)
		require.NoError(t, p.Close())
	})
}

// waker is a Notifier whose hints the test gives.
type waker struct{ wake chan func() }

func (waker) Notify() {}

func (w waker) Listen(ctx context.Context, wake func()) error {
	w.wake <- wake
	<-ctx.Done()
	return ctx.Err()
}

// TestHintsOfEvents: a process that waits for a lease does not look for it as often as there are hints of events, and
// still finds it soon.
func TestHintsOfEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		w := waker{make(chan func(), 1)}
		p, other := newProcess(t, b, nil), newProcess(t, b, &store.Options{Notifier: w})
		r := p.subscribe(store.SubscribeOptions{RetryInterval: time.Minute})
		waits := other.subscribe(store.SubscribeOptions{RetryInterval: time.Minute})
		wake := <-w.wake
		for range 1000 {
			wake()
			time.Sleep(time.Millisecond)
		}
		assert.LessOrEqual(t, len(other.storage.at("FreeLeases")), 12, "looks in a second")
		require.NoError(t, r.Close())
		wake()
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		assert.Equal(t, store.Live, waits.State().Phase)
	})
}

// TestDatabaseGoesBack: a checkpoint that was written is gone, since a standby that lagged has taken over. The
// subscription goes on behind the one that is there.
func TestDatabaseGoesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(5)
		r := p.subscribe(store.SubscribeOptions{CheckpointThreshold: 1})
		got, _ := next(t, r, 5)
		require.NoError(t, r.Ack(t.Context(), got[3]))
		synctest.Wait()
		require.EqualValues(t, 4, p.checkpoint())
		p.storage.goBack(2)
		_, err := r.Next(t.Context())
		require.ErrorIs(t, err, store.ErrLeaseLost)
		got, _ = next(t, r, 3)
		assert.EqualValues(t, 3, got[0].Number)
		require.NoError(t, r.Ack(t.Context(), got...))
		synctest.Wait()
		nothing(t, r, time.Hour)
	})
}

// goBack makes the leases say that checkpoints are at number, until one is acquired.
func (s *timed) goBack(number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkpoint = number
}

// gone returns a lease as it is after goBack.
func (s *timed) gone(l store.Lease) store.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checkpoint > 0 {
		l.Checkpoint = s.checkpoint
	}
	return l
}

// TestStorm: one or two processes consume, with several handlers, while calls of the database fail and hang, for longer than
// the lease too, subscriptions are ended and begun again, and events are appended. Every event is handled, and none
// before those of its key that come before it.
func TestStorm(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { storm(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func storm(t *testing.T, random *rand.Rand) {
	const total, keys = 300, 7
	b := memory.New()
	var mu sync.Mutex
	chance := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	opts := store.ConsumeOptions{
		Handlers: 1 + chance(3), MinBackoff: time.Millisecond, MaxBackoff: time.Second,
		SubscribeOptions: store.SubscribeOptions{
			BufferSize: 1 + chance(20), MaxSize: 1 + chance(50), CheckpointThreshold: 1 + chance(30),
			PartitionBy: func(e store.Recorded) string { return fmt.Sprint(e.Number % keys) },
		},
	}
	handled := map[int64]bool{}
	handle := func(ctx context.Context, e store.Recorded) error {
		if ms := chance(3000); ms > 2700 {
			select {
			case <-time.After(time.Duration(ms) * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if chance(20) == 0 {
			return errUnreachable
		}
		mu.Lock()
		defer mu.Unlock()
		handled[e.Number] = true
		if e.Number > keys {
			assert.True(t, handled[e.Number-keys], "%d before %d", e.Number, e.Number-keys)
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var processes []*process
	for range 1 + chance(2) {
		p := newProcess(t, b, nil)
		processes = append(processes, p)
		wg.Go(func() {
			for ctx.Err() == nil {
				err := p.Consume(ctx, "s", "reader", handle, &opts)
				assert.True(t, errors.Is(err, store.ErrSubscriberClosed) || errors.Is(err, context.Canceled), "%v", err)
			}
		})
	}
	calm := newProcess(t, b, nil)
	for n := 0; n < total; {
		more := min(1+chance(20), total-n)
		n += more
		calm.append(more)
		p := processes[chance(len(processes))]
		switch chance(5) {
		case 0:
			p.storage.guard(nil)
		case 1:
			p.storage.guard(unreachable)
		case 2:
			p.storage.guard(func(ctx context.Context, call string) error {
				if chance(4) == 0 {
					return takes(time.Duration(chance(20_000))*time.Millisecond)(ctx, call)
				}
				return nil
			})
		case 3:
			p.storage.guard(func(context.Context, string) error {
				if chance(4) == 0 {
					return errUnreachable
				}
				return nil
			})
		case 4:
			_ = p.Unsubscribe(ctx, "s", "reader") // its last checkpoint may be lost
		}
		time.Sleep(time.Duration(chance(30_000)) * time.Millisecond)
	}
	for _, p := range processes {
		p.storage.guard(nil)
	}
	time.Sleep(time.Hour)
	mu.Lock()
	assert.Len(t, handled, total)
	mu.Unlock()
	assert.EqualValues(t, total, calm.checkpoint())
	cancel()
	wg.Wait()
}
