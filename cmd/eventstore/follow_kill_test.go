package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
)

// TestFollowKilled kills the program (SIGKILL) twelve times, each time behind a random number of its transactions, while the source is
// written to. Then --follow goes on until it is interrupted, the writers having stopped, and --finish takes the rest.
func TestFollowKilled(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		const seed = 11
		from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
		stop := write(t, from, seed)
		r := rand.New(rand.NewPCG(seed, 0))
		for range 12 {
			p := start(t, d, "import", "--from-commanded", from.Location.URL.String(), "--follow", "--batch", fmt.Sprint(r.IntN(30)+1))
			p.until(transactions(t, d) + r.Int64N(25) + 1)
			require.NoError(t, p.Process.Kill())
			require.Error(t, p.wait(), "it was killed")
		}
		p := start(t, d, "import", "--from-commanded", from.Location.URL.String(), "--follow")
		p.until(transactions(t, d) + 10)
		stop()
		require.NoError(t, p.Process.Signal(syscall.SIGINT))
		require.NoError(t, p.wait(), "that is how it ends: %s", &p.out)
		require.Contains(t, p.out.String(), " positions behind, at ")
		require.Contains(t, p.out.String(), "the store follows schema \"public\"")

		p = start(t, d, "import", "--from-commanded", from.Location.URL.String(), "--finish")
		require.NoError(t, p.wait(), &p.out)
		require.Equal(t, from.Content(t), commandedtest.OfTarget(t, d))
		p = start(t, d, "verify")
		require.NoError(t, p.wait(), &p.out)
	})
}

// process is the program, running.
type process struct {
	*exec.Cmd
	t     *testing.T
	d     *database.Database
	out   bytes.Buffer
	ended chan error
}

func start(t *testing.T, d *database.Database, args ...string) *process {
	t.Helper()
	path, err := exec.LookPath("eventstore")
	require.NoError(t, err)
	p := &process{Cmd: exec.Command(path, args...), t: t, d: d, ended: make(chan error, 1)}
	where := d.Path
	if d.Kind == database.PostgreSQL {
		where = d.URL.String()
	}
	p.Stdout, p.Stderr, p.Dir = &p.out, &p.out, t.TempDir()
	p.Env = append(os.Environ(), "EVENTSTORE_DB="+where)
	p.Args = append(p.Args, "--schema", d.Schema)
	require.NoError(t, p.Start())
	go func() { p.ended <- p.Wait() }()
	return p
}

func (p *process) wait() error { return <-p.ended }

// until waits until the store has had so many transactions of its import.
func (p *process) until(n int64) {
	p.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for transactions(p.t, p.d) < n {
		select {
		case err := <-p.ended:
			p.t.Fatalf("it has ended: %v\n%s", err, &p.out)
		case <-tick.C:
		}
	}
}

// transactions is how many the import under way has had; 0 if there is none.
func transactions(t *testing.T, d *database.Database) (n int64) {
	t.Helper()
	err := d.QueryRowContext(t.Context(), d.Queries("-- name: done\nselect done from /*schema.*//*prefix*/import_progress").Get("done")).Scan(&n)
	if err != nil && !strings.Contains(err.Error(), "import_progress") {
		require.ErrorIs(t, err, sql.ErrNoRows)
	}
	return n
}

// write writes to a source with two writers, until stop is called.
func write(t *testing.T, from *commandedtest.Store, seed uint64) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	random := commandedtest.NewWriter(from, seed)
	var n atomic.Int64
	for _, one := range []func() error{
		func() error { return random.Write(ctx) },
		func() error { return from.Append(ctx, fmt.Sprintf("other-%d", n.Add(1)%3), commandedtest.NewIDs(2)...) },
	} {
		writers.Go(func() {
			for ctx.Err() == nil {
				if err := one(); ctx.Err() == nil && !assert.NoError(t, err) {
					return
				}
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		writers.Wait()
	})
	t.Cleanup(stop)
	return stop
}
