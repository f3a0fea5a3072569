package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// unparking is a storage of subscriptions that keeps nothing that is parked.
type unparking struct {
	store.Storage
	store.SubscriptionStorage
}

var errPoison = errors.New("poison")

// TestParkWithout: on a backend that can't park, and in a transient subscription, a decision to park ends Consume with an error
// that says what to do instead, and the event is not acknowledged.
func TestParkWithout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		storage   func(b *memory.Backend) store.Storage
		transient bool
	}{
		"backend":   {storage: func(b *memory.Backend) store.Storage { return unparking{b, b} }},
		"transient": {storage: func(b *memory.Backend) store.Storage { return b }, transient: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			es := store.New(c.storage(memory.New()), nil)
			defer es.Close() //nolint:errcheck // a test
			_, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "happened", Data: 1})
			require.NoError(t, err)
			err = es.Consume(t.Context(), "a", "reader", func(context.Context, store.Recorded) error { return errPoison },
				&store.ConsumeOptions{OnError: store.RetryThen(1, store.Park), SubscribeOptions: store.SubscribeOptions{Transient: c.transient}})
			require.ErrorIs(t, err, store.ErrNoParking)
			require.ErrorIs(t, err, store.ErrInvalid)
			require.ErrorIs(t, err, errPoison)
			assert.ErrorContains(t, err, "decide to Retry, Skip or Stop")
			if c.transient {
				return
			}
			list, err := es.Subscriptions(t.Context())
			require.NoError(t, err)
			require.Len(t, list, 1)
			assert.Zero(t, list[0].Checkpoint)
			_, err = es.Parked(t.Context(), "reader", &store.ParkedFilter{Stream: "a"})
			require.ErrorIs(t, err, store.ErrNoParking)
			_, err = es.ReplayParked(t.Context(), "reader", &store.ParkedFilter{Stream: "a"})
			require.ErrorIs(t, err, store.ErrNoParking)
		})
	}
}

// TestParkMapped: what is parked is the event as it was appended, whatever the Mapper makes of it, and the Mapper is called
// again when it is replayed; it is parked under the key that PartitionBy gives, or alone if that is empty.
func TestParkMapped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es := store.New(memory.New(), nil)
		defer es.Close() //nolint:errcheck // a test
		_, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "x", Data: 1}, store.Event{Type: "alone", Data: 2}, store.Event{Type: "alone", Data: 3})
		require.NoError(t, err)
		var handled []string
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		parked := make(chan struct{}, 10)
		consume := func(ctx context.Context, handler store.Handler) error {
			return es.Consume(ctx, "a", "reader", handler, &store.ConsumeOptions{
				SubscribeOptions: store.SubscribeOptions{
					Mapper: func(e store.Recorded) (store.Recorded, error) {
						e.Stream, e.Type = "mapped", e.Type+"!"
						return e, nil
					},
					PartitionBy: func(e store.Recorded) string {
						if e.Type == "alone" {
							return ""
						}
						return "key of " + e.Type
					},
				},
				OnError: func(store.Recorded, error, int) store.Decision {
					parked <- struct{}{}
					return store.Park
				},
			})
		}
		err = consume(ctx, func(_ context.Context, e store.Recorded) error {
			if e.Number < 3 {
				return errPoison
			}
			handled = append(handled, e.Stream+" "+e.Type)
			cancel()
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		assert.Len(t, parked, 2)
		assert.Equal(t, []string{"mapped alone!"}, handled)
		filter := &store.ParkedFilter{Stream: "a"}
		list, err := es.Parked(t.Context(), "reader", filter)
		require.NoError(t, err)
		require.Len(t, list, 2)
		assert.Equal(t, "key of x", list[0].Key)
		assert.Equal(t, list[1].ID.String(), list[1].Key)
		assert.Equal(t, "a", list[0].Stream)
		assert.Equal(t, "x", list[0].Type)
		_, err = es.ReplayParked(t.Context(), "reader", filter)
		require.NoError(t, err)
		handled = nil
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = consume(ctx, func(_ context.Context, e store.Recorded) error {
			if handled = append(handled, e.Stream+" "+e.Type); len(handled) == 2 {
				cancel()
			}
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, []string{"mapped x!", "mapped alone!"}, handled)
	})
}
