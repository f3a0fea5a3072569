package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

var errUnreachable = errors.New("the database can't be reached")

// timed is a storage in memory that notes when it is called, and whose calls have to pass a gate.
type timed struct {
	*memory.Backend

	mu    sync.Mutex
	calls map[string][]time.Time
	// checkpoint is what a lease says, if it is not 0.
	checkpoint int64
	gate       func(ctx context.Context, call string) error
}

func newTimed(b *memory.Backend) *timed {
	return &timed{Backend: b, calls: map[string][]time.Time{}}
}

func (s *timed) pass(ctx context.Context, call string) error {
	s.mu.Lock()
	s.calls[call] = append(s.calls[call], time.Now())
	gate := s.gate
	s.mu.Unlock()
	if gate == nil {
		return nil
	}
	return gate(ctx, call)
}

// guard sets the gate.
func (s *timed) guard(gate func(ctx context.Context, call string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = gate
}

// at returns when a call was made.
func (s *timed) at(call string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.calls[call]...)
}

// unreachable is a gate that nothing passes.
func unreachable(context.Context, string) error { return errUnreachable }

// takes returns a gate at which every call waits, or its context ends.
func takes(d time.Duration) func(ctx context.Context, call string) error {
	return func(ctx context.Context, _ string) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *timed) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
	if err := s.pass(ctx, "ReadFiltered"); err != nil {
		return nil, r.From, err
	}
	return s.Backend.ReadFiltered(ctx, r, f)
}

func (s *timed) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	if err := s.pass(ctx, "ReadStream"); err != nil {
		return store.StreamPart{}, err
	}
	return s.Backend.ReadStream(ctx, r)
}

func (s *timed) StreamVersions(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
	if err := s.pass(ctx, "StreamVersions"); err != nil {
		return nil, err
	}
	return s.Backend.StreamVersions(ctx, streams)
}

func (s *timed) Head(ctx context.Context) (int64, error) {
	if err := s.pass(ctx, "Head"); err != nil {
		return 0, err
	}
	return s.Backend.Head(ctx)
}

func (s *timed) ListSubscriptions(ctx context.Context) ([]store.SubscriptionInfo, error) {
	if err := s.pass(ctx, "ListSubscriptions"); err != nil {
		return nil, err
	}
	return s.Backend.ListSubscriptions(ctx)
}

func (s *timed) AcquireLease(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
	if err := s.pass(ctx, "AcquireLease"); err != nil {
		return store.Lease{}, err
	}
	l, err := s.Backend.AcquireLease(ctx, r)
	l = s.gone(l)
	s.goBack(0)
	return l, err
}

func (s *timed) RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
	if err := s.pass(ctx, "RenewLeases"); err != nil {
		return nil, err
	}
	list, err := s.Backend.RenewLeases(ctx, owner, ttl)
	for i, l := range list {
		list[i] = s.gone(l)
	}
	return list, err
}

func (s *timed) FreeLeases(ctx context.Context) ([]store.SubscriptionID, error) {
	if err := s.pass(ctx, "FreeLeases"); err != nil {
		return nil, err
	}
	return s.Backend.FreeLeases(ctx)
}

func (s *timed) SaveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	if err := s.pass(ctx, "SaveCheckpoint"); err != nil {
		return err
	}
	return s.Backend.SaveCheckpoint(ctx, r)
}

func (s *timed) SaveError(ctx context.Context, id store.SubscriptionID, epoch int64, text string, number int64) error {
	if err := s.pass(ctx, "SaveError"); err != nil {
		return err
	}
	return s.Backend.SaveError(ctx, id, epoch, text, number)
}

func (s *timed) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	if err := s.pass(ctx, "ReleaseLease"); err != nil {
		return err
	}
	return s.Backend.ReleaseLease(ctx, r)
}

// process is a Store, as one process of several on the same events.
type process struct {
	*store.Store
	t       *testing.T
	storage *timed
}

func newProcess(t *testing.T, b *memory.Backend, opts *store.Options) *process {
	s := newTimed(b)
	p := &process{store.New(s, opts), t, s}
	t.Cleanup(func() { _ = p.Close() }) // it may be cut off
	return p
}

func (p *process) append(n int) {
	p.t.Helper()
	events := make([]store.Event, n)
	for i := range events {
		events[i].Type = "happened"
	}
	_, err := p.Append(p.t.Context(), "s", store.Any, events...)
	require.NoError(p.t, err)
}

