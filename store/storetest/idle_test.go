package storetest_test

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/storetest"
)

// TestWaitIdle: handlers that append what other handlers see are waited for, to the last one.
func TestWaitIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		_, err := es.Append(t.Context(), "n-5", store.NoStream, store.Event{Type: "counted", Data: 5})
		require.NoError(t, err)
		var mu sync.Mutex
		var handled []int
		for _, parity := range []string{"even", "odd"} {
			go func() {
				_ = es.Consume(t.Context(), store.All, parity, func(ctx context.Context, e store.Recorded) error {
					n, err := store.Decode[int](e)
					if err != nil || n%2 == 0 != (parity == "even") {
						return err
					}
					time.Sleep(time.Second) // in the bubble
					mu.Lock()
					handled = append(handled, n)
					mu.Unlock()
					if n > 0 {
						_, err = es.Append(ctx, "n", store.Any, store.Event{Type: "counted", Data: n - 1})
					}
					return err
				}, nil)
			}()
		}
		storetest.WaitIdle(t, es)
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, []int{5, 4, 3, 2, 1, 0}, handled)
	})
}

// TestWaitIdleForProjections: projections are waited for, with those who read what they append.
func TestWaitIdleForProjections(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, es *store.Store, _ *sql.DB, _ string) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		running.Go(func() {
			_ = es.Project(ctx, "doubles", func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				for _, e := range events {
					if e.Stream == "doubled" {
						continue
					}
					if _, err := es.WithTx(tx).Append(ctx, "doubled", store.Any, store.Event{Type: "order.paid", Data: Paid{2}}); err != nil {
						return err
					}
				}
				return nil
			}, nil)
		})
		var seen int
		running.Go(func() {
			_ = es.Consume(ctx, "doubled", "mails", func(context.Context, store.Recorded) error { seen++; return nil },
				&store.ConsumeOptions{SubscribeOptions: store.SubscribeOptions{CheckpointAfter: time.Millisecond}})
		})
		for range 20 {
			_, err := es.Append(t.Context(), "order-1", store.Any, store.Event{Data: Paid{1}})
			require.NoError(t, err)
		}
		storetest.WaitIdle(t, es, "doubles", "mails")
		cancel()
		running.Wait()
		assert.Equal(t, 20, seen)
	})
}

// TestNotIdle: what lags is named, with where it is, which process runs it, and why.
func TestNotIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		_, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "happened"}, store.Event{Type: "happened"})
		require.NoError(t, err)
		go func() {
			_ = es.Consume(t.Context(), "a", "mails", func(_ context.Context, e store.Recorded) error {
				if e.Number == 2 {
					return errBroken
				}
				return nil
			}, nil)
		}()
		began := time.Now()
		got := failures(t, func(tb testing.TB) { storetest.WaitIdle(tb, es) })
		assert.Equal(t, storetest.Limit, time.Since(began))
		assert.Regexp(t, `^storetest: not idle after 30s:\n  subscription "mails" on "a": at 1 of 2; \S+ runs it; it failed on event 2: broken$`, got)
		got = failures(t, func(tb testing.TB) { storetest.WaitIdle(tb, es, "mail") })
		assert.Contains(t, got, `"mail": there is no subscription and no projection of that name`)
	})
}

// TestNobodyReads: a store without subscriptions is not idle: the one that the test means has not begun.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		f := &fake{TB: t, deadline: 3 * time.Second}
		f.run(func(tb testing.TB) { storetest.WaitIdle(tb, es) })
		assert.Equal(t, "storetest: not idle after 2s:\n  there is no subscription and no projection", strings.Join(f.failures, "\n"))
	})
}

// TestClosedIsNotIdle: an error of the store ends the wait at once.
func TestClosedIsNotIdle(t *testing.T) {
	t.Parallel()
	es := storetest.New(t)
	require.NoError(t, es.Close())
	got := failures(t, func(tb testing.TB) { storetest.WaitIdle(tb, es) })
	assert.Contains(t, got, "storetest: look at subscriptions and projections: ")
	assert.Contains(t, got, store.ErrClosed.Error())
}
