package serializer_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

type (
	orderV1 struct{ Price int }
	orderV2 struct{ Cents int }
	orderV3 struct{ Cents, Tax int }
	refund  struct{ Cents int }
	unasked struct{}
)

// appendOrders appends as a newer program does: an order of version 1, one of version 2, and an event of a type that the
// older program does not know at all.
func appendOrders(t *testing.T, backend store.Storage) {
	t.Helper()
	old, newer := serializer.NewTypes(), serializer.NewTypes()
	serializer.Register[orderV1](old, "order")
	serializer.RegisterVersion[orderV2](newer, "order", 2)
	serializer.Register[refund](newer, "refund")
	for _, e := range []struct {
		types *serializer.Types
		data  any
	}{{newer, refund{3}}, {old, orderV1{1}}, {newer, orderV2{2}}} {
		es := store.New(backend, &store.Options{Serializer: serializer.JSON(e.types)})
		_, err := es.Append(t.Context(), "orders", store.Any, store.Event{Data: e.data})
		require.NoError(t, err)
	}
}

// TestUnknownVersion: As and On pass over an event of a type that is not registered, and fail on one of a registered type in a
// version that is not known.
func TestUnknownVersion(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	appendOrders(t, backend)
	for name, c := range map[string]struct {
		register func(types *serializer.Types)
		on       func(r *store.Router)
		as       func(e store.Recorded) error
		fails    []int64 // versions of events in the stream
		says     string
	}{
		"newer": {func(types *serializer.Types) { serializer.Register[orderV1](types, "order") },
			onOrder[orderV1], asOrder[orderV1], []int64{3}, "a newer program wrote it"},
		"registration forgotten": {func(types *serializer.Types) {
			serializer.RegisterVersion[orderV2](types, "order", 2)
		}, onOrder[orderV2], asOrder[orderV2], []int64{2}, "register it with RegisterVersion, or add UpcastRaw"},
		"upcaster forgotten": {func(types *serializer.Types) {
			serializer.Register[orderV1](types, "order")
			serializer.RegisterVersion[orderV2](types, "order", 2)
		}, onOrder[orderV2], asOrder[orderV2], []int64{2}, `version 1 of "order" has no upcaster that leads to version 2`},
		"end of a chain forgotten": {func(types *serializer.Types) {
			serializer.Register[orderV1](types, "order")
			serializer.RegisterVersion[orderV2](types, "order", 2)
			serializer.RegisterVersion[orderV3](types, "order", 3)
			serializer.Upcast(types, func(o orderV1) (orderV2, error) { return orderV2{o.Price * 100}, nil })
		}, onOrder[orderV3], asOrder[orderV3], []int64{2, 3}, `version 2 of "order" has no upcaster that leads to version 3`},
		"only a raw upcaster": {func(types *serializer.Types) {
			serializer.Register[unasked](types, "unasked")
			serializer.UpcastRaw(types, "order", 1, func(data []byte) ([]byte, error) { return data, nil })
		}, onOrder[unasked], asOrder[unasked], []int64{2, 3}, `version 2 of "order" is not registered`},
	} {
		types := serializer.NewTypes()
		c.register(types)
		es := store.New(backend, &store.Options{Serializer: serializer.JSON(types)})
		router := store.NewRouter()
		c.on(router)
		var asFailed, routerFailed []int64
		for e, err := range es.Stream(t.Context(), "orders", nil) {
			require.NoError(t, err)
			if err := c.as(e); err != nil {
				require.ErrorIs(t, err, store.ErrUnknownVersion, name)
				require.ErrorContains(t, err, c.says, name)
				asFailed = append(asFailed, e.Number)
			}
			if err := router.Handle(t.Context(), e); err != nil {
				require.ErrorIs(t, err, store.ErrUnknownVersion, name)
				require.NotErrorIs(t, err, store.ErrUnknownType, name)
				routerFailed = append(routerFailed, e.Number)
			}
		}
		assert.Equal(t, c.fails, asFailed, name)
		assert.Equal(t, c.fails, routerFailed, name)
		assert.EqualValues(t, 1, router.Unhandled()["refund"], name)
	}
}

func onOrder[T any](r *store.Router) {
	store.On(r, func(context.Context, store.Recorded, T) error { return nil })
}

func asOrder[T any](e store.Recorded) error {
	_, _, err := store.As[T](e)
	return err
}