func (p *process) subscribe(opts store.SubscribeOptions) *store.Subscriber {
	p.t.Helper()
	r, err := p.Subscribe(p.t.Context(), "s", "reader", &opts)
	require.NoError(p.t, err)
	return r
}

// checkpoint returns what the storage has, whoever asks.
func (p *process) checkpoint() int64 {
	p.t.Helper()
	list, err := p.storage.Backend.ListSubscriptions(p.t.Context())
	require.NoError(p.t, err)
	require.Len(p.t, list, 1)
	return list[0].Checkpoint
}

// next takes n events, and returns their numbers and how long that took.
func next(t *testing.T, r *store.Subscriber, n int) (got []store.Recorded, took time.Duration) {
	t.Helper()
	began := time.Now()
	for len(got) < n {
		events, err := r.Next(t.Context())
		require.NoError(t, err)
		got = append(got, events...)
	}
	require.Len(t, got, n)
	return got, time.Since(began)
}

// nothing checks that nothing comes for a while.
func nothing(t *testing.T, r *store.Subscriber, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	_, err := r.Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// gaps returns the times between calls.
func gaps(at []time.Time) (list []time.Duration) {
	for i := 1; i < len(at); i++ {
		list = append(list, at[i].Sub(at[i-1]))
	}
	return list
}

func TestCheckpointAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(5)
		r := p.subscribe(store.SubscribeOptions{CheckpointAfter: 5 * time.Second})
		got, _ := next(t, r, 5)
		require.NoError(t, r.Ack(t.Context(), got[0]))
		time.Sleep(4 * time.Second)
		require.NoError(t, r.Ack(t.Context(), got[1])) // does not put it off
		assert.EqualValues(t, 0, p.checkpoint())
		time.Sleep(time.Second)
		synctest.Wait()
		assert.EqualValues(t, 2, p.checkpoint())
		time.Sleep(time.Hour)
		assert.Len(t, p.storage.at("SaveCheckpoint"), 1, "nothing is written while nothing is acknowledged")
		require.NoError(t, r.Ack(t.Context(), got[4]))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 5, p.checkpoint())
	})
}

// TestCheckpointBehindOpen: a checkpoint that can't come forward is not written again and again.
func TestCheckpointBehindOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(5)
		opts := store.SubscribeOptions{ConcurrencyLimit: 2, BufferSize: 1}
		slow, quick := p.subscribe(opts), p.subscribe(opts)
		next(t, slow, 1)
		for range 4 {
			got, _ := next(t, quick, 1)
			require.NoError(t, quick.Ack(t.Context(), got...))
			time.Sleep(time.Minute)
		}
		assert.Empty(t, p.storage.at("SaveCheckpoint"))
		require.NoError(t, slow.AckNumber(t.Context(), 1))
		time.Sleep(store.DefaultCheckpointAfter)
		synctest.Wait()
		assert.EqualValues(t, 5, p.checkpoint())
		assert.Len(t, p.storage.at("SaveCheckpoint"), 1)
	})
}

func TestTakeoverTimes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end         func(p *process, r *store.Subscriber) error
		least, most time.Duration
	}{
		"crash": {
			end:   func(p *process, _ *store.Subscriber) error { p.storage.guard(unreachable); return nil },
			least: 10 * time.Second, most: 16 * time.Second, // after the last renewal, and the next look
		},
		"close": {end: func(_ *process, r *store.Subscriber) error { return r.Close() }, most: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := memory.New()
				p, other := newProcess(t, b, nil), newProcess(t, b, nil)
				p.append(3)
				r := p.subscribe(store.SubscribeOptions{})
				got, _ := next(t, r, 3)
				require.NoError(t, r.Ack(t.Context(), got[0]))
				waits := other.subscribe(store.SubscribeOptions{})
				nothing(t, waits, time.Hour) // as long as the owner lives
				assert.EqualValues(t, 1, p.checkpoint())
				require.NoError(t, c.end(p, r))
				got, took := next(t, waits, 2)
				assert.EqualValues(t, 2, got[0].Number)
				assert.GreaterOrEqual(t, took, c.least)
				assert.LessOrEqual(t, took, c.most)
			})
		})
	}
}

