package postgres_test

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/conformance"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// TestConformanceOfReplica runs the suite over a backend with Options.Reads: a part of it where that is the primary itself, and all of it,
// also where that is a streaming standby, if EVENTSTORE_TEST_STANDBY is set (make test/standby).
func TestConformanceOfReplica(t *testing.T) {
	t.Parallel()
	whole := os.Getenv("EVENTSTORE_TEST_STANDBY") != ""
	for _, driver := range pgtest.Drivers() {
		if !whole && driver != "pgx" {
			continue
		}
		t.Run("same/"+driver, func(t *testing.T) {
			t.Parallel()
			only := []string{"all/"}
			if whole {
				only = nil
			}
			at := &places{t: t, driver: driver, conns: 8}
			conformance.Run(t, conformance.Harness{
				Name: "postgres/" + driver + "/reads=same", NotInTx: true, Only: only,
				New: func(tb testing.TB) store.Storage {
					reads := pgtest.Open(tb, driver, pgtest.URL(tb))
					return newCaughtUp(at.openWith(tb, reads), nil)
				},
			})
		})
		if !whole {
			continue
		}
		t.Run("standby/"+driver, func(t *testing.T) {
			t.Parallel()
			primary := pgtest.StartServer(t, "wal_level=replica", "max_wal_senders=10", "hot_standby=on", "wal_keep_size=256MB", "max_standby_streaming_delay=0")
			standby := primary.StartStandby(t)
			conformance.Run(t, conformance.Harness{
				Name: "postgres/" + driver + "/reads=standby", NotInTx: true,
				New: func(tb testing.TB) store.Storage {
					db, reads := pgtest.Open(tb, driver, primary.URL()), pgtest.Open(tb, driver, standby.URL())
					for _, pool := range []*sql.DB{db, reads} {
						pool.SetMaxOpenConns(8)
						pool.SetMaxIdleConns(8)
					}
					b := postgres.New(db, &postgres.Options{Schema: "test_" + uuid.NewString()[:8], Reads: reads})
					require.NoError(tb, migrate.Up(tb.Context(), b))
					tb.Cleanup(func() { require.NoError(tb, b.Close()) })
					return newCaughtUp(b, func(ctx context.Context) error { return replayed(ctx, db, reads) })
				},
			})
		})
	}
}

// replayed waits until a standby shows what its primary has committed.
func replayed(ctx context.Context, primary, standby *sql.DB) error {
	var lsn string
	if err := primary.QueryRowContext(ctx, `select pg_current_wal_insert_lsn()::text`).Scan(&lsn); err != nil {
		return err
	}
	every := time.NewTicker(time.Millisecond)
	defer every.Stop()
	for {
		var done bool
		if err := standby.QueryRowContext(ctx, `select pg_last_wal_replay_lsn() >= $1::text::pg_lsn`, lsn).Scan(&done); err != nil || done {
			return err
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// caughtUp is a backend whose replica waits before each read until it shows what was committed before: cases read what they have written.
type caughtUp struct {
	*postgres.Backend
	reads *waiting
}

func newCaughtUp(b *postgres.Backend, wait func(ctx context.Context) error) *caughtUp {
	return &caughtUp{b, &waiting{b.Replica().(replicaStorage), b, wait}}
}

func (c *caughtUp) Replica() store.Storage { return c.reads }

// replicaStorage is what the Store looks for in a replica.
type replicaStorage interface {
	store.Storage
	store.SubscriptionStorage
	store.CorrelationStorage
	store.PastStorage
	store.ParallelReader
	store.Recycler
	store.Checker
}

type waiting struct {
	replicaStorage
	primary *postgres.Backend
	wait    func(ctx context.Context) error // or nil
}

// caughtUp waits. What was committed gets its position before.
func (w *waiting) caughtUp(ctx context.Context) error {
	if _, err := w.primary.Head(ctx); err != nil || w.wait == nil {
		return err
	}
	return w.wait(ctx)
}

func waited[T any](ctx context.Context, w *waiting, read func() (T, error)) (T, error) {
	if err := w.caughtUp(ctx); err != nil {
		var none T
		return none, err
	}
	return read()
}

func (w *waiting) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	return waited(ctx, w, func() (store.StreamPart, error) { return w.replicaStorage.ReadStream(ctx, r) })
}

func (w *waiting) ReadAll(ctx context.Context, r store.ReadRequest) (store.Part, error) {
	return waited(ctx, w, func() (store.Part, error) { return w.replicaStorage.ReadAll(ctx, r) })
}

func (w *waiting) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64, err error) {
	if err := w.caughtUp(ctx); err != nil {
		return nil, r.From, err
	}
	return w.replicaStorage.ReadFiltered(ctx, r, f)
}

func (w *waiting) PositionAt(ctx context.Context, t time.Time) (int64, error) {
	return waited(ctx, w, func() (int64, error) { return w.replicaStorage.PositionAt(ctx, t) })
}

func (w *waiting) VersionAt(ctx context.Context, stream string, position int64) (int64, error) {
	return waited(ctx, w, func() (int64, error) { return w.replicaStorage.VersionAt(ctx, stream, position) })
}

func (w *waiting) ReadCorrelation(ctx context.Context, r store.CorrelationRequest) (store.CorrelationPart, error) {
	return waited(ctx, w, func() (store.CorrelationPart, error) { return w.replicaStorage.ReadCorrelation(ctx, r) })
}

func (w *waiting) ReadEvent(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
	return waited(ctx, w, func() (store.Recorded, error) { return w.replicaStorage.ReadEvent(ctx, id) })
}

func (w *waiting) Head(ctx context.Context) (int64, error) {
	return waited(ctx, w, func() (int64, error) { return w.replicaStorage.Head(ctx) })
}

func (w *waiting) StreamInfo(ctx context.Context, stream string) (store.StreamInfo, error) {
	return waited(ctx, w, func() (store.StreamInfo, error) { return w.replicaStorage.StreamInfo(ctx, stream) })
}

func (w *waiting) ListStreams(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
	return waited(ctx, w, func() ([]store.StreamInfo, error) { return w.replicaStorage.ListStreams(ctx, r) })
}

func (w *waiting) CountStreams(ctx context.Context, f store.StreamFilter) (int64, error) {
	return waited(ctx, w, func() (int64, error) { return w.replicaStorage.CountStreams(ctx, f) })
}

func (w *waiting) ReadSnapshot(ctx context.Context, sourceID string) (store.RecordedSnapshot, error) {
	return waited(ctx, w, func() (store.RecordedSnapshot, error) { return w.replicaStorage.ReadSnapshot(ctx, sourceID) })
}
