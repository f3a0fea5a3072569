package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/store"
)

// A DSN of the application's own, with deferred transactions.
func deferred(tb testing.TB) string {
	tb.Helper()
	return "file:" + filepath.Join(tb.TempDir(), "events.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"
}

// A deferred transaction that has read an older state can't write any more: it has to be run again.
func TestDeferredOutrun(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := handle(t, deferred(t), 0)
	es := store.New(backend(t, db, nil), nil)
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = es.WithTx(tx).Head(ctx)
	require.NoError(t, err)
	_, err = es.Append(ctx, "a", store.Any, events(1)...)
	require.NoError(t, err)

	_, err = es.WithTx(tx).Append(ctx, "b", store.Any, events(1)...)
	require.ErrorIs(t, err, store.ErrRetryTx)
	_, err = es.WithTx(tx).Head(ctx)
	require.NoError(t, err, "reading goes on")
	require.NoError(t, tx.Rollback())

	// InTx takes the lock first, whatever the DSN says.
	b := sqlite.New(db, nil)
	tx, err = b.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = es.WithTx(tx).Head(ctx)
	require.NoError(t, err)
	other := make(chan error, 1)
	go func() {
		_, err := es.Append(ctx, "a", store.Any, events(1)...)
		other <- err
	}()
	_, err = es.WithTx(tx).Append(ctx, "b", store.Any, events(1)...)
	require.NoError(t, err)
	require.NoError(t, b.CommitTx(ctx, tx))
	require.NoError(t, <-other)
}

// The same for leases: what is read is judged under the write lock.
func TestDeferredLease(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := handle(t, deferred(t), 0)
	b := backend(t, db, nil)
	r := store.LeaseRequest{ID: store.SubscriptionID{Stream: store.All, Name: "a"}, Owner: "me", TTL: time.Hour, Create: true}
	outrun, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	list, err := b.WithTx(outrun).(store.SubscriptionStorage).ListSubscriptions(ctx)
	require.NoError(t, err)
	require.Empty(t, list)
	l, err := b.AcquireLease(ctx, r)
	require.NoError(t, err)
	_, err = b.WithTx(outrun).(store.SubscriptionStorage).AcquireLease(ctx, r)
	require.ErrorIs(t, err, store.ErrRetryTx)
	require.ErrorIs(t, b.WithTx(outrun).(store.SubscriptionStorage).SaveCheckpoint(ctx, store.CheckpointRequest{ID: l.ID, Epoch: l.Epoch}), store.ErrRetryTx)
	require.NoError(t, outrun.Rollback())

	first, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	in := b.WithTx(first).(store.SubscriptionStorage)
	require.NoError(t, in.ReleaseLease(ctx, store.CheckpointRequest{ID: l.ID, Epoch: l.Epoch}))
	waits := make(chan error, 1)
	go func() {
		r := r
		r.Owner = "you"
		_, err := b.AcquireLease(ctx, r)
		waits <- err
	}()
	require.NoError(t, first.Commit())
	require.NoError(t, <-waits)
}

// A deferred transaction that begins with an append waits for the writer before it.
func TestDeferredWaits(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := handle(t, deferred(t), 0)
	es := store.New(backend(t, db, nil), nil)
	_, err := es.Append(ctx, "a", store.Any, events(1)...)
	require.NoError(t, err)
	first, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = es.WithTx(first).Append(ctx, "a", store.Any, events(1)...)
	require.NoError(t, err)
	second, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := es.WithTx(second).Append(ctx, "a", store.Version(2), events(1)...)
		done <- err
	}()
	require.NoError(t, first.Commit())
	require.NoError(t, <-done)
	require.NoError(t, second.Commit())
}

// A write in a caller's transaction that fails half-way is undone, and what the caller did stays.
func TestFailedWriteIsUndone(t *testing.T) {
	t.Parallel()
	es, db := newStore(t)
	ctx := t.Context()
	_, err := db.ExecContext(ctx, `create trigger fail before insert on events when new.event_type = 'fail'
		begin select raise(abort, 'no'); end`)
	require.NoError(t, err)
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	bound := es.WithTx(tx)
	_, err = bound.Append(ctx, "a", store.NoStream, events(2)...)
	require.NoError(t, err)
	_, err = bound.Append(ctx, "b", store.NoStream, append(events(2), store.Event{Type: "fail"})...)
	require.Error(t, err)

	// The same when the context ends in the middle: here as soon as the third statement asks for it.
	ending := &endsLater{Context: ctx, left: 12}
	_, err = bound.Append(ending, "c", store.NoStream, events(100)...)
	require.ErrorIs(t, err, context.Canceled)
	require.Negative(t, ending.left)
	require.NoError(t, tx.Commit())

	head, err := es.Head(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2, head)
	for _, stream := range []string{"b", "c"} {
		_, err = es.StreamInfo(ctx, stream)
		require.ErrorIs(t, err, store.ErrStreamNotFound)
	}
}

// endsLater is a context that is done once it was asked a number of times.
type endsLater struct {
	context.Context
	left int
}

func (c *endsLater) Err() error {
	c.left--
	if c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestOtherHandle: a transaction of another *sql.DB on the same file takes all that one of the backend's own does.
func TestOtherHandle(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dsn := file(t)
	es := store.New(backend(t, handle(t, dsn, 1), nil), &store.Options{HardDelete: true})
	first, err := es.Append(ctx, "a", store.NoStream, events(3)...) // prepares all that is kept
	require.NoError(t, err)
	require.EqualValues(t, 3, first.Last)
	other := handle(t, dsn, 1)
	_, err = other.ExecContext(ctx, "create table mine (n integer)")
	require.NoError(t, err)
	for i, end := range []func(*sql.Tx) error{(*sql.Tx).Rollback, (*sql.Tx).Commit} {
		tx, err := other.BeginTx(ctx, nil)
		require.NoError(t, err)
		in := es.WithTx(tx)
		_, err = tx.ExecContext(ctx, "insert into mine values (?)", i)
		require.NoError(t, err)
		_, err = in.Append(ctx, "a", store.NoStream, events(1)...)
		require.ErrorIs(t, err, store.ErrStreamExists)
		res, err := in.Append(ctx, "a", store.Version(3), events(200)...)
		require.NoError(t, err)
		require.EqualValues(t, 203, res.Last)
		page, err := in.Page(ctx, "a", nil)
		require.NoError(t, err)
		_, err = in.Link(ctx, "b", store.NoStream, page[0].ID)
		require.NoError(t, err)
		require.NoError(t, in.Delete(ctx, "b", store.Any, store.HardDelete))
		head, err := in.Head(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 203, head)
		require.NoError(t, end(tx))
		_, err = in.Append(ctx, "a", store.Any, events(1)...)
		require.ErrorIs(t, err, sql.ErrTxDone)
	}
	head, err := es.Head(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 203, head)
}
