package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// interposed is a backend whose calls a test counts, delays, or lets fail.
type interposed struct {
	*sqlite.Backend

	mu    sync.Mutex
	calls map[string]func() error
	n     map[string]int
}

// lasting returns a call that takes a while, and then returns err.
func lasting(d time.Duration, err error) func() error {
	return func() error {
		time.Sleep(d)
		return err
	}
}

// count returns how often a method was called since it was last asked.
func (b *interposed) count(method string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.n[method]
	b.n[method] = 0
	return n
}

// on has do called before each call of a method.
func (b *interposed) on(method string, do func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls[method] = do
}

// pass calls what a test has put before a method, and then returns ctx's error if ctx has ended.
func (b *interposed) pass(ctx context.Context, method string) error {
	b.mu.Lock()
	do := b.calls[method]
	b.n[method]++
	b.mu.Unlock()
	if do == nil {
		return nil
	}
	if err := do(); err != nil {
		return err
	}
	return ctx.Err()
}

func (b *interposed) ReadParked(ctx context.Context, r store.ParkedRequest) ([]store.ParkedEvent, error) {
	if err := b.pass(ctx, "ReadParked"); err != nil {
		return nil, err
	}
	return b.Backend.ReadParked(ctx, r)
}

func (b *interposed) ParkedKeys(ctx context.Context, projection string, partition, partitions int) ([]string, error) {
	if err := b.pass(ctx, "ParkedKeys"); err != nil {
		return nil, err
	}
	return b.Backend.ParkedKeys(ctx, projection, partition, partitions)
}

func (b *interposed) ReadEvent(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
	if err := b.pass(ctx, "ReadEvent"); err != nil {
		return store.Recorded{}, err
	}
	return b.Backend.ReadEvent(ctx, id)
}

func (b *interposed) RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
	if err := b.pass(ctx, "RenewLeases"); err != nil {
		return nil, err
	}
	return b.Backend.RenewLeases(ctx, owner, ttl)
}

// view is a projection of All with one partition. Its handler notes the types of the events that it is called for, and fails on
// those that it is told to fail on.
type view struct {
	*store.Store
	callLog
	t       *testing.T
	backend *interposed

	mu     sync.Mutex
	poison map[string]error // by type
	decide map[string]store.Decision
	state  store.SubscriptionState
}

// newView returns a view that does not run yet. It is for a bubble of synctest.
func newView(t *testing.T, opts *store.Options) *view {
	t.Helper()
	db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(t.TempDir(), "events.db")))
	require.NoError(t, err)
	v := &view{
		t: t, backend: &interposed{Backend: sqlite.New(db, nil), calls: map[string]func() error{}, n: map[string]int{}},
		poison: map[string]error{}, decide: map[string]store.Decision{},
	}
	require.NoError(t, migrate.Up(t.Context(), v.backend.Backend))
	v.Store = store.New(v.backend, opts)
	t.Cleanup(func() {
		assert.NoError(t, v.Close())
		assert.NoError(t, db.Close())
	})
	return v
}

// append appends an event to each of the streams that are called like the types.
func (v *view) append(types ...string) {
	v.t.Helper()
	for _, name := range types {
		_, err := v.Append(v.t.Context(), name, store.Any, store.Event{Type: name})
		require.NoError(v.t, err)
	}
}

// fail has the handler fail on events of a type, which is decided about like this.
func (v *view) fail(eventType string, err error, d store.Decision) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.poison[eventType], v.decide[eventType] = err, d
}

func (v *view) handle(_ context.Context, _ *sql.Tx, events []store.Recorded) error {
	for _, e := range events {
		v.mu.Lock()
		err := v.poison[e.Type]
		v.mu.Unlock()
		if err != nil {
			return err
		}
	}
	for _, e := range events {
		v.add("%s", e.Type)
	}
	return nil
}

// start runs the projection until the test ends.
func (v *view) start(opts store.ProjectOptions) {
	opts.OnError = func(e store.Recorded, _ error, attempt int) store.Decision {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.add("%s failed %d", e.Type, attempt)
		return v.decide[e.Type]
	}
	opts.OnState = func(_ int, s store.SubscriptionState) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.state = s
	}
	ctx, cancel := context.WithCancel(v.t.Context())
	done := make(chan error, 1)
	go func() { done <- v.Project(ctx, "view", v.handle, &opts) }()
	v.t.Cleanup(func() {
		cancel()
		assert.ErrorIs(v.t, <-done, context.Canceled)
	})
}

