package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// TestWaitsAtUnknownVersion: while a handler returns ErrUnknownVersion, the state is Waiting with that error, also when the queue
// is full, so that nothing is read; when it is handled, or skipped by a decision of the program, the state goes on.
func TestWaitsAtUnknownVersion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size   int
		decide store.Decision // about the second attempt
	}{"room": {100, store.Retry}, "full": {1, store.Retry}, "skipped": {1, store.Skip}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				es := store.New(memory.New(), nil)
				defer es.Close() //nolint:errcheck // a test
				list := make([]store.Event, 50)
				for i := range list {
					list[i] = store.Event{Type: "happened", Data: i}
				}
				_, err := es.Append(t.Context(), "a", store.NoStream, list...)
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var state store.SubscriptionState
				settled := func() store.SubscriptionState { // when the subscription has read what it can, and rests
					synctest.Wait()
					return state
				}
				attempts := 0
				err = es.Consume(ctx, "a", "reader", func(_ context.Context, e store.Recorded) error {
					if e.Number > 1 {
						assert.NoError(t, settled().Err, "it goes on")
						cancel()
						return nil
					}
					attempts++
					now := settled()
					switch {
					case attempts == 1:
						assert.NoError(t, now.Err)
						return store.ErrUnknownVersion
					case attempts < 5 && c.decide == store.Retry, attempts == 2:
						assert.Equal(t, store.Waiting, now.Phase)
						assert.ErrorIs(t, now.Err, store.ErrUnknownVersion)
						return store.ErrUnknownVersion
					}
					return nil
				}, &store.ConsumeOptions{
					OnError: func(e store.Recorded, err error, attempt int) store.Decision {
						if !errors.Is(err, store.ErrUnknownVersion) || attempt == 2 && c.decide == store.Skip {
							return c.decide
						}
						return store.RetryThen(1, store.Stop)(e, err, attempt)
					},
					SubscribeOptions: store.SubscribeOptions{
						BufferSize: c.size, MaxSize: c.size, OnState: func(s store.SubscriptionState) { state = s },
					},
				})
				require.ErrorIs(t, err, context.Canceled)
				assert.Equal(t, map[store.Decision]int{store.Retry: 5, store.Skip: 2}[c.decide], attempts)
			})
		})
	}
}
