package store_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// TestParkDeleted: an event that was hard deleted while its handler ran, and failed, is not parked, whether or not the subscription has
// noticed; events of the new stream of that name are handled.
func TestParkDeleted(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"s", store.All} {
		for name, wait := range map[string]time.Duration{"noticed": time.Minute, "at once": 0} {
			t.Run(stream+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					p := newProcess(t, memory.New(), &store.Options{HardDelete: true})
					p.append(2)
					var calls callLog
					fail := make(chan struct{})
					var once atomic.Bool
					ctx, cancel := context.WithCancel(t.Context())
					done := make(chan error, 1)
					go func() {
						done <- p.Consume(ctx, stream, "reader", func(_ context.Context, e store.Recorded) error {
							if once.CompareAndSwap(false, true) {
								<-fail
								return errPoison
							}
							calls.add("%d", e.Version)
							return nil
						}, &store.ConsumeOptions{OnError: store.RetryThen(1, store.Park)})
					}()
					time.Sleep(time.Minute)
					require.NoError(t, p.Delete(t.Context(), "s", store.Any, store.HardDelete))
					p.append(4)
					time.Sleep(wait)
					close(fail)
					time.Sleep(time.Hour)
					got := calls.take()
					if len(got) == 5 && (stream == store.All || wait == 0) {
						require.Equal(t, "2", got[0], "of the deleted stream, if it was in the queue")
						got = got[1:]
					}
					assert.Equal(t, []string{"1", "2", "3", "4"}, got)
					list, err := p.Parked(t.Context(), "reader", &store.ParkedFilter{Stream: stream})
					require.NoError(t, err)
					assert.Empty(t, list)
					cancel()
					require.ErrorIs(t, <-done, context.Canceled)
				})
			})
		}
	}
}

// TestParkBehindDeleted: an event that was hard deleted, and is behind a parked one of its key, is neither parked nor handled.
func TestParkBehindDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), &store.Options{HardDelete: true})
		_, err := p.Append(t.Context(), "poison", store.Any, store.Event{Type: "poison"})
		require.NoError(t, err)
		p.append(2)
		var calls callLog
		fail := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- p.Consume(ctx, store.All, "reader", func(_ context.Context, e store.Recorded) error {
				if calls.add("%d", e.Number); e.Number == 1 {
					<-fail
					return errPoison
				}
				return nil
			}, &store.ConsumeOptions{OnError: store.RetryThen(1, store.Park), SubscribeOptions: store.SubscribeOptions{
				PartitionBy: func(store.Recorded) string { return "key" },
			}})
		}()
		time.Sleep(time.Minute)
		require.NoError(t, p.Delete(t.Context(), "s", store.Any, store.HardDelete))
		close(fail)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"1"}, calls.take())
		list, err := p.Parked(t.Context(), "reader", &store.ParkedFilter{Stream: store.All})
		require.NoError(t, err)
		assert.Len(t, list, 1)
		assert.EqualValues(t, 3, p.checkpoint())
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// TestReplayDiscarded: an event that is discarded, or hard deleted, while it is replayed, and fails, is not parked again.
func TestReplayDiscarded(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(p *process){
		"discarded": func(p *process) {
			n, err := p.DiscardParked(p.t.Context(), "reader", &store.ParkedFilter{Stream: "s", Numbers: []int64{1}})
			require.NoError(p.t, err)
			require.EqualValues(p.t, 1, n)
		},
		"deleted": func(p *process) {
			require.NoError(p.t, p.Delete(p.t.Context(), "s", store.Any, store.HardDelete))
			p.append(2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, memory.New(), &store.Options{HardDelete: true})
				p.append(2)
				var calls callLog
				fail := make(chan struct{})
				var n atomic.Int64
				end := p.startConsume(func(_ context.Context, e store.Recorded) error {
					calls.add("%d", e.Number)
					switch n.Add(1) {
					case 1:
						return errPoison
					case 2:
						<-fail
						return errPoison
					}
					return nil
				}, &store.ConsumeOptions{OnError: store.RetryThen(1, store.Park)})
				time.Sleep(time.Minute)
				require.Equal(t, []string{"1 after 1", "(2)"}, p.parked())
				p.replayParked(1)
				time.Sleep(time.Minute)
				require.Equal(t, []string{"1", "1"}, calls.take())
				remove(p)
				time.Sleep(time.Minute)
				close(fail)
				time.Sleep(time.Hour)
				assert.Empty(t, p.parked())
				want := []string{"2"}
				if name == "deleted" {
					want = []string{"1", "2"}
				}
				assert.Equal(t, want, calls.take())
				text, number := p.lastError()
				assert.Empty(t, text, "event %d is gone", number)
				require.ErrorIs(t, end(), context.Canceled)
			})
		})
	}
}