// part returns what the list says of the partition.
func (v *view) part() store.PartitionInfo {
	v.t.Helper()
	i, err := v.Projection(v.t.Context(), "view")
	require.NoError(v.t, err)
	require.Len(v.t, i.Partitions, 1)
	return i.Partitions[0]
}

// lastError returns the last error of the partition, with the number of its event.
func (v *view) lastError() string {
	v.t.Helper()
	p := v.part()
	if p.LastError == "" {
		return ""
	}
	return fmt.Sprintf("%d: %s", p.LastErrorNumber, p.LastError)
}

// replay has parked events of a type replayed.
func (v *view) replay(eventType string) {
	v.t.Helper()
	n, err := v.ReplayParked(v.t.Context(), "view", &store.ParkedFilter{Keys: []string{eventType}})
	require.NoError(v.t, err)
	require.Positive(v.t, n)
}

// TestReplaysDoNotStarveNewEvents: retries of replays that fall due faster than they are handled do not keep new events waiting.
func TestReplaysDoNotStarveNewEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, nil)
		for n := range 30 {
			name := fmt.Sprint("poison-", n)
			v.append(name)
			v.fail(name, errPoison, store.Park)
		}
		v.start(store.ProjectOptions{MinBackoff: time.Second, MaxBackoff: time.Second})
		time.Sleep(time.Minute)
		require.EqualValues(t, 30, v.part().Parked)
		for n := range 30 {
			name := fmt.Sprint("poison-", n)
			v.fail(name, errPoison, store.Retry)
			v.replay(name)
		}
		v.backend.on("ReadEvent", lasting(time.Second, nil))
		time.Sleep(10 * time.Minute)
		v.take()
		v.append("new", "new")
		time.Sleep(2 * time.Minute)
		applied := slices.DeleteFunc(v.take(), func(call string) bool { return call != "new" })
		assert.Equal(t, []string{"new", "new"}, applied)
	})
}

// TestNoReplayWithoutLease: while the lease is not valid, nothing that is parked is read, however long a retry is due.
func TestNoReplayWithoutLease(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(v *view){
		"another process has it": func(v *view) {
			i := v.part()
			require.NoError(v.t, v.backend.ReleaseLease(v.t.Context(), store.CheckpointRequest{
				ID: i.SubscriptionID, Epoch: i.Epoch, Checkpoint: i.Checkpoint, StreamID: i.StreamID, Seen: i.Seen,
			}))
			_, err := v.backend.AcquireLease(v.t.Context(), store.LeaseRequest{ID: i.SubscriptionID, Owner: "another", TTL: time.Hour})
			require.NoError(v.t, err)
		},
		"it can't be renewed": func(v *view) { v.backend.on("RenewLeases", func() error { return errUnreachable }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := newView(t, nil)
				v.append("a")
				v.fail("a", errPoison, store.Park)
				v.start(store.ProjectOptions{MinBackoff: time.Second, MaxBackoff: time.Second})
				time.Sleep(time.Minute)
				v.fail("a", errPoison, store.Retry)
				v.replay("a")
				time.Sleep(time.Minute)
				v.backend.on("ReadParked", lasting(100*time.Millisecond, nil))
				lose(v)
				time.Sleep(2 * time.Minute) // it has noticed
				v.backend.count("ReadParked")
				v.take()
				time.Sleep(10 * time.Second)
				assert.Zero(t, v.backend.count("ReadParked"))
				assert.Empty(t, v.take())
			})
		})
	}
}

// TestUnknownVersionGivenUp: when an event of an unknown version was parked, or skipped, the partition is not Waiting any more.
func TestUnknownVersionGivenUp(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]store.Decision{"parked": store.Park, "skipped": store.Skip} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := newView(t, nil)
				state := func() store.SubscriptionState {
					v.mu.Lock()
					defer v.mu.Unlock()
					return v.state
				}
				v.append("unknown", "known")
				v.fail("unknown", store.ErrUnknownVersion, store.Retry)
				v.start(store.ProjectOptions{})
				time.Sleep(5 * time.Minute)
				require.Equal(t, store.Waiting, state().Phase)
				require.ErrorIs(t, state().Err, store.ErrUnknownVersion)
				v.take()
				v.fail("unknown", store.ErrUnknownVersion, d)
				time.Sleep(5 * time.Minute)
				require.Contains(t, v.take(), "known")
				assert.Equal(t, store.SubscriptionState{Phase: store.Live}, state())
			})
		})
	}
}

