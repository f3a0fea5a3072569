package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
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

// history is what is done to a primary, and replayed step by step by its replicas.
type history struct {
	t     *testing.T
	steps []func(es *store.Store) error
}

// events adds n steps, each of which appends an event to a stream.
func (h *history) events(stream string, n int) {
	for range n {
		e := store.Event{ID: uuid.New(), Type: "t", Data: len(h.steps)}
		h.steps = append(h.steps, func(es *store.Store) error {
			_, err := es.Append(h.t.Context(), stream, store.Any, e)
			return err
		})
	}
}

func (h *history) hardDelete(stream string) {
	h.steps = append(h.steps, func(es *store.Store) error { return es.Delete(h.t.Context(), stream, store.Any, store.HardDelete) })
}

// copied is a database that has replayed a part of a history.
type copied struct {
	*memory.Backend
	h  *history
	at int // steps
}

func (h *history) copied(steps int) *copied {
	c := &copied{Backend: memory.New(), h: h}
	c.replay(steps)
	return c
}

// replay goes on to a step.
func (c *copied) replay(to int) {
	c.h.t.Helper()
	es := store.New(c.Backend, &store.Options{HardDelete: true})
	for ; c.at < to; c.at++ {
		require.NoError(c.h.t, c.h.steps[c.at](es))
	}
}

// replicas is an address behind which several replicas may be: each call is answered by one of them.
type replicas struct {
	*memory.Backend // what is not read
	pick            atomic.Pointer[func() *copied]
	down            atomic.Bool
}

func (r *replicas) show(c ...*copied) {
	pick := func() *copied { return c[rand.IntN(len(c))] }
	r.pick.Store(&pick)
}

// ask asks one of them.
func ask[T any](r *replicas, f func(b *memory.Backend) (T, error)) (T, error) {
	if r.down.Load() {
		var none T
		return none, fmt.Errorf("%w: unreachable", store.ErrReplica)
	}
	return f((*r.pick.Load())().Backend)
}

func (r *replicas) ReadAll(ctx context.Context, q store.ReadRequest) (store.Part, error) {
	return ask(r, func(b *memory.Backend) (store.Part, error) { return b.ReadAll(ctx, q) })
}

func (r *replicas) ReadStream(ctx context.Context, q store.ReadRequest) (store.StreamPart, error) {
	return ask(r, func(b *memory.Backend) (store.StreamPart, error) { return b.ReadStream(ctx, q) })
}

func (r *replicas) ReadFiltered(ctx context.Context, q store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64, err error) {
	next = q.From
	page, err = ask(r, func(b *memory.Backend) (page []store.Recorded, err error) {
		page, next, err = b.ReadFiltered(ctx, q, f)
		return page, err
	})
	return page, next, err
}

func (r *replicas) Head(ctx context.Context) (int64, error) {
	return ask(r, func(b *memory.Backend) (int64, error) { return b.Head(ctx) })
}

func (r *replicas) StreamInfo(ctx context.Context, stream string) (store.StreamInfo, error) {
	return ask(r, func(b *memory.Backend) (store.StreamInfo, error) { return b.StreamInfo(ctx, stream) })
}

func (r *replicas) ReadEvent(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
	return ask(r, func(b *memory.Backend) (store.Recorded, error) { return b.ReadEvent(ctx, id) })
}

// replicated is a primary with replicas.
type replicated struct {
	store.Storage
	store.SubscriptionStorage
	reads *replicas
}

func (r *replicated) Replica() store.Storage { return r.reads }

// polled is a replicated storage that is a Poller.
type polled struct{ *replicated }

func (p polled) PollKey() any { return p.replicated }
func (p polled) Poll(ctx context.Context, position int64) (head int64, at uuid.UUID, err error) {
	if head, err = p.Head(ctx); err != nil || position == 0 {
		return head, at, err
	}
	page, _, err := p.ReadFiltered(ctx, store.ReadRequest{Stream: store.All, From: position, Limit: 1}, store.EventFilter{})
	if err == nil && len(page) > 0 && page[0].Number == position {
		at = page[0].ID
	}
	return head, at, err
}

// over returns a primary with replicas.
func over(primary interface {
	store.Storage
	store.SubscriptionStorage
}, c ...*copied) *replicated {
	reads := &replicas{Backend: memory.New()}
	reads.show(c...)
	return &replicated{primary, primary, reads}
}

