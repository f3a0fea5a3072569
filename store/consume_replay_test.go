package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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

// slowLook takes a second to look at what is parked while slow is set, and fails while broken is.
type slowLook struct {
	*memory.Backend
	slow, broken atomic.Bool
}

func (s *slowLook) LookParked(ctx context.Context, id store.SubscriptionID, known int64) (int64, []string, error) {
	if s.slow.Load() {
		time.Sleep(time.Second)
	}
	if s.broken.Load() {
		return 0, nil, errUnreachable
	}
	return s.Backend.LookParked(ctx, id, known)
}

func newSlowLook(t *testing.T, opts *store.Options) (*slowLook, *process) {
	b := &slowLook{Backend: memory.New()}
	p := &process{store.New(b, opts), t, nil}
	t.Cleanup(func() { _ = p.Close() })
	return b, p
}

// takeOver has another process take the lease, and leave it again.
func (p *process) takeOver(b *memory.Backend) {
	p.t.Helper()
	i := p.info()
	_, err := b.AcquireLease(p.t.Context(), store.LeaseRequest{ID: i.SubscriptionID, Owner: i.Owner, TTL: time.Minute})
	require.NoError(p.t, err)
}

// TestReplayOfOldLease: a replay that ends after its lease was lost changes nothing of what is known of parked keys under the new one: an
// event whose key is being looked up comes behind those that are parked.
func TestReplayOfOldLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newSlowLook(t, nil)
		p.appendTypes("K", "K", "K")
		var calls callLog
		var poison, hold atomic.Bool
		poison.Store(true)
		replayed, go4 := make(chan struct{}), make(chan struct{})
		var asked4 atomic.Int64
		end := p.startConsume(func(_ context.Context, e store.Recorded) error {
			calls.add("%d", e.Number)
			if e.Number == 1 && poison.Load() {
				return errPoison
			}
			if e.Number == 1 && hold.CompareAndSwap(true, false) {
				<-replayed // it does not look at its context
			}
			return nil
		}, &store.ConsumeOptions{
			Handlers: 2, OnError: store.RetryThen(1, store.Park),
			SubscribeOptions: store.SubscribeOptions{PartitionBy: func(e store.Recorded) string {
				if e.Number == 4 && asked4.Add(1) == 2 {
					<-go4 // a PartitionBy that takes a while
				}
				return e.Type
			}},
		})
		time.Sleep(time.Minute)
		require.Equal(t, []string{"1"}, calls.take())
		require.Equal(t, []string{"1 after 1", "(2)", "(3)"}, p.parked())
		poison.Store(false)
		hold.Store(true)
		p.replayParked(1)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"1"}, calls.take(), "being replayed")
		p.takeOver(b.Backend)
		time.Sleep(time.Minute)
		calls.take() // under the new lease the other handler may have replayed them
		p.appendTypes("K")
		time.Sleep(time.Minute)
		b.slow.Store(true)
		close(replayed) // what it did is void
		synctest.Wait()
		close(go4)
		time.Sleep(time.Minute)
		last := calls.take()
		require.Equal(t, "4", last[len(last)-1], "events of a key come in order: %v", last)
		require.Empty(t, p.parked())
		require.ErrorIs(t, end(), context.Canceled)
	})
}

// TestIdleHandlerReplays: a handler that fell asleep while nothing was parked replays what another has parked since, while that is busy.
func TestIdleHandlerReplays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		var calls callLog
		var mended atomic.Bool
		end := p.startConsume(func(_ context.Context, e store.Recorded) error {
			switch {
			case e.Type == "K" && !mended.Load():
				time.Sleep(10 * time.Second)
				return errPoison
			case e.Type == "slow":
				time.Sleep(time.Hour)
			}
			calls.add("%s", e.Type)
			return nil
		}, &store.ConsumeOptions{
			Handlers: 2, OnError: store.RetryThen(1, store.Park), SubscribeOptions: store.SubscribeOptions{PartitionBy: byType},
		})
		p.appendTypes("K")
		time.Sleep(5 * time.Second)
		p.appendTypes("quick")
		time.Sleep(time.Minute)
		require.Equal(t, []string{"1 after 1"}, p.parked())
		require.Equal(t, []string{"quick"}, calls.take())
		p.appendTypes("slow")
		time.Sleep(time.Second)
		mended.Store(true)
		p.replayParked(1)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"K"}, calls.take())
		require.ErrorIs(t, end(), context.Canceled)
	})
}

