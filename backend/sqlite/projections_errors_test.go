package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// codeError is a driver's error with a result code.
type codeError int

func (e codeError) Error() string { return fmt.Sprint("code ", int(e)) }
func (e codeError) Code() int     { return int(e) }

// TestTemporary: another's lock is nobody's fault; memory, I/O and a full disk are the handler's in its own statements, and the
// database's in those of the backend.
func TestTemporary(t *testing.T) {
	t.Parallel()
	_, db := newStore(t)
	b := backend(t, db, nil)
	for _, c := range []struct {
		err                      error
		handler, storage, commit bool
	}{
		{codeError(5), true, true, true},        // busy
		{codeError(517), true, true, true},      // busy, snapshot
		{codeError(6), true, true, true},        // locked
		{codeError(15), true, true, true},       // protocol
		{codeError(7), false, true, true},       // memory
		{codeError(9), false, true, true},       // interrupt
		{codeError(10), false, true, true},      // I/O
		{codeError(778), false, true, true},     // I/O, write
		{codeError(13), false, true, false},     // full
		{codeError(14), false, true, true},      // can't open
		{codeError(19), false, false, false},    // constraint
		{codeError(18), false, false, false},    // too big
		{errors.New("own"), false, false, true}, // without a code
		{store.ErrRetryTx, true, true, true},
	} {
		assert.Equal(t, c.handler, b.Temporary(t.Context(), store.StepHandler, nil, c.err), "%v of a handler", c.err)
		assert.Equal(t, c.storage, b.Temporary(t.Context(), store.StepStorage, nil, c.err), "%v of the storage", c.err)
		assert.Equal(t, c.commit, b.Temporary(t.Context(), store.StepCommit, nil, c.err), "%v of a commit", c.err)
	}
}

// TestTemporaryConnection: an error without a code is the handler's own if the connection still answers, and else the connection's, as
// of a replicated SQLite whose leader has gone.
func TestTemporaryConnection(t *testing.T) {
	t.Parallel()
	dsn := file(t)
	db := handle(t, dsn, 0)
	b := backend(t, db, nil)
	gone := sql.OpenDB(reporting{db.Driver(), dsn, broken})
	t.Cleanup(func() { require.NoError(t, gone.Close()) })
	for name, c := range map[string]struct {
		db   *sql.DB
		want bool
	}{"there": {db, false}, "gone": {gone, true}} {
		tx, err := c.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		for _, step := range []store.FailedStep{store.StepHandler, store.StepStorage} {
			assert.Equal(t, c.want, b.Temporary(t.Context(), step, tx, errors.New("EOF")), "%s, step %d", name, step)
			assert.False(t, b.Temporary(t.Context(), step, tx, codeError(19)), "%s, step %d", name, step)
		}
		_ = tx.Rollback()
		if c.db == db {
			assert.False(t, b.Temporary(t.Context(), store.StepHandler, tx, sql.ErrTxDone), "the handler has ended it")
		}
	}
}

// TestProjectTooLarge: an event that makes its handler write more than the database may hold is parked, and others go on.
func TestProjectTooLarge(t *testing.T) {
	t.Parallel()
	p := newProjecting(t)
	p.db.SetMaxOpenConns(1) // max_page_count is a connection's
	p.append("a", 5)
	p.append("b", 5)
	_, err := p.db.ExecContext(t.Context(), "create table large (data blob)")
	require.NoError(t, err)
	var pages int
	require.NoError(t, p.db.QueryRowContext(t.Context(), "pragma page_count").Scan(&pages))
	_, err = p.db.ExecContext(t.Context(), fmt.Sprintf("pragma max_page_count = %d", pages+20))
	require.NoError(t, err)
	p.run(p.Store, func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
		for _, e := range events {
			if e.Stream == "a" && e.Version == 3 {
				if _, err := tx.ExecContext(ctx, "insert into large values (zeroblob(1000000))"); err != nil {
					return err
				}
			}
		}
		return applied(ctx, tx, events)
	}, store.ProjectOptions{OnError: store.RetryThen(2, store.Park)})
	p.has(1, 2, 6, 7, 8, 9, 10)
	list, err := p.Parked(t.Context(), "report", nil)
	require.NoError(t, err)
	require.Len(t, list, 3)
	assert.Contains(t, list[0].Error, "full")
}

// TestProjectCannotPark: while the database can't take what was decided either, the handler is called again, so that an event
// is not parked for what was the database's fault.
func TestProjectCannotPark(t *testing.T) {
	t.Parallel()
	p := newProjecting(t)
	p.append("a", 3)
	_, err := p.db.ExecContext(t.Context(), "create trigger full before insert on parked begin select raise(abort, 'nothing can be written'); end")
	require.NoError(t, err)
	var fails atomic.Bool
	fails.Store(true)
	attempts := make(chan int, 100)
	p.run(p.Store, func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
		if fails.Load() && events[len(events)-1].Number >= 2 {
			return errors.New("nothing can be written")
		}
		return applied(ctx, tx, events)
	}, store.ProjectOptions{OnError: func(_ store.Recorded, _ error, attempt int) store.Decision {
		select {
		case attempts <- attempt:
		default:
		}
		return store.Park
	}})
	for want := range 3 {
		select {
		case attempt := <-attempts:
			require.Equal(t, want+1, attempt)
		case <-time.After(time.Minute):
			require.FailNow(t, "the handler is not called again")
		}
	}
	fails.Store(false)
	p.has(1, 2, 3)
	list, err := p.Parked(t.Context(), "report", nil)
	require.NoError(t, err)
	assert.Empty(t, list)
}