// eachStorage runs a test with and without a Poller, on All and on a stream.
func eachStorage(t *testing.T, run func(t *testing.T, stream string, storage func(r *replicated) store.Storage)) {
	t.Helper()
	for _, stream := range []string{store.All, "s"} {
		for _, polls := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/polls=%v", stream, polls), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					run(t, stream, func(r *replicated) store.Storage {
						if polls {
							return polled{r}
						}
						return r
					})
				})
			})
		}
	}
}

// replicaConsumer is a program that consumes a stream.
type replicaConsumer struct {
	t     *testing.T
	es    *store.Store
	stop  context.CancelFunc
	ended chan error

	mu    sync.Mutex
	seen  []int64     // numbers
	ids   []uuid.UUID // of the same events
	state store.SubscriptionState
}

func consumeFrom(t *testing.T, s store.Storage, stream string) *replicaConsumer {
	t.Helper()
	return consumeSlowly(t, s, stream, 0, 0)
}

// consumeSlowly queues so many events at most, and takes a while for each.
func consumeSlowly(t *testing.T, s store.Storage, stream string, queued int, each time.Duration) *replicaConsumer {
	t.Helper()
	c := &replicaConsumer{t: t, es: store.New(s, &store.Options{Logger: slog.New(slog.DiscardHandler)}), ended: make(chan error, 1)}
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	go func() {
		c.ended <- c.es.Consume(ctx, stream, "reader", func(_ context.Context, e store.Recorded) error {
			c.mu.Lock()
			c.seen, c.ids = append(c.seen, e.Number), append(c.ids, e.ID)
			c.mu.Unlock()
			time.Sleep(each)
			return nil
		}, &store.ConsumeOptions{SubscribeOptions: store.SubscribeOptions{CheckpointThreshold: 1, MaxSize: queued, OnState: func(s store.SubscriptionState) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.state = s
		}}})
	}()
	t.Cleanup(stop)
	return c
}

// settle lets time pass until nothing more happens.
func settle() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

// close ends the program in good order.
func (c *replicaConsumer) close() {
	c.t.Helper()
	c.stop()
	require.ErrorIs(c.t, <-c.ended, context.Canceled)
	require.NoError(c.t, c.es.Close())
}

// has checks what was handled, each number once and in order, and the checkpoint.
func (c *replicaConsumer) has(from, to int64) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var want []int64
	for n := from; n <= to; n++ {
		want = append(want, n)
	}
	require.Equal(c.t, want, c.seen)
	list, err := c.es.Subscriptions(c.t.Context())
	require.NoError(c.t, err)
	require.Equal(c.t, to, list[0].Checkpoint)
}

func (c *replicaConsumer) stateNow() store.SubscriptionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// TestReadsLag: plain reads show what the replica has, and Primary everything. A reader that has seen more than the replica shows is not
// told that events were lost, unless the primary does not have them either.
func TestReadsLag(t *testing.T) {
	t.Parallel()
	h := &history{t: t}
	h.events("s", 6)
	h.events("late", 4)
	primary, replica := h.copied(10), h.copied(4)
	es := store.New(over(primary, replica), nil)
	defer es.Close() //nolint:errcheck // it has no leases
	ctx := t.Context()
	count := func(es *store.Store, stream string, opts *store.ReadOptions) (n int) {
		t.Helper()
		for _, err := range es.Stream(ctx, stream, opts) {
			require.NoError(t, err)
			n++
		}
		return n
	}
	assert.Equal(t, 4, count(es, store.All, nil))
	assert.Equal(t, 10, count(es.Primary(), store.All, nil))
	assert.Equal(t, 4, count(es, "s", nil))
	assert.Equal(t, 6, count(es.Primary(), "s", nil))
	head, err := es.Head(ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 4, head)
	_, err = es.StreamInfo(ctx, "late")
	require.ErrorIs(t, err, store.ErrStreamNotFound)
	info, err := es.Primary().StreamInfo(ctx, "late")
	require.NoError(t, err)

	for _, stream := range []string{store.All, "s"} {
		var seen store.Seen
		opts := &store.ReadOptions{After: 5}
		if stream != store.All {
			opts.Seen = &seen
		}
		assert.Zero(t, count(es, stream, opts), "nothing is there behind 5 yet")
		if stream != store.All {
			assert.Equal(t, store.Version(5), seen.Expected())
		}
		_, err = es.Page(ctx, stream, &store.ReadOptions{After: 11})
		require.ErrorIs(t, err, store.ErrPositionLost, "the primary does not have it")
	}
	assert.Zero(t, count(es, "late", &store.ReadOptions{After: 2, StreamID: info.ID}))
	_, err = es.Page(ctx, "late", nil)
	require.ErrorIs(t, err, store.ErrStreamNotFound)

	// What is decided on a read that lags is refused, and decided again on one that does not.
	var seen store.Seen
	count(es, "s", &store.ReadOptions{Seen: &seen})
	_, err = es.Append(ctx, "s", seen.Expected(), store.Event{Type: "t", Data: 1})
	require.ErrorIs(t, err, store.ErrWrongExpectedVersion)
	count(es.Primary(), "s", &store.ReadOptions{Seen: &seen})
	_, err = es.Append(ctx, "s", seen.Expected(), store.Event{Type: "t", Data: 1})
	require.NoError(t, err)
}

