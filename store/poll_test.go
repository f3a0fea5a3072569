package store_test

import (
	"context"
	"fmt"
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

// polledStorage counts what readers ask for, and what they read.
type polledStorage struct {
	*memory.Backend
	polls, reads, looks atomic.Int64
	asked               atomic.Int64 // streams at the last look
}

func (p *polledStorage) Poll(ctx context.Context, position int64) (head int64, at uuid.UUID, err error) {
	p.polls.Add(1)
	if head, err = p.Head(ctx); err != nil || position == 0 {
		return head, at, err
	}
	page, _, err := p.Backend.ReadFiltered(ctx, store.ReadRequest{Stream: store.All, From: position, Limit: 1}, store.EventFilter{})
	if err == nil && len(page) > 0 && page[0].Number == position {
		at = page[0].ID
	}
	return head, at, err
}

func (p *polledStorage) PollKey() any { return p.Backend }

func (p *polledStorage) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
	p.reads.Add(1)
	return p.Backend.ReadFiltered(ctx, r, f)
}

func (p *polledStorage) StreamVersions(ctx context.Context, names []string) (map[string]store.StreamInfo, error) {
	p.looks.Add(1)
	p.asked.Store(int64(len(names)))
	return p.Backend.StreamVersions(ctx, names)
}

// TestStoresPollTogether: idle Stores of a process cost their database one poll in each interval, and one look at streams, however many
// they are and subscriptions they have; and what another process commits is found within the interval.
func TestStoresPollTogether(t *testing.T) {
	t.Parallel()
	for name, streams := range map[string]bool{"all": false, "streams": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &polledStorage{Backend: memory.New()}
				var got atomic.Int64
				begin := func() *store.Store {
					es := store.New(s, &store.Options{PollInterval: time.Second})
					for i := range 3 {
						stream := store.All
						if streams {
							stream = fmt.Sprint("s-", i)
						}
						sub, err := es.Subscribe(t.Context(), stream, fmt.Sprint("reader-", i), &store.SubscribeOptions{Transient: true})
						require.NoError(t, err)
						go func() {
							for _, err := range sub.Events(t.Context()) {
								if err != nil {
									return
								}
								got.Add(1)
							}
						}()
					}
					return es
				}
				var list []*store.Store
				for range 10 {
					list = append(list, begin())
					time.Sleep(77 * time.Millisecond) // they are not in step
				}
				time.Sleep(time.Minute)
				s.polls.Store(0)
				s.reads.Store(0)
				s.looks.Store(0)
				time.Sleep(100 * time.Second)
				assert.InDelta(t, 100, s.polls.Load(), 1)
				assert.Zero(t, s.reads.Load())
				if streams {
					assert.InDelta(t, 100, s.looks.Load(), 1)
				}
				other := store.New(s.Backend, nil)
				_, err := other.Append(t.Context(), "s-1", store.Any, store.Event{Type: "t", Data: 1})
				require.NoError(t, err)
				time.Sleep(time.Second)
				synctest.Wait()
				want := int64(30)
				if streams {
					want = 10
				}
				assert.Equal(t, want, got.Load())
				for _, es := range list {
					require.NoError(t, es.Close())
				}
			})
		})
	}
}

// TestPolledStreamsGo: nobody asks for a stream any more when the subscriptions on it have ended, whatever else runs in their Store.
func TestPolledStreamsGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &polledStorage{Backend: memory.New()}
		es, other := store.New(s, &store.Options{PollInterval: time.Second}), store.New(s, &store.Options{PollInterval: time.Second})
		subscribe := func(es *store.Store, stream string) *store.Subscriber {
			sub, err := es.Subscribe(t.Context(), stream, "reader", &store.SubscribeOptions{Transient: true})
			require.NoError(t, err)
			return sub
		}
		subscribe(es, store.All)
		subscribe(other, "other")
		var list []*store.Subscriber
		for i := range 100 {
			list = append(list, subscribe(es, fmt.Sprint("s-", i)))
		}
		time.Sleep(time.Minute)
		assert.EqualValues(t, 101, s.asked.Load())
		for _, sub := range list {
			require.NoError(t, sub.Close())
		}
		time.Sleep(time.Minute)
		assert.EqualValues(t, 1, s.asked.Load())
		require.NoError(t, es.Close())
		require.NoError(t, other.Close())
	})
}