// TestRollingDeploy: an older program waits at an event of a version that it does not know, whatever RetryThen decides about
// events that fail, and shows that it does; once the version is known it goes on with that very event.
func TestRollingDeploy(t *testing.T) {
	t.Parallel()
	for _, decision := range []store.Decision{store.Park, store.Skip, store.Stop} {
		t.Run("consume", func(t *testing.T) {
			t.Parallel()
			backend := memory.New()
			appendOrders(t, backend)
			rolls(t, backend, decision, func(ctx context.Context, es *store.Store, r *store.Router, d rolling) error {
				return es.Consume(ctx, store.All, "view", r.Handle, &store.ConsumeOptions{
					OnError: d.onError, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
					SubscribeOptions: store.SubscribeOptions{OnState: d.onState},
				})
			}, func(ctx context.Context, es *store.Store) (store.SubscriptionInfo, error) {
				list, err := es.Subscriptions(ctx)
				if err != nil {
					return store.SubscriptionInfo{}, err
				}
				return list[0], nil
			})
		})
		t.Run("project", func(t *testing.T) {
			t.Parallel()
			db, err := sql.Open("sqlite", sqlite.Memory())
			require.NoError(t, err)
			t.Cleanup(func() { _ = db.Close() })
			backend := sqlite.New(db, nil)
			require.NoError(t, migrate.Up(t.Context(), backend))
			appendOrders(t, backend)
			rolls(t, backend, decision, func(ctx context.Context, es *store.Store, r *store.Router, d rolling) error {
				return es.Project(ctx, "view", r.HandleBatch, &store.ProjectOptions{
					OnError: d.onError, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
					OnState: func(_ int, s store.SubscriptionState) { d.onState(s) },
				})
			}, func(ctx context.Context, es *store.Store) (store.SubscriptionInfo, error) {
				p, err := es.Projection(ctx, "view")
				if err != nil {
					return store.SubscriptionInfo{}, err
				}
				return p.Partitions[0].SubscriptionInfo, nil
			})
		})
	}
}

// rolling is what a test is told while it runs.
type rolling struct {
	onError func(e store.Recorded, err error, attempt int) store.Decision
	onState func(s store.SubscriptionState)
}

func rolls(t *testing.T, backend store.Storage, decision store.Decision,
	run func(ctx context.Context, es *store.Store, r *store.Router, d rolling) error,
	info func(ctx context.Context, es *store.Store) (store.SubscriptionInfo, error),
) {
	t.Helper()
	types := serializer.NewTypes()
	serializer.Register[orderV1](types, "order")
	es := store.New(backend, &store.Options{Serializer: serializer.JSON(types)})
	defer es.Close() //nolint:errcheck // a test
	prices := make(chan int, 10)
	router := store.NewRouter()
	store.On(router, func(_ context.Context, _ store.Recorded, o orderV1) error { prices <- o.Price; return nil })
	attempts, waits, live := make(chan int, 10), make(chan error, 1), make(chan struct{}, 1)
	decide := store.RetryThen(2, decision)
	waiting := false
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, es, router, rolling{
			onError: func(e store.Recorded, err error, attempt int) store.Decision {
				select {
				case attempts <- attempt:
				default:
				}
				return decide(e, err, attempt)
			},
			onState: func(s store.SubscriptionState) {
				switch {
				case s.Phase == store.Waiting && s.Err != nil && !waiting:
					waiting = true
					waits <- s.Err
				case waiting && s.Phase == store.Live:
					select {
					case live <- struct{}{}:
					default:
					}
				}
			},
		})
	}()
	assert.Equal(t, 1, <-prices)
	require.ErrorIs(t, <-waits, store.ErrUnknownVersion)
	for attempt := 0; attempt < 5; { // beyond what RetryThen was given
		select {
		case attempt = <-attempts:
		case err := <-ended:
			require.FailNow(t, "it has ended instead of waiting", "%v", err)
		case <-live:
			require.FailNow(t, "it has passed the event instead of waiting")
		}
	}
	var row store.SubscriptionInfo
	require.Eventually(t, func() bool {
		var err error
		row, err = info(t.Context(), es)
		require.NoError(t, err)
		return row.LastError != ""
	}, time.Minute, time.Millisecond)
	assert.Contains(t, row.LastError, "a newer program wrote it")
	assert.LessOrEqual(t, row.Checkpoint, int64(2))
	assert.EqualValues(t, 3, row.Head)

	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)

	types = serializer.NewTypes() // the newer program takes over
	serializer.Register[orderV1](types, "order")
	serializer.RegisterVersion[orderV2](types, "order", 2)
	serializer.Upcast(types, func(o orderV1) (orderV2, error) { return orderV2{o.Price * 100}, nil })
	newer := store.New(backend, &store.Options{Serializer: serializer.JSON(types)})
	defer newer.Close() //nolint:errcheck // a test
	cents := make(chan int, 10)
	router = store.NewRouter()
	store.On(router, func(_ context.Context, _ store.Recorded, o orderV2) error { cents <- o.Cents; return nil })
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- run(ctx, newer, router, rolling{onState: func(store.SubscriptionState) {}}) }()
	assert.Equal(t, 2, <-cents)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}
