package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/conformance"
	"github.com/eventstore-go/eventstore/store"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, run := range []struct {
		name     string
		pageSize int
	}{{"memory", 0}, {"memory/page=3", 3}} {
		t.Run(run.name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, conformance.Harness{
				Name:     run.name,
				New:      func(testing.TB) store.Storage { return memory.New() },
				PageSize: run.pageSize,
			})
		})
	}
}

// Leases go by the time that testing/synctest makes up.
func TestLeaseInFakeTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		id := store.SubscriptionID{Stream: store.All, Name: "a"}
		acquire := func(owner string) error {
			_, err := b.AcquireLease(t.Context(), store.LeaseRequest{ID: id, Owner: owner, TTL: time.Hour, Create: true})
			return err
		}
		require.NoError(t, acquire("a"))
		time.Sleep(time.Hour - time.Nanosecond)
		require.ErrorIs(t, acquire("b"), store.ErrLeaseHeld)
		time.Sleep(time.Nanosecond)
		require.NoError(t, acquire("b"))
	})
}