// TestPausedOwner: the calls of an owner hang for longer than its lease, as those of a process that is stopped. What it
// does when it goes on is fenced off.
func TestPausedOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		p, other := newProcess(t, b, nil), newProcess(t, b, nil)
		p.append(4)
		r := p.subscribe(store.SubscribeOptions{Timeout: time.Hour, CheckpointThreshold: 1})
		got, _ := next(t, r, 4)
		require.NoError(t, r.Ack(t.Context(), got[0]))
		synctest.Wait()
		waits := other.subscribe(store.SubscribeOptions{CheckpointThreshold: 1})
		goOn := make(chan struct{})
		p.storage.guard(func(context.Context, string) error {
			<-goOn
			return nil
		})
		require.NoError(t, r.Ack(t.Context(), got[1]), "the write of this one hangs")
		theirs, _ := next(t, waits, 3)
		assert.EqualValues(t, 2, theirs[0].Number)
		require.NoError(t, waits.Ack(t.Context(), theirs[0]))
		synctest.Wait()
		assert.EqualValues(t, 2, other.checkpoint())
		assert.ErrorIs(t, r.Ack(t.Context(), got[3]), store.ErrLeaseLost, "its own clock tells it, before the database does")
		nothing(t, r, time.Second)

		close(goOn)
		_, err := r.Next(t.Context())
		require.ErrorIs(t, err, store.ErrLeaseLost)
		assert.ErrorIs(t, r.Ack(t.Context(), got[3]), store.ErrLeaseLost)
		time.Sleep(time.Minute)
		assert.EqualValues(t, 2, other.checkpoint(), "nothing was written by the old owner")
		assert.Equal(t, store.Waiting, r.State().Phase)
		require.NoError(t, waits.Ack(t.Context(), theirs[1]))
		require.NoError(t, waits.Close())
		got, took := next(t, r, 1)
		assert.EqualValues(t, 4, got[0].Number)
		assert.LessOrEqual(t, took, time.Second)
	})
}

// TestLeaseNotRenewed: an owner that can't renew its lease stops when it has run out, and goes on with what it had if
// nobody has taken it.
func TestLeaseNotRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		r := p.subscribe(store.SubscribeOptions{BufferSize: 1})
		got, _ := next(t, r, 1)
		began := time.Now()
		p.storage.guard(func(_ context.Context, call string) error {
			if call == "RenewLeases" {
				return errUnreachable
			}
			return nil
		})
		time.Sleep(store.DefaultLeaseTTL - time.Second)
		require.NoError(t, r.Ack(t.Context(), got...), "the lease still holds")
		got, _ = next(t, r, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.ErrorIs(t, r.Ack(t.Context(), got...), store.ErrLeaseLost, "nobody knows who has it now")
		assert.Equal(t, store.Waiting, r.State().Phase)
		assert.Len(t, p.storage.at("RenewLeases"), int(time.Since(began)/(store.DefaultLeaseTTL/3)), "three times in the lease time")
		p.storage.guard(nil)
		time.Sleep(store.DefaultLeaseTTL)
		synctest.Wait()
		assert.Equal(t, store.Live, r.State().Phase)
		assert.ErrorIs(t, r.Ack(t.Context(), got...), store.ErrLeaseLost, "it is void since then")
		for _, number := range []int64{2, 3} {
			got, _ = next(t, r, 1)
			assert.EqualValues(t, number, got[0].Number)
			require.NoError(t, r.Ack(t.Context(), got...))
		}
	})
}

func TestRetryInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(2)
		p.storage.guard(unreachable)
		opts := store.SubscribeOptions{RetryInterval: 3 * time.Second, ConcurrencyLimit: 5}
		var list []*store.Subscriber
		for range 5 {
			list = append(list, p.subscribe(opts))
		}
		for range 30 {
			p.Committed() // hints do not make it try more often
			time.Sleep(time.Second)
		}
		synctest.Wait()
		attempts := p.storage.at("StreamVersions")
		assert.Len(t, attempts, 11, "in 30 seconds, whatever the number of subscribers")
		for _, gap := range gaps(attempts) {
			assert.Equal(t, opts.RetryInterval, gap)
		}
		assert.ErrorIs(t, list[0].State().Err, errUnreachable)
		p.storage.guard(nil)
		_, took := next(t, list[0], 2)
		assert.LessOrEqual(t, took, opts.RetryInterval)
	})
}

func TestRetryIntervalOfReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(2)
		p.storage.guard(func(_ context.Context, call string) error {
			if call == "ReadStream" {
				return errUnreachable
			}
			return nil
		})
		r := p.subscribe(store.SubscribeOptions{RetryInterval: 3 * time.Second})
		for range 30 {
			p.append(1)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		for _, gap := range gaps(p.storage.at("ReadStream")) {
			assert.GreaterOrEqual(t, gap, 3*time.Second)
		}
		assert.Equal(t, store.Waiting, r.State().Phase)
		p.storage.guard(nil)
		got, took := next(t, r, 32)
		assert.EqualValues(t, 1, got[0].Number)
		assert.LessOrEqual(t, took, 3*time.Second)
	})
}

// TestPolling: an idle feed looks at growing intervals, up to the poll interval, and again soon after it found something.
func TestPolling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		p, other := newProcess(t, b, &store.Options{PollInterval: 4 * time.Second}), newProcess(t, b, nil)
		r := p.subscribe(store.SubscribeOptions{})
		time.Sleep(time.Minute)
		synctest.Wait()
		at := p.storage.at("ReadFiltered")
		intervals := gaps(at)
		for i := 1; i < len(intervals); i++ {
			require.GreaterOrEqual(t, intervals[i], intervals[i-1], "they grow")
		}
		assert.Equal(t, 4*time.Second, intervals[len(intervals)-1])
		assert.Less(t, len(at), 25, "looks in an idle minute")

		for range 3 {
			other.append(1)
			_, took := next(t, r, 1)
			assert.LessOrEqual(t, took, 4*time.Second)
			other.append(1)
			_, took = next(t, r, 1)
			assert.LessOrEqual(t, took, 10*time.Millisecond, "more is likely to come")
			time.Sleep(time.Minute)
		}
	})
}

// TestHintsInProcess: what this process commits is delivered at once, whatever the poll interval.
func TestHintsInProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), &store.Options{PollInterval: time.Hour})
		r := p.subscribe(store.SubscribeOptions{})
		w, err := p.Watch(t.Context(), store.All, nil)
		require.NoError(t, err)
		time.Sleep(24 * time.Hour)
		for range 10 {
			began := time.Now()
			p.append(1)
			_, took := next(t, r, 1)
			assert.Zero(t, took)
			_, err = w.Next(t.Context())
			require.NoError(t, err)
			assert.Zero(t, time.Since(began))
			time.Sleep(time.Hour)
		}
	})
}

// TestSlowStorage: what a try needs all together may take as long as Timeout.
func TestSlowStorage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), &store.Options{LeaseTTL: time.Hour})
		p.append(3)
		p.storage.guard(takes(5 * time.Second))
		r := p.subscribe(store.SubscribeOptions{})
		got, _ := next(t, r, 3)
		began := time.Now()
		require.NoError(t, r.Ack(t.Context(), got[1]))
		assert.Zero(t, time.Since(began), "an acknowledgement does not wait for the database")
		require.NoError(t, r.Close())
		assert.EqualValues(t, 2, p.checkpoint())
	})
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		p.storage.guard(takes(time.Hour))
		began := time.Now()
		r := p.subscribe(store.SubscribeOptions{Timeout: 7 * time.Second})
		assert.Equal(t, 7*time.Second, time.Since(began))
		assert.Equal(t, store.Waiting, r.State().Phase)
		assert.ErrorIs(t, r.State().Err, context.DeadlineExceeded)
		p.storage.guard(nil)
		next(t, r, 3)
	})
}

// TestBackoff: the wait before an event is handled again grows to its bound.
func TestBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(2)
		ctx, cancel := context.WithCancel(t.Context())
		var at []time.Time
		err := p.Consume(ctx, "s", "reader", func(context.Context, store.Recorded) error {
			if at = append(at, time.Now()); len(at) == 20 {
				cancel()
			}
			return errUnreachable
		}, &store.ConsumeOptions{MinBackoff: time.Second, MaxBackoff: 10 * time.Second})
		require.ErrorIs(t, err, context.Canceled)
		waits := gaps(at)
		assert.GreaterOrEqual(t, waits[0], 500*time.Millisecond)
		assert.LessOrEqual(t, waits[0], 1500*time.Millisecond)
		for _, w := range waits[10:] {
			assert.GreaterOrEqual(t, w, 5*time.Second)
			assert.LessOrEqual(t, w, 15*time.Second)
		}
		assert.EqualValues(t, 0, p.checkpoint())
	})
}

func TestPhase(t *testing.T) {
	t.Parallel()
	require.Equal(t, "stopped", store.Stopped.String())
	require.Equal(t, "phase 9", store.Phase(9).String())
	require.Equal(t, "phase -1", store.Phase(-1).String())
}
