package benchmark

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// TestHandlersBusy counts how many of four handlers are busy on average until the events of all keys but the first are handled, and
// how long that takes. An event takes a millisecond. Time is fake, so that the figures are the same on every machine:
//
//	go test ./internal/benchmark -run TestHandlersBusy -v
func TestHandlersBusy(t *testing.T) {
	t.Parallel()
	const handlers, events = 4, 4000
	for _, c := range []struct {
		first string        // what is with the first key
		takes time.Duration // an event of it, once in 100
		fails bool
		keys  int     // 0 for none
		least float64 // handlers busy
	}{
		{keys: 0, least: 3.99},
		{keys: 1, least: 0.99},
		{keys: 10, least: 3.9},
		{keys: 1000, least: 3.9},
		{first: "slow", takes: time.Second, keys: 10, least: 3.7},
		{first: "slow", takes: time.Second, keys: 1000, least: 3.9},
		{first: "hangs", takes: time.Hour, keys: 10, least: 3.8},
		{first: "hangs", takes: time.Hour, keys: 1000, least: 3.8},
		{first: "fails", fails: true, keys: 10, least: 3.7},
		{first: "fails", fails: true, keys: 1000, least: 3.9},
	} {
		t.Run(fmt.Sprintf("keys=%d/first=%s", c.keys, c.first), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				es := store.New(memory.New(), nil)
				opts := &store.ConsumeOptions{Handlers: handlers}
				key := func(n int64) int64 { return n }
				if c.keys > 0 {
					opts.PartitionBy = func(e store.Recorded) string { return e.Type }
					key = func(n int64) int64 { return n % int64(c.keys) }
				}
				list := make([]store.Event, events)
				left := events
				for n := range list {
					list[n].Type = fmt.Sprint(key(int64(n)))
					if c.first != "" && key(int64(n)) == 0 {
						left-- // of the other keys
					}
				}
				_, err := es.Append(t.Context(), "s", store.NoStream, list...)
				require.NoError(t, err)
				var mu sync.Mutex
				var busy time.Duration
				since := map[int64]time.Time{}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				began, took := time.Now(), time.Duration(0)
				err = es.Consume(ctx, "s", "reader", func(ctx context.Context, e store.Recorded) error {
					mu.Lock()
					since[e.Number] = time.Now()
					mu.Unlock()
					takes, first := time.Millisecond, c.first != "" && e.Type == "0"
					if first && e.Number == 1 && c.takes > 0 {
						takes = c.takes
					}
					select {
					case <-time.After(takes):
					case <-ctx.Done():
						return ctx.Err()
					}
					mu.Lock()
					defer mu.Unlock()
					busy += time.Since(since[e.Number])
					delete(since, e.Number)
					if first && c.fails {
						return errors.New("poison")
					}
					if !first {
						left--
					}
					if left == 0 && took == 0 {
						took = time.Since(began)
						for _, at := range since {
							busy += time.Since(at)
						}
						cancel()
					}
					return nil
				}, opts)
				require.ErrorIs(t, err, context.Canceled)
				require.NoError(t, es.Close())
				average := busy.Seconds() / took.Seconds()
				t.Logf("| %d | %s | %.2f | %v |", c.keys, c.first, average, took.Round(time.Millisecond))
				assert.GreaterOrEqual(t, average, c.least)
			})
		})
	}
}