// TestLastErrorBesideReplays: an event that is applied, new or replayed, clears no error of another that still fails; and an error
// is over when its event is applied, or discarded.
func TestLastErrorBesideReplays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, nil)
		v.append("a", "b", "c")
		v.fail("a", errPoison, store.Park)
		v.fail("b", errPoison, store.Park)
		v.fail("c", errUnreachable, store.Retry)
		v.start(store.ProjectOptions{MinBackoff: 10 * time.Minute, MaxBackoff: 10 * time.Minute})
		wait := func(fails string, why string) {
			t.Helper()
			time.Sleep(10 * time.Second)
			require.Equal(t, fails, v.lastError(), why)
		}
		const aFails, cFails = "1: poison", "3: the database can't be reached"
		wait(cFails, "the others are parked")
		v.fail("b", nil, store.Park)
		v.replay("b")
		wait(cFails, "b was replayed")
		require.EqualValues(t, 1, v.part().Parked)
		v.fail("c", nil, store.Park)
		time.Sleep(20 * time.Minute)
		wait("", "c was applied")

		v.fail("a", errPoison, store.Retry)
		v.replay("a")
		wait(aFails, "it is to be retried")
		v.append("c")
		wait(aFails, "another event was applied")
		v.fail("b", errPoison, store.Park)
		v.append("b")
		wait(aFails, "another event was parked")
		v.fail("b", nil, store.Park)
		v.replay("b")
		wait(aFails, "another event was replayed")
		require.EqualValues(t, 1, v.part().Parked)
		n, err := v.DiscardParked(t.Context(), "view", nil)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		wait("", "it was discarded")

		v.fail("a", errPoison, store.Park)
		v.append("a")
		wait("", "it was parked")
		v.fail("a", errPoison, store.Retry)
		v.replay("a")
		wait("6: poison", "it is to be retried")
		v.fail("a", nil, store.Park)
		time.Sleep(20 * time.Minute)
		wait("", "it was applied")
	})
}

// TestReplayBehindMany: a parked event that waits to be retried waits as long as it should, and new events do not, however many events
// are parked behind it, and even if it takes longer than Timeout to pass them all.
func TestReplayBehindMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, nil)
		const behind = 1100
		list := make([]store.Event, 1+behind)
		for i := range list {
			list[i].Type = "a"
		}
		_, err := v.Append(t.Context(), "a", store.Any, list...)
		require.NoError(t, err)
		v.fail("a", errPoison, store.Park)
		v.start(store.ProjectOptions{MinBackoff: 2 * time.Minute, MaxBackoff: 2 * time.Minute, Timeout: 10 * time.Second, BatchSize: 50})
		time.Sleep(time.Minute)
		require.EqualValues(t, 1+behind, v.part().Parked)
		require.Equal(t, []string{"a failed 1"}, v.take())
		v.backend.on("ReadParked", lasting(4*time.Second, nil))
		v.fail("a", errPoison, store.Retry)
		epoch := v.part().Epoch
		n, err := v.ReplayParked(t.Context(), "view", &store.ParkedFilter{Numbers: []int64{1}})
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		time.Sleep(30 * time.Second)
		v.append("new")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"a failed 1", "new"}, v.take())
		v.backend.count("ReadParked")
		v.backend.count("ReadEvent")
		time.Sleep(12 * time.Minute)
		attempts := v.take()
		require.InDelta(t, 6, len(attempts), 3, "each after about two minutes: %v", attempts)
		for i, got := range attempts {
			require.Equal(t, fmt.Sprint("a failed ", i+2), got)
		}
		assert.LessOrEqual(t, v.backend.count("ReadParked"), 4*len(attempts), "pages of parked events that were read")
		assert.LessOrEqual(t, v.backend.count("ReadEvent"), len(attempts), "of what is behind it nothing is read")
		assert.Equal(t, epoch, v.part().Epoch, "the lease was not lost meanwhile")
		v.fail("a", nil, store.Park)
		time.Sleep(6 * time.Minute)
		assert.Zero(t, v.part().Parked)
		assert.Len(t, v.take(), 1+behind)
	})
}

