package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

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
		decide store.Decision // when it has waited
	}{"room": {100, store.Retry}, "full": {1, store.Retry}, "skipped": {1, store.Skip}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			es := store.New(memory.New(), nil)
			defer es.Close() //nolint:errcheck // a test
			list := make([]store.Event, 50)
			for i := range list {
				list[i] = store.Event{Type: "happened", Data: i}
			}
			_, err := es.Append(t.Context(), "a", store.NoStream, list...)
			require.NoError(t, err)
			waits, goesOn := make(chan struct{}), make(chan struct{})
			waited := false
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			known := func() bool {
				select {
				case <-waits:
					return true
				default:
					return false
				}
			}
			err = es.Consume(ctx, "a", "reader", func(ctx context.Context, e store.Recorded) error {
				switch {
				case e.Number == 1 && (c.decide == store.Skip || !known()):
					return store.ErrUnknownVersion
				case e.Number == int64(len(list)):
					<-goesOn
					cancel()
				}
				return nil
			}, &store.ConsumeOptions{
				MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
				OnError: func(e store.Recorded, err error, attempt int) store.Decision {
					if c.decide == store.Skip && known() {
						return store.Skip
					}
					return store.RetryThen(1, store.Stop)(e, err, attempt)
				},
				SubscribeOptions: store.SubscribeOptions{BufferSize: c.size, MaxSize: c.size, OnState: func(s store.SubscriptionState) {
					unknown := errors.Is(s.Err, store.ErrUnknownVersion)
					switch {
					case unknown && !waited:
						assert.Equal(t, store.Waiting, s.Phase)
						waited = true
						close(waits)
					case waited && !unknown && s.Phase == store.Live:
						select {
						case <-goesOn:
						default:
							close(goesOn)
						}
					}
				}},
			})
			require.ErrorIs(t, err, context.Canceled)
			assert.True(t, waited)
		})
	}
}