// TestConsumeFromReplica: events are handed on as the replica shows them, each once; a replica that stands still is told, and a retry of
// an append does not ask it.
func TestConsumeFromReplica(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, stream string, storage func(r *replicated) store.Storage) {
		h := &history{t: t}
		h.events("s", 12)
		primary, replica := h.copied(10), h.copied(4)
		c := consumeFrom(t, storage(over(primary, replica)), stream)
		settle()
		c.has(1, 4)
		if stream == store.All {
			var lag *store.ReplicaLagError
			require.ErrorAs(t, c.stateNow().Err, &lag)
			assert.Equal(t, store.ReplicaLagError{Position: 4, Head: 10}, *lag)
		}
		require.ErrorIs(t, c.stateNow().Err, store.ErrReplica)
		assert.Equal(t, store.Waiting, c.stateNow().Phase)
		replica.replay(7)
		settle()
		c.has(1, 7)
		replica.replay(10)
		settle()
		c.has(1, 10)
		assert.Equal(t, store.SubscriptionState{Phase: store.Live}, c.stateNow())
		primary.replay(12)
		c.es.Committed()
		synctest.Wait()
		c.has(1, 10)
		replica.replay(12)
		time.Sleep(store.DefaultPollInterval)
		synctest.Wait()
		c.has(1, 12)
		c.close()
	})
}

// TestTakeoverByReplicaThatLagsMore: a process whose replica lags more takes over. It is not told that events were lost, hands on nothing
// again, and goes on when its replica has what follows.
func TestTakeoverByReplicaThatLagsMore(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, stream string, storage func(r *replicated) store.Storage) {
		h := &history{t: t}
		h.events("s", 12)
		primary, ahead, behind := h.copied(10), h.copied(10), h.copied(4)
		first := consumeFrom(t, storage(over(primary, ahead)), stream)
		settle()
		first.has(1, 10)
		first.close()
		second := consumeFrom(t, storage(over(primary, behind)), stream)
		settle()
		require.Empty(t, second.seen)
		primary.replay(12)
		for at := 5; at <= 12; at++ {
			behind.replay(at)
			settle()
			if at > 10 {
				second.has(11, int64(at))
			} else {
				require.Empty(t, second.seen)
			}
		}
		second.close()
	})
}

// TestReplicaAheadOfThePrimary: where a primary waits for its standbys to confirm a commit, they may show it before. It is not handed on
// then, since the checkpoint could not be saved.
func TestReplicaAheadOfThePrimary(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, stream string, storage func(r *replicated) store.Storage) {
		h := &history{t: t}
		h.events("s", 3000)
		primary, replica := h.copied(2), h.copied(4)
		c := consumeFrom(t, storage(over(primary, replica)), stream)
		settle()
		c.has(1, 2)
		primary.replay(3)
		replica.replay(5)
		settle()
		c.has(1, 3)
		primary.replay(5)
		settle()
		c.has(1, 5)
		replica.replay(3000)
		primary.replay(2999)
		settle()
		c.has(1, 2999)
		primary.replay(3000)
		settle()
		c.has(1, 3000)
		c.close()
	})
}

