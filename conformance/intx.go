package conformance

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// inTx is a storage whose calls run in a caller's transaction: all in one, which is committed before the global order
// is read, or each in its own. After an error the transaction must still be usable, and is committed.
type inTx struct {
	store.Storage // for what is read outside
	tb            testing.TB
	begin         func(ctx context.Context, s store.Storage) (*sql.Tx, error)
	each          bool

	mu sync.Mutex
	tx *sql.Tx // the one transaction, or nil
}

func newInTx(tb testing.TB, r trial, s store.Storage) store.Storage {
	in := &inTx{Storage: s, tb: tb, begin: r.beginTx, each: r.tx == manyTx}
	tb.Cleanup(func() {
		if err := in.commit(); !tb.Failed() {
			assert.NoError(tb, err, "commit at the end of the case")
		}
	})
	if _, ok := s.(store.SubscriptionStorage); ok {
		return inTxKeeper{in}
	}
	return in
}

// beginTx begins a transaction as the harness does.
func (h Harness) beginTx(ctx context.Context, s store.Storage) (*sql.Tx, error) {
	if h.Begin != nil {
		return h.Begin(ctx, s)
	}
	return s.(store.Transactional).BeginTx(ctx, nil)
}

// do runs f in a transaction.
func (s *inTx) do(ctx context.Context, f func(store.Storage) error) error {
	if s.each {
		return s.alone(ctx, f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		tx, err := s.begin(context.WithoutCancel(ctx), s.Storage)
		if err != nil {
			return err
		}
		s.tx = tx
	}
	return s.usable(ctx, s.tx, f(s.bound(s.tx)))
}

// alone runs f in a transaction of its own, again if the database gives the transaction up.
func (s *inTx) alone(ctx context.Context, f func(store.Storage) error) error {
	for {
		tx, err := s.begin(ctx, s.Storage)
		if err != nil {
			return err
		}
		err = s.usable(ctx, tx, f(s.bound(tx)))
		if err != nil && (ctx.Err() != nil || errors.Is(err, store.ErrRetryTx)) {
			_ = tx.Rollback()
			if ctx.Err() != nil {
				return err
			}
			continue
		}
		if failed := tx.Commit(); failed != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return failed
		}
		return err
	}
}

// usable checks that an error left the transaction usable, and returns the error.
func (s *inTx) usable(ctx context.Context, tx *sql.Tx, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, store.ErrRetryTx) {
		return err
	}
	_, probe := s.bound(tx).StreamInfo(ctx, "no such stream, but the transaction is usable")
	assert.ErrorIs(s.tb, probe, store.ErrStreamNotFound, "the transaction can't be used after: %v", err)
	return err
}

func (s *inTx) bound(tx *sql.Tx) store.Storage { return s.Storage.(store.Transactional).WithTx(tx) }

// commit commits the one transaction, if it is open.
func (s *inTx) commit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		return nil
	}
	err := s.tx.Commit()
	s.tx = nil
	return err
}

// call is do for a call with a result.
func call[R any](ctx context.Context, s *inTx, f func(store.Storage) (R, error)) (result R, err error) {
	err = s.do(ctx, func(b store.Storage) error {
		result, err = f(b)
		return err
	})
	return result, err
}

func (s *inTx) Append(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
	return call(ctx, s, func(b store.Storage) (store.AppendResult, error) { return b.Append(ctx, r) })
}

func (s *inTx) AppendAll(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
	return call(ctx, s, func(b store.Storage) ([]store.AppendResult, error) {
		return b.(store.MultiAppender).AppendAll(ctx, list)
	})
}

func (s *inTx) Link(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
	return call(ctx, s, func(b store.Storage) (store.AppendResult, error) { return b.Link(ctx, r) })
}

func (s *inTx) Delete(ctx context.Context, r store.DeleteRequest) error {
	return s.do(ctx, func(b store.Storage) error { return b.Delete(ctx, r) })
}

func (s *inTx) Undelete(ctx context.Context, r store.UndeleteRequest) error {
	return s.do(ctx, func(b store.Storage) error { return b.Undelete(ctx, r) })
}

func (s *inTx) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	return call(ctx, s, func(b store.Storage) (store.StreamPart, error) { return b.ReadStream(ctx, r) })
}

func (s *inTx) ReadEvent(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
	return call(ctx, s, func(b store.Storage) (store.Recorded, error) { return b.ReadEvent(ctx, id) })
}

func (s *inTx) StreamInfo(ctx context.Context, stream string) (store.StreamInfo, error) {
	return call(ctx, s, func(b store.Storage) (store.StreamInfo, error) { return b.StreamInfo(ctx, stream) })
}

func (s *inTx) ListStreams(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
	return call(ctx, s, func(b store.Storage) ([]store.StreamInfo, error) { return b.ListStreams(ctx, r) })
}

func (s *inTx) CountStreams(ctx context.Context, f store.StreamFilter) (int64, error) {
	return call(ctx, s, func(b store.Storage) (int64, error) { return b.CountStreams(ctx, f) })
}

// ReadAll commits first: events have no position before.
func (s *inTx) ReadAll(ctx context.Context, r store.ReadRequest) (store.Part, error) {
	require.NoError(s.tb, s.commit(), "commit before a read of all events")
	return s.Storage.ReadAll(ctx, r)
}

// Head commits first, as ReadAll does.
func (s *inTx) Head(ctx context.Context) (int64, error) {
	require.NoError(s.tb, s.commit(), "commit before asking for the head")
	return s.Storage.Head(ctx)
}

// PositionAt commits first, as ReadAll does.
func (s *inTx) PositionAt(ctx context.Context, t time.Time) (int64, error) {
	require.NoError(s.tb, s.commit(), "commit before asking for a position")
	return s.Storage.(store.PastStorage).PositionAt(ctx, t)
}

// VersionAt commits first, as ReadAll does.
func (s *inTx) VersionAt(ctx context.Context, stream string, position int64) (int64, error) {
	require.NoError(s.tb, s.commit(), "commit before asking for a version")
	return s.Storage.(store.PastStorage).VersionAt(ctx, stream, position)
}

func (s *inTx) Close() error {
	if c, ok := s.Storage.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (s *inTx) ReadSnapshot(ctx context.Context, sourceID string) (store.RecordedSnapshot, error) {
	return call(ctx, s, func(b store.Storage) (store.RecordedSnapshot, error) { return b.ReadSnapshot(ctx, sourceID) })
}

func (s *inTx) RecordSnapshot(ctx context.Context, r store.SnapshotRequest) error {
	return s.do(ctx, func(b store.Storage) error { return b.RecordSnapshot(ctx, r) })
}

func (s *inTx) DeleteSnapshot(ctx context.Context, sourceID string) error {
	return s.do(ctx, func(b store.Storage) error { return b.DeleteSnapshot(ctx, sourceID) })
}