// TestReplaysSideBySide: a replayed event that takes long, or is retried, delays no other key while a handler is idle. A key that is
// being replayed goes on with the handler that has it.
func TestReplaysSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.appendTypes("K1", "K2", "K3", "K1", "K2", "K3")
		var calls callLog
		var again atomic.Bool
		end := p.startConsume(func(_ context.Context, e store.Recorded) error {
			if !again.Load() {
				return errPoison
			}
			if e.Number == 1 {
				time.Sleep(time.Hour)
			}
			calls.add("%d", e.Number)
			if e.Number == 2 {
				return errPoison
			}
			return nil
		}, &store.ConsumeOptions{
			Handlers: 2, MinBackoff: time.Minute, MaxBackoff: time.Minute, SubscribeOptions: store.SubscribeOptions{PartitionBy: byType},
			OnError: func(store.Recorded, error, int) store.Decision {
				if again.Load() {
					return store.Retry
				}
				return store.Park
			},
		})
		time.Sleep(time.Minute)
		require.Len(t, p.parked(), 6)
		again.Store(true)
		p.replayParked(1, 2, 3)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"2", "3", "6"}, calls.take(), "2 is to be retried")
		p.appendTypes("K3", "K1")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"7"}, calls.take())
		time.Sleep(10 * time.Minute)
		require.Subset(t, []string{"2"}, calls.take(), "the retry is due")
		require.Equal(t, []string{"(1)", "(2)", "(4)", "(5)", "(8)"}, p.parked())
		time.Sleep(time.Hour)
		require.Equal(t, []string{"1", "4", "8"}, drop(calls.take(), "2"))
		require.Equal(t, []string{"(2)", "(5)"}, p.parked())
		require.ErrorIs(t, end(), context.Canceled)
	})
}

// drop returns a list without one of its values.
func drop(list []string, value string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == value })
}

// TestParkedCannotBeRead: while what is parked can't be read, that is the subscription's last error, and is logged; when it can, also under
// another lease, the error is over.
func TestParkedCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, over := range map[string]func(p *process, b *slowLook){
		"the same lease": func(*process, *slowLook) {},
		"another lease":  func(p *process, b *slowLook) { p.takeOver(b.Backend) },
	} {
		for _, parked := range []bool{false, true} { // before the first load, or after it
			t.Run(fmt.Sprint(name, ", parked: ", parked), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					log := &lineCount{}
					b, p := newSlowLook(t, &store.Options{Logger: slog.New(log)})
					b.broken.Store(!parked)
					h := &patient{}
					h.set(errPoison, 1)
					opts := h.options(store.ConsumeOptions{})
					opts.OnError = store.RetryThen(1, store.Park)
					end := p.startConsume(h.handle, opts)
					if parked {
						p.append(1)
						time.Sleep(time.Minute)
						require.Equal(t, []string{"1 after 1"}, p.parked())
						b.broken.Store(true)
						p.replayParked(1)
					}
					log.n.Store(0)
					time.Sleep(time.Hour)
					text, number := p.lastError()
					assert.Equal(t, errUnreachable.Error(), text)
					assert.Zero(t, number)
					assert.NotZero(t, log.n.Load(), "lines")
					over(p, b)
					b.broken.Store(false)
					time.Sleep(time.Hour)
					text, number = p.lastError()
					assert.Empty(t, text, number)
					require.ErrorIs(t, end(), context.Canceled)
				})
			})
		}
	}
}

// lineCount counts the lines of a log.
type lineCount struct{ n atomic.Int64 }

func (l *lineCount) Enabled(context.Context, slog.Level) bool  { return true }
func (l *lineCount) Handle(context.Context, slog.Record) error { l.n.Add(1); return nil }
func (l *lineCount) WithAttrs([]slog.Attr) slog.Handler        { return l }
func (l *lineCount) WithGroup(string) slog.Handler             { return l }

// TestReplayAsksSelector: an event that was parked since the Selector failed is left out when it is replayed, if the Selector leaves it out
// then. If the Selector fails again, OnError decides again.
func TestReplayAsksSelector(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.appendTypes("A", "X", "A")
		var works atomic.Bool
		var calls callLog
		end := p.startConsume(func(_ context.Context, e store.Recorded) error {
			calls.add("%s", e.Type)
			return nil
		}, &store.ConsumeOptions{OnError: store.RetryThen(1, store.Park), SubscribeOptions: store.SubscribeOptions{
			PartitionBy: byType,
			Selector: func(e store.Recorded) bool {
				if e.Type == "X" && !works.Load() {
					panic("a bug")
				}
				return e.Type == "A"
			},
		}})
		time.Sleep(time.Hour)
		require.Equal(t, []string{"A", "A"}, calls.take())
		require.Equal(t, []string{"2 after 1"}, p.parked())
		p.replayParked(2)
		time.Sleep(time.Hour)
		require.Equal(t, []string{"2 after 2"}, p.parked())
		works.Store(true)
		p.replayParked(2)
		time.Sleep(time.Hour)
		assert.Empty(t, calls.take())
		assert.Empty(t, p.parked())
		text, _ := p.lastError()
		assert.Empty(t, text)
		require.ErrorIs(t, end(), context.Canceled)
	})
}