// TestReplicasTakeTurns: each page may come from another standby, which lags more or less. Nothing is left out, and nothing comes twice.
func TestReplicasTakeTurns(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, stream string, storage func(r *replicated) store.Storage) {
		h := &history{t: t}
		h.events("s", 5000)
		primary, a, b := h.copied(0), h.copied(0), h.copied(0)
		c := consumeSlowly(t, storage(over(primary, a, b)), stream, 20, time.Millisecond) // so that it also reads by itself
		w, err := c.es.Watch(t.Context(), stream, nil)
		require.NoError(t, err)
		var watched []int64
		go func() {
			for {
				list, err := w.Next(t.Context())
				if err != nil {
					return
				}
				for _, e := range list {
					watched = append(watched, e.Number)
				}
			}
		}()
		for primary.at < len(h.steps) {
			primary.replay(min(primary.at+1+rand.IntN(100), len(h.steps)))
			a.replay(a.at + rand.IntN(primary.at-a.at+1))
			b.replay(b.at + rand.IntN(primary.at-b.at+1))
			if rand.IntN(2) == 0 {
				c.es.Committed()
			}
			time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
		}
		a.replay(len(h.steps))
		b.replay(len(h.steps))
		settle()
		c.has(1, int64(len(h.steps)))
		require.Equal(t, c.seen, watched)
		require.NoError(t, w.Close())
		c.close()
	})
}

// TestQuietReplicaCatchesUp: a subscription has read to the end of a standby that lags more than the one that the feed has read, and nothing
// new is appended. It is handed on the rest when that standby shows it.
func TestQuietReplicaCatchesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &history{t: t}
		h.events("s", 10)
		primary, ahead, behind := h.copied(10), h.copied(10), h.copied(4)
		r := over(primary, ahead)
		es := store.New(r, nil)
		w, err := es.Watch(t.Context(), store.All, nil) // the feed is at 10
		require.NoError(t, err)
		settle()
		r.reads.show(behind)
		sub, err := es.Subscribe(t.Context(), store.All, "reader", &store.SubscribeOptions{BufferSize: 20})
		require.NoError(t, err)
		for _, want := range []int{4, 6} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			got, err := sub.Next(ctx)
			cancel()
			require.NoError(t, err)
			require.Len(t, got, want)
			require.NoError(t, sub.Ack(t.Context(), got...))
			behind.replay(10)
		}
		require.NoError(t, w.Close())
		require.NoError(t, es.Close())
	})
}

// TestLossIsToldWithReplica: a standby that lagged takes over from the primary, and goes on past what was seen, while the replica that is
// read still follows the old one, or the new one. Who has seen lost events is told; who has not goes on.
func TestLossIsToldWithReplica(t *testing.T) {
	t.Parallel()
	for _, after := range []int{0, 1, 5} { // what was appended since
		for _, follows := range []bool{false, true} {
			t.Run(fmt.Sprintf("after=%d/follows=%v", after, follows), func(t *testing.T) {
				t.Parallel()
				eachStorage(t, func(t *testing.T, stream string, storage func(r *replicated) store.Storage) {
					h := &history{t: t}
					h.events("s", 10)
					old := h.copied(10)
					s := &failover{Backend: old.Backend}
					s.now.Store(old.Backend)
					r := over(s, h.copied(10))
					es := store.New(storage(r), &store.Options{Logger: slog.New(slog.DiscardHandler)})
					defer es.Close() //nolint:errcheck // it may say that events were lost
					w, err := es.Watch(t.Context(), stream, nil)
					require.NoError(t, err)
					sub, err := es.Subscribe(t.Context(), stream, "transient", &store.SubscribeOptions{Transient: true, BufferSize: 20})
					require.NoError(t, err)
					got, err := sub.Next(t.Context())
					require.NoError(t, err)
					require.Len(t, got, 10)
					require.NoError(t, sub.Ack(t.Context(), got...))

					behind := &history{t: t, steps: slices.Clone(h.steps[:7])}
					behind.events("s", after)
					promoted := behind.copied(len(behind.steps))
					s.now.Store(promoted.Backend)
					if follows {
						r.reads.show(promoted)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					_, err = sub.Next(ctx)
					require.ErrorIs(t, err, store.ErrPositionLost)
					if len(behind.steps) < 10 { // it began behind 10, and has seen nothing
						_, err = w.Next(ctx)
						require.ErrorIs(t, err, store.ErrPositionLost)
					}
				})
			})
		}
	}
}

// TestReplicaOfAnotherPrimary: a replica that has another event than the primary in a place that was seen is not followed; nobody is told
// that events were lost, and everybody goes on when it has been rebuilt.
func TestReplicaOfAnotherPrimary(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, stream string, storage func(r *replicated) store.Storage) {
		h := &history{t: t}
		h.events("s", 12)
		primary, replica := h.copied(10), h.copied(10)
		r := over(primary, replica)
		c := consumeFrom(t, storage(r), stream)
		settle()
		c.has(1, 10)
		other := &history{t: t, steps: slices.Clone(h.steps[:7])}
		other.events("s", 5)
		r.reads.show(other.copied(12))
		primary.replay(12)
		settle()
		c.has(1, 10)
		require.ErrorIs(t, c.stateNow().Err, store.ErrReplica)
		require.ErrorContains(t, c.stateNow().Err, "does not follow that primary")
		replica.replay(12)
		r.reads.show(replica)
		settle()
		c.has(1, 12)
		c.close()

		// One that takes over where the replica has another last event waits; one that begins is handed on nothing of it.
		for _, name := range []string{"takes over", "begins"} {
			r := over(primary, other.copied(len(other.steps)))
			if name == "begins" {
				require.NoError(t, store.New(r, nil).ResetSubscription(t.Context(), stream, "reader", 0))
			}
			next := consumeFrom(t, storage(r), stream)
			settle()
			require.Empty(t, next.seen, name)
			require.ErrorIs(t, next.stateNow().Err, store.ErrReplica, name)
			require.ErrorContains(t, next.stateNow().Err, "does not follow that primary")
			next.close()
		}
	})
}