// TestDiscardBehindReplay: events that are discarded while one before them is replayed, of the same key or another, are not handled.
func TestDiscardBehindReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.appendTypes("K", "K", "J", "K")
		var calls callLog
		var works atomic.Bool
		end := p.startConsume(func(_ context.Context, e store.Recorded) error {
			if !works.Load() {
				return errPoison
			}
			calls.add("%d", e.Number)
			time.Sleep(time.Minute)
			return nil
		}, &store.ConsumeOptions{OnError: store.RetryThen(1, store.Park), SubscribeOptions: store.SubscribeOptions{PartitionBy: byType}})
		time.Sleep(time.Minute)
		require.Equal(t, []string{"1 after 1", "(2)", "3 after 1", "(4)"}, p.parked())
		works.Store(true)
		p.replayParked(1, 3)
		time.Sleep(30 * time.Second)
		require.Equal(t, []string{"1"}, calls.take())
		n, err := p.DiscardParked(t.Context(), "reader", &store.ParkedFilter{Stream: "s", Numbers: []int64{2, 3}})
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"4"}, calls.take())
		assert.Empty(t, p.parked())
		require.ErrorIs(t, end(), context.Canceled)
	})
}

// slowDiscard takes a second to discard a page.
type slowDiscard struct{ *memory.Backend }

func (s *slowDiscard) DiscardParked(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error) {
	time.Sleep(time.Second)
	return s.Backend.DiscardParked(ctx, id, ids)
}

// TestDiscardPages: of more parked events than a page has, none is handled while all are discarded.
func TestDiscardPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &process{store.New(&slowDiscard{memory.New()}, &store.Options{PollInterval: 100 * time.Millisecond}), t, nil}
		t.Cleanup(func() { _ = p.Close() })
		p.append(store.DefaultPageSize + 500)
		h := &patient{}
		h.set(errPoison, 1)
		opts := h.options(store.ConsumeOptions{})
		opts.OnError = store.RetryThen(1, store.Park)
		end := p.startConsume(h.handle, opts)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"1"}, h.take())
		n, err := p.DiscardParked(t.Context(), "reader", &store.ParkedFilter{Stream: "s"})
		require.NoError(t, err)
		require.EqualValues(t, store.DefaultPageSize+500, n)
		time.Sleep(time.Minute)
		assert.Empty(t, h.take())
		require.ErrorIs(t, end(), context.Canceled)
	})
}

// unparks notes the calls of Unpark.
type unparks struct {
	*sqlite.Backend
	calls *[][]uuid.UUID
}

func (u unparks) WithTx(tx *sql.Tx) store.Storage {
	return unparks{u.Backend.WithTx(tx).(*sqlite.Backend), u.calls}
}

func (u unparks) Unpark(ctx context.Context, projection string, ids []uuid.UUID) (int64, error) {
	*u.calls = append(*u.calls, ids)
	return u.Backend.Unpark(ctx, projection, ids)
}

// TestDiscardProjectionPages: what a projection has parked is discarded from the highest number down, so that no event becomes ready that
// is to be discarded, too.
func TestDiscardProjectionPages(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(t.TempDir(), "events.db")))
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // a file that is removed
	b := unparks{sqlite.New(db, nil), new([][]uuid.UUID)}
	require.NoError(t, migrate.Up(t.Context(), b.Backend))
	_, err = b.AddProjection(t.Context(), store.ProjectionRecord{Name: "view", Stream: store.All, Partitions: 1, Generation: 1, ByStream: true})
	require.NoError(t, err)
	parked := make([]store.ParkedEvent, store.DefaultPageSize+2)
	for i := range parked {
		parked[i] = store.ParkedEvent{Projection: "view", Key: "k", Number: int64(i + 1), ID: uuid.New(), Stream: "k", Type: "t", Failed: i == 0}
	}
	require.NoError(t, b.Park(t.Context(), parked))
	es := store.New(b, nil)
	defer es.Close() //nolint:errcheck // nothing runs
	n, err := es.DiscardParked(t.Context(), "view", &store.ParkedFilter{Limit: len(parked) - 1})
	require.NoError(t, err)
	require.EqualValues(t, len(parked)-1, n)
	require.Len(t, *b.calls, 2)
	assert.Equal(t, parked[1].ID, (*b.calls)[0][0])
	assert.Equal(t, []uuid.UUID{parked[0].ID}, (*b.calls)[1])
	left, err := es.Parked(t.Context(), "view", nil)
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.Equal(t, parked[len(parked)-1].ID, left[0].ID)
}

// TestReplayErrorDiscarded: when an event is discarded whose replay waits for a retry, its error is over.
func TestReplayErrorDiscarded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(2)
		h := &patient{}
		h.set(errPoison, 1)
		end := p.startConsume(h.handle, h.options(store.ConsumeOptions{}))
		time.Sleep(time.Hour)
		p.replayParked(1)
		time.Sleep(10 * time.Second)
		text, number := p.lastError()
		require.Equal(t, "poison", text)
		require.EqualValues(t, 1, number)
		n, err := p.DiscardParked(t.Context(), "reader", &store.ParkedFilter{Stream: "s", Numbers: []int64{1}})
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		time.Sleep(time.Hour)
		text, number = p.lastError()
		assert.Empty(t, text, "event %d is gone", number)
		require.Empty(t, p.parked())
		require.ErrorIs(t, end(), context.Canceled)
	})
}
