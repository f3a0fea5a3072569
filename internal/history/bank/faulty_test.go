package bank_test

import (
	"context"
	"database/sql"
	"math"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/store"
)

// What can be wrong with a storage.
const (
	outside = "outside" // the checkpoint is written after the handler's transaction was committed
	noFence = "no-fence"
)

// faulty returns a storage with a fault, or without.
func faulty(b *postgres.Backend, fault string) store.Storage {
	switch fault {
	case outside:
		return &checkpointsOutside{Backend: b, due: &due{}}
	case noFence:
		return &unfenced{b, &taken{by: map[store.SubscriptionID]store.Lease{}}}
	}
	return b
}

// checkpointsOutside writes the checkpoints of projections in transactions of their own, as a loop does that was written
// without thinking of a crash between the two.
type checkpointsOutside struct {
	*postgres.Backend
	tx  *sql.Tx
	due *due
}

type due struct {
	mu sync.Mutex
	by map[*sql.Tx]store.AdvanceRequest
}

func (s *checkpointsOutside) WithTx(tx *sql.Tx) store.Storage {
	return &checkpointsOutside{Backend: s.Backend.WithTx(tx).(*postgres.Backend), tx: tx, due: s.due}
}

func (s *checkpointsOutside) Advance(ctx context.Context, r store.AdvanceRequest) error {
	if s.tx == nil {
		return s.Backend.Advance(ctx, r)
	}
	s.due.mu.Lock()
	defer s.due.mu.Unlock()
	if s.due.by == nil {
		s.due.by = map[*sql.Tx]store.AdvanceRequest{}
	}
	s.due.by[s.tx] = r
	return nil
}

func (s *checkpointsOutside) CommitTx(ctx context.Context, tx *sql.Tx) error {
	s.due.mu.Lock()
	r, ok := s.due.by[tx]
	delete(s.due.by, tx)
	s.due.mu.Unlock()
	if err := s.Backend.CommitTx(ctx, tx); err != nil || !ok {
		return err
	}
	return s.Backend.Advance(ctx, r)
}

// unfenced is a storage that nobody learns from that a lease is lost: it writes checkpoints for whoever has lost one, too.
type unfenced struct {
	*postgres.Backend
	taken *taken
}

// taken are the leases that a process took, as it got them.
type taken struct {
	mu sync.Mutex
	by map[store.SubscriptionID]store.Lease
}

func (s *unfenced) WithTx(tx *sql.Tx) store.Storage {
	return &unfenced{s.Backend.WithTx(tx).(*postgres.Backend), s.taken}
}

func (s *unfenced) AcquireLease(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
	l, err := s.Backend.AcquireLease(ctx, r)
	if err == nil {
		s.taken.mu.Lock()
		defer s.taken.mu.Unlock()
		s.taken.by[r.ID] = l
	}
	return l, err
}

func (s *unfenced) RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
	list, err := s.Backend.RenewLeases(ctx, owner, ttl)
	s.taken.mu.Lock()
	defer s.taken.mu.Unlock()
	for _, l := range s.taken.by {
		l.Checkpoint = math.MaxInt64
		list = append(list, l)
	}
	return list, err
}

func (s *unfenced) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	s.taken.mu.Lock()
	delete(s.taken.by, r.ID)
	s.taken.mu.Unlock()
	return s.Backend.ReleaseLease(ctx, r)
}

func (s *unfenced) Advance(ctx context.Context, r store.AdvanceRequest) error {
	list, err := s.ListSubscriptions(ctx)
	if err != nil {
		return err
	}
	for _, i := range list {
		if i.SubscriptionID == r.ID {
			r.Epoch, r.From = i.Epoch, max(r.From, i.Checkpoint+1)
		}
	}
	return s.Backend.Advance(ctx, r)
}