// TestHardDeleteIsReplayedLate: a stream is hard deleted and created again, which the replica shows late. The subscription to it hands on
// every event of the new stream, from its beginning, and none of the old one after one of the new.
func TestHardDeleteIsReplayedLate(t *testing.T) {
	t.Parallel()
	for _, read := range []int{-1, 0, 2, 5} { // of the first stream, before the delete; -1: nobody reads before it
		t.Run(fmt.Sprint("read=", read), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &history{t: t}
				h.events("other", 1)
				h.events("s", 5)
				h.events("other", 2)
				h.hardDelete("s")
				h.events("s", 8)
				h.events("other", 1)
				primary, replica := h.copied(6), h.copied(1+max(read, 0))
				if read < 0 {
					primary.replay(len(h.steps))
				}
				quick, read := read < 0, max(read, 0)
				c := consumeFrom(t, over(primary, replica), "s")
				settle()
				require.Len(t, c.seen, read)
				primary.replay(len(h.steps))
				for at := read + 1; at <= len(h.steps); at++ {
					replica.replay(at)
					if c.es.Committed(); quick && at > read+1 { // before the streams are looked at again
						time.Sleep(20 * time.Millisecond)
					} else {
						settle()
					}
				}
				settle()
				c.close()
				require.Len(t, c.seen, read+8, "%v", c.seen)
				fresh, err := store.New(primary.Backend, nil).Page(t.Context(), "s", nil)
				require.NoError(t, err)
				for i, e := range fresh {
					assert.Equal(t, e.ID, c.ids[read+i])
				}
			})
		})
	}
}

// TestReplicaIsDown: reads fail, and say so; the primary is read by those who ask it; subscriptions wait.
func TestReplicaIsDown(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, stream string, storage func(r *replicated) store.Storage) {
		h := &history{t: t}
		h.events("s", 12)
		primary, replica := h.copied(10), h.copied(10)
		r := over(primary, replica)
		r.reads.down.Store(true)
		c := consumeFrom(t, storage(r), stream)
		settle()
		require.Empty(t, c.seen)
		require.ErrorIs(t, c.stateNow().Err, store.ErrReplica)
		_, err := c.es.Page(t.Context(), stream, nil)
		require.ErrorIs(t, err, store.ErrReplica)
		list, err := c.es.Primary().Page(t.Context(), stream, nil)
		require.NoError(t, err)
		assert.Len(t, list, 10)
		r.reads.down.Store(false)
		settle()
		c.has(1, 10)
		r.reads.down.Store(true)
		primary.replay(12)
		replica.replay(12)
		settle()
		c.has(1, 10)
		require.ErrorIs(t, c.stateNow().Err, store.ErrReplica)
		r.reads.down.Store(false)
		settle()
		c.has(1, 12)
		c.close()
	})
}
