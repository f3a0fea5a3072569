package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/store"
)

// TestWriterProcess is not a test: it is what TestProcesses starts, told by the environment.
func TestWriterProcess(t *testing.T) {
	dsn := os.Getenv("EVENTSTORE_TEST_DSN")
	if dsn == "" {
		t.Skip("excused: TestProcesses starts it")
	}
	appendMany(t, dsn, os.Getenv("EVENTSTORE_TEST_WRITER"))
}

const (
	writersEach = 4
	appendsEach = 25
)

// appendMany appends from several goroutines, half of them to a stream that all share.
func appendMany(tb testing.TB, dsn, name string) {
	es := store.New(sqlite.New(handle(tb, dsn, 0), nil), nil)
	defer es.Close() //nolint:errcheck // that is the end
	var wg sync.WaitGroup
	for w := range writersEach {
		wg.Go(func() {
			stream := "shared"
			if w%2 == 0 {
				stream = fmt.Sprintf("%s-%d", name, w)
			}
			for range appendsEach {
				_, err := es.Append(tb.Context(), stream, store.Any, events(2)...)
				assert.NoError(tb, err)
			}
		})
	}
	wg.Wait()
}

// checkAll checks that the store has n events, in an order that keeps the promises.
func checkAll(t *testing.T, es *store.Store, n int64) {
	t.Helper()
	versions := map[string]int64{}
	last, position := "", int64(0)
	for e, err := range es.All(t.Context(), nil) {
		require.NoError(t, err)
		position++
		require.Equal(t, position, e.Number)
		versions[e.Stream]++
		require.Equal(t, versions[e.Stream], e.Version)
		if position%2 == 0 {
			require.Equal(t, last, e.Stream, "events of one append are adjacent")
		}
		last = e.Stream
	}
	require.Equal(t, n, position)
}

func TestHandles(t *testing.T) {
	t.Parallel()
	dsn := file(t)
	es := store.New(backend(t, handle(t, dsn, 0), nil), nil)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { appendMany(t, dsn, fmt.Sprint("handle", i)) })
	}
	wg.Wait()
	checkAll(t, es, 4*writersEach*appendsEach*2)
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	dsn := file(t)
	es := store.New(backend(t, handle(t, dsn, 0), nil), nil)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriterProcess$")
			cmd.Env = append(os.Environ(), "EVENTSTORE_TEST_DSN="+dsn, fmt.Sprint("EVENTSTORE_TEST_WRITER=process", i))
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err, string(out))
		})
	}
	wg.Wait()
	checkAll(t, es, 3*writersEach*appendsEach*2)
}

// Appends that are committed together keep their own outcomes. They queue up here behind a transaction that is open.
func TestBatchOutcomes(t *testing.T) {
	t.Parallel()
	es, db := newStore(t)
	ctx := t.Context()
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)

	cancelled, cancel := context.WithCancel(ctx)
	errs := make([]error, 12)
	gone := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			switch i % 3 {
			case 0: // one of these wins
				_, errs[i] = es.Append(ctx, "contended", store.NoStream, events(1)...)
			case 1:
				_, errs[i] = es.Append(ctx, fmt.Sprint("own", i), store.NoStream, events(3)...)
			case 2:
				_, errs[i] = es.Append(cancelled, "cancelled", store.Any, events(1)...)
				gone <- struct{}{}
			}
		})
	}
	cancel()
	for range 4 {
		<-gone // before the lock comes free, so that none of them was written
	}
	require.NoError(t, tx.Rollback())
	wg.Wait()

	won := 0
	for i, err := range errs {
		switch {
		case i%3 == 2:
			assert.ErrorIs(t, err, context.Canceled)
		case i%3 == 1:
			assert.NoError(t, err)
		case err == nil:
			won++
		default:
			assert.ErrorIs(t, err, store.ErrStreamExists)
		}
	}
	assert.Equal(t, 1, won)
	head, err := es.Head(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1+4*3, head)
	_, err = es.StreamInfo(ctx, "cancelled")
	require.ErrorIs(t, err, store.ErrStreamNotFound)
}

// With one connection everything still works, in and out of transactions, and whoever waits for it can be cancelled.
func TestPoolOfOne(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]string{"file": file(t), "memory": sqlite.Memory()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			es := store.New(backend(t, handle(t, dsn, 1), nil), nil)
			waiting, cancel := context.WithCancel(ctx)
			done := make(chan error)
			err := es.InTx(ctx, func(tx *sql.Tx) error {
				go func() {
					_, err := es.Append(waiting, "b", store.Any, events(1)...)
					done <- err
				}()
				_, err := es.WithTx(tx).Append(ctx, "a", store.NoStream, events(2)...)
				cancel()
				assert.ErrorIs(t, <-done, context.Canceled)
				return err
			})
			require.NoError(t, err)
			for _, err := range es.Stream(ctx, "a", nil) {
				require.NoError(t, err)
				_, err = es.Append(ctx, "c", store.Any, events(1)...)
				require.NoError(t, err)
			}
			head, err := es.Head(ctx)
			require.NoError(t, err)
			require.EqualValues(t, 4, head)
		})
	}
}

// TestOneConnectionWaits: of the writes that wait for another's transaction one waits in the database, and the others in the process,
// so that a pool of ten is not used up, and reads go on.
func TestOneConnectionWaits(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{false, true} {
		t.Run(fmt.Sprintf("alone=%t", alone), func(t *testing.T) {
			t.Parallel()
			dsn := file(t)
			db := handle(t, dsn, 10)
			es := store.New(backend(t, db, &sqlite.Options{NoGroupCommit: alone}), &store.Options{HardDelete: true})
			first, err := es.Append(t.Context(), "held", store.NoStream, events(1)...)
			require.NoError(t, err)
			_, err = es.Append(t.Context(), "gone", store.NoStream, events(1)...)
			require.NoError(t, err)
			page, err := es.Page(t.Context(), "gone", nil)
			require.NoError(t, err)
			other := store.New(sqlite.New(handle(t, dsn, 1), nil), nil)
			written, commit := make(chan struct{}), make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				assert.NoError(t, other.InTx(t.Context(), func(tx *sql.Tx) error {
					_, err := other.WithTx(tx).Append(t.Context(), "held", store.Any, events(1)...)
					close(written)
					<-commit
					return err
				}))
			})
			<-written
			began := make(chan struct{})
			for i := range 24 {
				wg.Go(func() {
					began <- struct{}{}
					_, err := es.Append(t.Context(), "held", store.Any, events(1)...)
					assert.NoError(t, err)
					if i == 0 {
						_, err = es.Link(t.Context(), "held", store.Any, page[0].ID)
						assert.NoError(t, err)
					}
				})
			}
			for range 24 {
				<-began
			}
			for range 20 {
				page, err := es.Page(t.Context(), "held", nil)
				require.NoError(t, err)
				require.Len(t, page, int(first.Last))
				require.LessOrEqual(t, db.Stats().InUse, 1)
			}
			close(commit)
			wg.Wait()
			info, err := es.StreamInfo(t.Context(), "held")
			require.NoError(t, err)
			require.EqualValues(t, 27, info.Version)
		})
	}
}
