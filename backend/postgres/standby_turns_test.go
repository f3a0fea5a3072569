package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// turns answers each read from another standby than the one before.
type turns struct {
	*Backend
	mu    sync.Mutex
	reads []*replica
}

func (r *turns) next() *replica {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads = append(r.reads[1:], r.reads[0])
	return r.reads[0]
}

func (r *turns) Replica() store.Storage { return &turning{r.reads[0], r} }

type turning struct {
	*replica
	turns *turns
}

func (r *turning) ReadAll(ctx context.Context, q store.ReadRequest) (store.Part, error) {
	return r.turns.next().ReadAll(ctx, q)
}

func (r *turning) ReadFiltered(ctx context.Context, q store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
	return r.turns.next().ReadFiltered(ctx, q, f)
}

func (r *turning) Head(ctx context.Context) (int64, error) { return r.turns.next().Head(ctx) }

// testStandbysBehindOneAddress: pages come from two standbys by turns, of which one lags. Nothing is left out.
func testStandbysBehindOneAddress(s *lab) {
	a, b := s.backend(s.a), s.backend(s.b)
	es := store.New(&turns{Backend: a, reads: []*replica{a.replica, b.replica}}, &store.Options{PollInterval: 10 * time.Millisecond})
	defer es.Close() //nolint:errcheck // it has no leases
	sub, err := es.Subscribe(s.t.Context(), store.All, "transient", &store.SubscribeOptions{Transient: true, BufferSize: 100})
	require.NoError(s.t, err)
	var want, got []uuid.UUID
	for range 5 {
		s.b.PauseReplay()
		want = s.append("s", 10)
		s.a.Replayed(s.primary)
		for len(got) < len(want) {
			events, err := sub.Next(s.t.Context())
			require.NoError(s.t, err)
			for _, e := range events {
				got = append(got, e.ID)
			}
			require.NoError(s.t, sub.Ack(s.t.Context(), events...))
		}
		s.b.ResumeReplay()
		want = s.append("s", 1)
	}
	for len(got) < len(want) {
		events, err := sub.Next(s.t.Context())
		require.NoError(s.t, err)
		for _, e := range events {
			got = append(got, e.ID)
		}
		require.NoError(s.t, sub.Ack(s.t.Context(), events...))
	}
	assert.Equal(s.t, want, got)
	require.NoError(s.t, sub.Close())
}
