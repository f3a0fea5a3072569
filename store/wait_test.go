package store_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// TestWaitForStarting: WaitFor waits for a projection that is not there yet, but not for ever.
func TestWaitForStarting(t *testing.T) {
	t.Parallel()
	es := projectingStore(t, nil)
	res, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: "happened"})
	require.NoError(t, err)
	waited := make(chan error, 2)
	go func() { waited <- es.WaitFor(t.Context(), "p", res) }()
	go func() { waited <- es.WaitForPosition(t.Context(), "p", 1) }()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- es.Project(ctx, "p", applied, nil) }()
	require.NoError(t, <-waited)
	require.NoError(t, <-waited)
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)

	hasty := projectingStore(t, &store.Options{LeaseTTL: 10 * time.Millisecond})
	require.ErrorIs(t, hasty.WaitForPosition(t.Context(), "misspelled", 1), store.ErrProjectionNotFound)
	db, err := sql.Open("sqlite", sqlite.Memory())
	require.NoError(t, err)
	backend := sqlite.New(db, nil)
	require.NoError(t, migrate.Up(t.Context(), backend))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = store.New(lookedAt{backend, cancel}, nil).WaitForPosition(ctx, "misspelled", 1)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, store.ErrProjectionNotFound, "that it is not there is said, too")
	require.NoError(t, db.Close())
}

// lookedAt calls back when projections were read.
type lookedAt struct {
	*sqlite.Backend
	looked func()
}

func (l lookedAt) ReadProjections(ctx context.Context, name string) ([]store.ProjectionRecord, error) {
	defer l.looked()
	return l.Backend.ReadProjections(ctx, name)
}

func applied(context.Context, *sql.Tx, []store.Recorded) error { return nil }

// TestWaitForParked: WaitFor returns an error for what stays parked, and waits for what is about to be applied.
func TestWaitForParked(t *testing.T) {
	t.Parallel()
	es := projectingStore(t, &store.Options{PollInterval: 10 * time.Millisecond})
	var results []store.AppendResult
	for _, n := range []string{"good", "bad", "behind"} {
		res, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: n})
		require.NoError(t, err)
		results = append(results, res)
	}
	wait := func(n int) error { return es.WaitFor(t.Context(), "p", results[n]) }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	run := func() {
		ended <- es.Project(ctx, "p", func(_ context.Context, _ *sql.Tx, events []store.Recorded) error {
			for _, e := range events {
				if e.Type == "bad" {
					return errBoom
				}
			}
			return nil
		}, &store.ProjectOptions{OnError: store.RetryThen(1, store.Park)})
	}
	go run()
	require.NoError(t, wait(0))
	require.ErrorIs(t, wait(1), store.ErrParked)
	require.ErrorIs(t, wait(2), store.ErrParked)
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
	_, err := es.DiscardParked(t.Context(), "p", &store.ParkedFilter{Numbers: []int64{2}})
	require.NoError(t, err)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, es.WaitFor(short, "p", results[2]), context.DeadlineExceeded, "nobody runs it")
	assert.NoError(t, wait(1), "it is not parked")
	ctx, stop = context.WithCancel(t.Context())
	go run()
	require.NoError(t, wait(2))
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
}
