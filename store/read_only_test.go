package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// readOnly is a gate that no write passes.
func readOnly(_ context.Context, call string) error {
	switch call {
	case "AcquireLease", "RenewLeases", "SaveCheckpoint", "SaveError", "ReleaseLease", "Append":
		return fmt.Errorf("%s: %w", call, store.ErrReadOnly)
	}
	return nil
}

// TestReadOnly: a subscription that meets with a database that takes no writes says so at once, and leaves nothing behind. One that has
// run before waits: it may be a failover.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, memory.New(), nil)
		p.append(3)
		p.storage.guard(readOnly)
		_, err := p.Subscribe(t.Context(), "s", "reader", &store.SubscribeOptions{WaitForLease: true})
		require.ErrorIs(t, err, store.ErrReadOnly)
		err = p.Consume(t.Context(), "s", "reader", handled, nil)
		require.ErrorIs(t, err, store.ErrReadOnly)
		assert.Empty(t, p.storage.at("RenewLeases"), "there is no lease to be handed back")
		w, err := p.Watch(t.Context(), "s", nil)
		require.NoError(t, err, "watching writes nothing")
		require.NoError(t, w.Close())

		p.storage.guard(nil)
		stop := p.consume(handled, nil)
		time.Sleep(2 * store.DefaultCheckpointAfter)
		assert.EqualValues(t, 3, p.checkpoint())
		p.storage.guard(readOnly)
		time.Sleep(10 * store.DefaultLeaseTTL)
		p.storage.guard(func(ctx context.Context, call string) error {
			if call == "AcquireLease" {
				return readOnly(ctx, call)
			}
			return nil
		})
		require.NoError(t, p.ResetSubscription(t.Context(), "s", "reader", 0)) // so that it needs the lease anew
		time.Sleep(10 * store.DefaultLeaseTTL)
		p.storage.guard(nil)
		p.append(2)
		time.Sleep(2 * store.DefaultLeaseTTL)
		assert.EqualValues(t, 5, p.checkpoint())
		stop()
	})
}

// readOnlyStorage takes no writes, and knows.
type readOnlyStorage struct{ *memory.Backend }

func (readOnlyStorage) CheckWrites(context.Context) error { return store.ErrReadOnly }

// TestCheckReadOnly: Check says that the database takes no writes, after everything else.
func TestCheckReadOnly(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, store.New(readOnlyStorage{memory.New()}, nil).Check(t.Context()), store.ErrReadOnly)
	down := &replicas{Backend: memory.New()}
	r := &checkedReplicas{down}
	es := store.New(&withReplica{readOnlyStorage{memory.New()}, r}, nil)
	require.ErrorIs(t, es.Check(t.Context()), errDown)
}

var errDown = errors.New("down")

type checkedReplicas struct{ *replicas }

func (checkedReplicas) Check(context.Context) error { return errDown }

type withReplica struct {
	readOnlyStorage
	replica store.Storage
}

func (w *withReplica) Replica() store.Storage { return w.replica }
