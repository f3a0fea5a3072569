package commanded_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
)

// TestFollowEachTransaction interrupts each run behind its second transaction, until one needs no more.
func TestFollowEachTransaction(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		from := commandedtest.Written(t, commandedtest.JSON)
		all := steps()
		for runs := 0; ; runs++ {
			require.Less(t, runs, 300)
			r, interrupted := interruptedRun(t, from, d, transfer.FollowOptions{Batch: 40, Finish: len(all) == 0}, 2)
			if r.Finished {
				break
			}
			if !interrupted || runs%3 == 2 { // the source goes on meanwhile
				if len(all) > 0 {
					require.NoError(t, all[0].do(t.Context(), from))
					all = all[1:]
				}
			}
		}
		finished(t, from, d)
	})
}

// interruptedRun is a run that is interrupted behind so many transactions. It reports whether it was.
func interruptedRun(t *testing.T, from *commandedtest.Store, d *database.Database, o transfer.FollowOptions, most int) (transfer.Followed, bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s := open(t.Context(), t, from, commanded.Options{})
	defer func() { require.NoError(t, s.Close()) }()
	n := 0
	o.After = func() {
		if n++; n == most {
			stop()
		}
	}
	r, err := transfer.Follow(ctx, d, s, o)
	if ctx.Err() != nil {
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		return r, true
	}
	require.NoError(t, err)
	return r, false
}

// TestFollowInterrupted: the source is written to all the time, and runs are interrupted at twelve random moments. Then a last one goes
// on until the writers have stopped, and the store is made independent.
func TestFollowInterrupted(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		databasetest.Each(t, func(t *testing.T, d *database.Database) {
			t.Logf("seed %d", seed)
			from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
			stop := writing(t, from, seed)
			r := rand.New(rand.NewPCG(seed, 1))
			for kills := 0; kills < 12; {
				if _, interrupted := interruptedRun(t, from, d, transfer.FollowOptions{Batch: r.IntN(20) + 1}, r.IntN(20)+1); interrupted {
					kills++
				}
			}
			forever(t, from, d, stop)
			follow(t, from, d, transfer.FollowOptions{Finish: true})
			finished(t, from, d)
		})
	}
}

// writing writes to a store with two writers, until stop is called.
func writing(t *testing.T, from *commandedtest.Store, seed uint64) (stop func()) {
	t.Helper()
	var stopped atomic.Bool
	var writers sync.WaitGroup
	ctx := context.WithoutCancel(t.Context()) // a statement that is cancelled may still be committed after stop
	random := commandedtest.NewWriter(from, seed)
	for _, write := range []func(i int) error{
		func(int) error { return random.Write(ctx) },
		func(i int) error { return from.Append(ctx, fmt.Sprintf("other-%d", i%3), ids(2)...) },
	} {
		writers.Go(func() {
			for i := 0; !stopped.Load(); i++ {
				if err := write(i); !assert.NoError(t, err) {
					return
				}
			}
		})
	}
	stop = sync.OnceFunc(func() {
		stopped.Store(true)
		writers.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// forever follows until the store has seen the source's end three times; then the writers stop, and it goes on until it has all.
func forever(t *testing.T, from *commandedtest.Store, d *database.Database, stop func()) {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	s := open(t.Context(), t, from, commanded.Options{})
	defer func() { require.NoError(t, s.Close()) }()
	looks, last := 0, int64(-1)
	_, err := transfer.Follow(ctx, d, s, transfer.FollowOptions{Forever: true, Interval: 1, Behind: func(position, head int64) {
		if looks++; looks < 8 {
			return
		}
		if last < 0 {
			stop()
			last = want(t, from)
		}
		if head >= last && looks > 20 {
			interrupt()
		}
	}})
	require.NoError(t, err)
}
