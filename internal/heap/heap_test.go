package heap_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const (
	events = 400
	large  = 1 << 20
	bound  = 64 << 20 // bytes of the heap that are in use
)

// heap is the most that was in use when somebody looked.
type heap struct {
	mu   sync.Mutex
	most uint64
}

// look collects garbage, so that what is left does not depend on when that was done last.
func (h *heap) look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.most = max(h.most, m.HeapAlloc)
}

// seen looks at the heap at every tenth event.
func (h *heap) seen(n int) {
	if n%10 == 0 {
		h.look()
	}
}

// data is JSON that does not compress.
var data = sync.OnceValue(func() json.RawMessage {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	b := make([]byte, large)
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))] //nolint:gosec // not a secret
	}
	b[0], b[large-1] = '"', '"'
	return b
})

func event() store.Event { return store.Event{Type: "large", Data: data()} }

type backend interface {
	store.Storage
	store.SubscriptionStorage
	migrate.Backend
}

// held is a storage whose feed finds nothing new until it is let go.
type held struct {
	store.Storage
	store.SubscriptionStorage
	gate sync.RWMutex
	heap *heap // is looked at behind each page
}

func (h *held) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
	h.gate.RLock()
	defer h.gate.RUnlock()
	page, next, err := h.SubscriptionStorage.ReadFiltered(ctx, r, f)
	h.heap.look()
	return page, next, err
}

// fallBehind appends events that the Store on h, which is live, finds all at once.
func (h *held) fallBehind(t *testing.T, es *store.Store, stream string, n int) {
	h.gate.Lock()
	defer h.gate.Unlock()
	for range n {
		_, err := es.Append(t.Context(), stream, store.Any, event())
		require.NoError(t, err)
	}
}

// TestLargeEvents reads events of a mebibyte in every way that has a page, a queue or a batch of its own.
func TestLargeEvents(t *testing.T) { // not parallel: it measures the process
	for _, driver := range pgtest.Drivers() {
		t.Run("postgres/"+driver, func(t *testing.T) {
			run(t, postgres.New(pgtest.Open(t, driver, pgtest.Database(t)), nil))
		})
	}
	t.Run("sqlite/modernc", func(t *testing.T) {
		db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(t.TempDir(), "large.db")))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		run(t, sqlite.New(db, nil))
	})
}

func run(t *testing.T, b backend) {
	require.NoError(t, migrate.Up(t.Context(), b))
	es := store.New(b, &store.Options{PollInterval: 20 * time.Millisecond})
	defer func() { require.NoError(t, es.Close()) }()
	for range events {
		_, err := es.Append(t.Context(), "large", store.Any, event())
		require.NoError(t, err)
	}
	for _, reader := range []struct {
		name string
		read func(t *testing.T, b backend, es *store.Store, h *heap)
	}{
		{"All", readAll}, {"backward", readBackward}, {"Subscribe", subscribe}, {"filter", subscribeFiltered}, {"Project with BatchSize 1", projectOne}, {"Project", project},
		{"replay", replay}, {"live with MaxSize 1", live}, {"Watch", watch},
	} {
		t.Run(reader.name, func(t *testing.T) {
			var h heap
			reader.read(t, b, es, &h)
			h.look()
			t.Logf("%d MiB", h.most>>20)
			require.Less(t, h.most, uint64(bound))
		})
	}
}

func readAll(t *testing.T, _ backend, es *store.Store, h *heap) { read(t, es, h, nil) }

func readBackward(t *testing.T, _ backend, es *store.Store, h *heap) {
	read(t, es, h, &store.ReadOptions{Backward: true})
}

func read(t *testing.T, es *store.Store, h *heap, o *store.ReadOptions) {
	n := 0
	for e, err := range es.All(t.Context(), o) {
		require.NoError(t, err)
		require.Len(t, e.Data, large)
		h.seen(n)
		n++
	}
	require.Equal(t, events, n)
}

func subscribe(t *testing.T, _ backend, es *store.Store, h *heap) { consume(t, es, h, "default", nil) }