// TestReplayUnreadable: while what is parked can't be read, new events of other keys are applied, and no retry is forgotten.
func TestReplayUnreadable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, nil)
		v.append("a")
		v.fail("a", errPoison, store.Park)
		v.start(store.ProjectOptions{MinBackoff: time.Minute, MaxBackoff: time.Minute, Timeout: 10 * time.Second, RetryInterval: time.Second})
		time.Sleep(time.Minute)
		v.fail("a", errPoison, store.Retry)
		v.replay("a")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"a failed 1", "a failed 1"}, v.take())
		epoch := v.part().Epoch
		v.backend.count("ReadParked")
		v.backend.on("ReadParked", lasting(100*time.Millisecond, errUnreachable))
		time.Sleep(5 * time.Minute)
		require.Empty(t, v.take())
		require.Equal(t, "0: "+errUnreachable.Error(), v.lastError())
		require.InDelta(t, 200, v.backend.count("ReadParked"), 150, "about once in RetryInterval")
		v.append("new")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"new"}, v.take())
		require.Equal(t, "0: "+errUnreachable.Error(), v.lastError())
		v.backend.on("ReadParked", nil)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"a failed 2"}, v.take())
		assert.Equal(t, "1: poison", v.lastError())
		assert.Equal(t, epoch, v.part().Epoch, "the lease was not lost meanwhile")
	})
}

// TestParkedKeysUnreadable: as long as a process that takes over can't read which keys are parked, it applies nothing.
func TestParkedKeysUnreadable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, nil)
		v.backend.on("ParkedKeys", lasting(100*time.Millisecond, errUnreachable))
		v.append("a", "b")
		v.start(store.ProjectOptions{RetryInterval: time.Second})
		time.Sleep(5 * time.Minute)
		require.Empty(t, v.take())
		require.Equal(t, "0: "+errUnreachable.Error(), v.lastError())
		require.InDelta(t, 200, v.backend.count("ParkedKeys"), 150, "about once in RetryInterval")
		epoch := v.part().Epoch
		v.backend.on("ParkedKeys", nil)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"a", "b"}, v.take())
		assert.Empty(t, v.lastError())
		assert.Equal(t, epoch, v.part().Epoch, "the lease was not lost meanwhile")
	})
}

// TestReplaySlowReads: parked events are applied also if it takes longer than Timeout to read as many as are applied at a time.
func TestReplaySlowReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, nil)
		list := make([]store.Event, 100)
		for i := range list {
			list[i].Type = "a"
		}
		_, err := v.Append(t.Context(), "a", store.Any, list...)
		require.NoError(t, err)
		v.fail("a", errPoison, store.Park)
		v.start(store.ProjectOptions{Timeout: 10 * time.Second})
		time.Sleep(time.Minute)
		require.EqualValues(t, len(list), v.part().Parked)
		v.take()
		v.backend.on("ReadEvent", lasting(3*time.Second, nil))
		v.fail("a", nil, store.Park)
		v.replay("a")
		time.Sleep(30 * time.Second)
		require.NotEmpty(t, v.take(), "the first are applied before all are read")
		time.Sleep(10 * time.Minute)
		assert.Zero(t, v.part().Parked)
		assert.Empty(t, v.lastError())
	})
}

// TestDiscardedWhileReplayed: a parked event that is discarded when its replay has begun is not applied, and retries of other keys go
// on as they would have.
func TestDiscardedWhileReplayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, nil)
		v.append("a", "b", "b")
		v.fail("a", errPoison, store.Park)
		v.fail("b", errPoison, store.Park)
		v.start(store.ProjectOptions{MinBackoff: 2 * time.Minute, MaxBackoff: 2 * time.Minute})
		time.Sleep(10 * time.Second)
		v.fail("a", errPoison, store.Retry)
		v.fail("b", nil, store.Park)
		v.replay("a")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"a failed 1", "b failed 1", "a failed 1"}, v.take())
		epoch := v.part().Epoch
		v.backend.on("ReadEvent", func() error {
			v.backend.on("ReadEvent", nil)
			n, err := v.DiscardParked(t.Context(), "view", &store.ParkedFilter{Numbers: []int64{2}})
			assert.EqualValues(t, 1, n)
			return err
		})
		v.replay("b")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"b", "b", "b"}, v.take(), "both in a transaction that was rolled back, then the second")
		assert.EqualValues(t, 1, v.part().Parked)
		time.Sleep(3 * time.Minute)
		require.Equal(t, "a failed 2", v.take()[0], "it goes on counting")
		assert.Equal(t, epoch, v.part().Epoch, "the lease was not lost meanwhile")
	})
}
