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

// failover is a database whose standby can take over.
type failover struct {
	*memory.Backend // what is not read
	now             atomic.Pointer[memory.Backend]
}

func (s *failover) ReadAll(ctx context.Context, r store.ReadRequest) (store.Part, error) {
	return s.now.Load().ReadAll(ctx, r)
}

func (s *failover) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	return s.now.Load().ReadStream(ctx, r)
}

func (s *failover) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
	return s.now.Load().ReadFiltered(ctx, r, f)
}

func (s *failover) Head(ctx context.Context) (int64, error) { return s.now.Load().Head(ctx) }

func (s *failover) StreamVersions(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
	return s.now.Load().StreamVersions(ctx, streams)
}

// TestFailover: a standby takes over between two looks at new events. If it lags, and goes on past what was seen, those
// who are live are told, before they are sent anything that is not what follows; if it has everything, they go on.
func TestFailover(t *testing.T) {
	t.Parallel()
	ids := make([]uuid.UUID, 20)
	for i := range ids {
		ids[i] = uuid.New()
	}
	for _, lag := range []int{0, 1, 3} {
		for _, stream := range []string{store.All, "s"} {
			t.Run(fmt.Sprintf("lag=%d/%s", lag, stream), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					old, standby := memory.New(), memory.New()
					fill := func(b *memory.Backend, ids []uuid.UUID) {
						es := store.New(b, nil)
						for _, id := range ids {
							_, err := es.Append(t.Context(), "s", store.Any, store.Event{ID: id, Type: "t", Data: 1})
							require.NoError(t, err)
						}
					}
					s := &failover{Backend: old}
					s.now.Store(old)
					es := store.New(s, nil)
					defer es.Close() //nolint:errcheck // it has no leases
					w, err := es.Watch(t.Context(), stream, nil)
					require.NoError(t, err)
					fill(old, ids[:10])
					for seen := int64(0); seen < 10; {
						events, err := w.Next(t.Context())
						require.NoError(t, err)
						seen = events[len(events)-1].Number
					}

					fill(standby, ids[:10-lag])
					s.now.Store(standby)
					var fresh []uuid.UUID
					for range 5 {
						fresh = append(fresh, uuid.New())
					}
					fill(standby, fresh)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					events, err := w.Next(ctx)
					if lag == 0 {
						require.NoError(t, err)
						assert.Equal(t, fresh[0], events[0].ID)
						return
					}
					var lost *store.PositionLostError
					require.ErrorAs(t, err, &lost, "got %d events", len(events))
					assert.Equal(t, store.PositionLostError{Stream: stream, After: 10, Head: int64(15 - lag), Replaced: true}, *lost)
					assert.ErrorContains(t, err, "another event is there now")
				})
			})
		}
	}
}