func subscribeFiltered(t *testing.T, _ backend, es *store.Store, h *heap) {
	consume(t, es, h, "filter", &store.SubscribeOptions{Filter: store.EventFilter{Types: []string{"large"}}, BufferSize: 1000})
}

func consume(t *testing.T, es *store.Store, h *heap, name string, o *store.SubscribeOptions) {
	r, err := es.Subscribe(t.Context(), store.All, name, o)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	take(t, h, r, events)
}

// take takes events from a subscriber and acknowledges them.
func take(t *testing.T, h *heap, r *store.Subscriber, most int) {
	for n := 0; n < most; {
		list, err := r.Next(t.Context())
		require.NoError(t, err)
		for range list {
			h.seen(n)
			n++
		}
		require.NoError(t, r.Ack(t.Context(), list...))
	}
}

func projectOne(t *testing.T, _ backend, es *store.Store, h *heap) {
	projected(t, es, h, "one", &store.ProjectOptions{BatchSize: 1})
}

func project(t *testing.T, _ backend, es *store.Store, h *heap) { projected(t, es, h, "default", nil) }

// replay has a projection park all events, and then apply them all.
func replay(t *testing.T, _ backend, es *store.Store, h *heap) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var works atomic.Bool
	released := make(chan error, 1)
	go func() {
		for {
			list, err := es.Parked(ctx, "replay", nil)
			if err != nil && !errors.Is(err, store.ErrProjectionNotFound) {
				released <- err
				return
			}
			if len(list) == events {
				break
			}
			time.Sleep(time.Millisecond)
		}
		works.Store(true)
		_, err := es.ReplayParked(ctx, "replay", nil)
		released <- err
	}()
	n := 0
	err := es.Project(ctx, "replay", func(_ context.Context, _ *sql.Tx, list []store.Recorded) error {
		if !works.Load() {
			return errors.New("does not work yet")
		}
		for range list {
			h.seen(n)
			n++
		}
		if n == events {
			cancel()
		}
		return nil
	}, &store.ProjectOptions{OnError: func(store.Recorded, error, int) store.Decision { return store.Park }})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, <-released)
}

func projected(t *testing.T, es *store.Store, h *heap, name string, o *store.ProjectOptions) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0 // all events are of one stream, and so of one partition
	err := es.Project(ctx, name, func(_ context.Context, _ *sql.Tx, list []store.Recorded) error {
		for range list {
			h.seen(n)
			n++
		}
		if n >= events {
			cancel()
		}
		return nil
	}, o)
	require.ErrorIs(t, err, context.Canceled)
}

const behind = 100

// live has a subscription fall behind while it is live: the feed offers it what it has no room for.
func live(t *testing.T, b backend, es *store.Store, h *heap) {
	storage := &held{Storage: b, SubscriptionStorage: b, heap: h}
	reader := store.New(storage, &store.Options{PollInterval: 20 * time.Millisecond})
	defer reader.Close() //nolint:errcheck // nothing is lost
	r, err := reader.Subscribe(t.Context(), store.All, "live", &store.SubscribeOptions{Start: store.StartCurrent, MaxSize: 1, WaitForLease: true})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.State().Phase == store.Live }, time.Minute, time.Millisecond)
	storage.fallBehind(t, es, "live", behind)
	take(t, h, r, behind)
}

// watch does the same to a watcher, whose queue has room for their number.
func watch(t *testing.T, b backend, es *store.Store, h *heap) {
	storage := &held{Storage: b, SubscriptionStorage: b, heap: h}
	reader := store.New(storage, &store.Options{PollInterval: 20 * time.Millisecond})
	defer reader.Close() //nolint:errcheck // nothing is lost
	w, err := reader.Watch(t.Context(), store.All, nil)
	require.NoError(t, err)
	storage.fallBehind(t, es, "watched", behind)
	for n := 0; n < behind; {
		list, err := w.Next(t.Context())
		require.NoError(t, err)
		for range list {
			h.seen(n)
			n++
		}
		runtime.KeepAlive(list)
	}
}
