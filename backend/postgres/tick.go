package postgres

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
)

// maxPlaced is how many appends one tick places at most, so that its transaction stays short. Where the tick is for a reader of a page, it
// is readerPlaced: the reader goes on with those, and the others get their positions while its caller works on them.
const (
	maxPlaced    = 10_000
	readerPlaced = 2_000
)

// Tick gives the appends committed before the call their positions and returns how many it placed. Readers of all events
// tick by themselves. It never runs in a caller's transaction: there it does nothing.
func (b *Backend) Tick(ctx context.Context) (placed int64, err error) {
	if err := b.Check(ctx); err != nil {
		return 0, err
	}
	if b.tx != nil {
		return 0, nil
	}
	for {
		n, err := b.tick(ctx, maxPlaced, true)
		if err != nil {
			return placed, err
		}
		placed += n
		if n < maxPlaced {
			return placed, nil
		}
	}
}

// tick runs one tick, which places so many appends at most. With wait it waits for one that is running elsewhere; without, it
// returns -1 then.
func (b *Backend) tick(ctx context.Context, most int64, wait bool) (placed int64, err error) {
	placed, seen, err := b.runTick(ctx, most, wait)
	if sqlerr.State(err) == notReadCommitted { // this database's default is another isolation level
		placed, seen, err = b.tickReadCommitted(ctx, most, wait)
	}
	if err == nil && seen.Valid {
		b.seen.Store(&seen.String)
	}
	return placed, err
}

func (b *Backend) runTick(ctx context.Context, most int64, wait bool) (placed int64, seen sql.NullString, err error) {
	_, err = b.one(ctx, "tick", []any{most, wait, b.since()}, &placed, &seen)
	return placed, seen, err
}

func (b *Backend) tickReadCommitted(ctx context.Context, most int64, wait bool) (placed int64, seen sql.NullString, err error) {
	tx, err := b.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return 0, seen, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	placed, seen, err = (&Backend{shared: b.shared, tx: tx}).runTick(ctx, most, wait)
	if err != nil {
		return 0, seen, err
	}
	return placed, seen, b.CommitTx(ctx, tx)
}

// since is what the next tick is told of the one before.
func (b *Backend) since() any {
	if seen := b.seen.Load(); seen != nil {
		return *seen
	}
	return nil
}

// catchUp places what was committed before the call, if anything was waiting. It returns the head as it was found, and
// whether it may have moved since. Calls made at the same time share their ticks.
func (b *Backend) catchUp(ctx context.Context) (head int64, moved bool, err error) {
	head, moved, _, err = b.placeWaiting(ctx, 0)
	return head, moved, err
}

// catchUpSome is catchUp for a reader of a page, which needs no more than a tick places. more says that something may be left to place.
func (b *Backend) catchUpSome(ctx context.Context) (head int64, moved, more bool, err error) {
	if head, moved, _, err = b.pending(ctx, 0); err == nil && moved {
		more, err = b.place(ctx, readerPlaced)
	}
	return head, moved, more, err
}

// placeWaiting is catchUp. at is the id of the event at a position, as it was found.
func (b *Backend) placeWaiting(ctx context.Context, position int64) (head int64, moved bool, at uuid.UUID, err error) {
	head, moved, at, err = b.pending(ctx, position)
	for more := moved; err == nil && more; {
		more, err = b.place(ctx, maxPlaced)
	}
	return head, moved, at, err
}

// pending returns the head, whether a tick would find something, and the id of the event at a position. In a transaction, which must
// not tick, it looks for the head alone.
func (b *Backend) pending(ctx context.Context, position int64) (head int64, something bool, at uuid.UUID, err error) {
	if b.tx != nil {
		_, err = b.one(ctx, "read_head", nil, &head)
		return head, false, at, err
	}
	var id uuid.NullUUID
	_, err = b.one(ctx, "tick_pending", []any{b.since(), position}, &head, &something, &id)
	return head, something, id.UUID, err
}

// place has a tick run that began after the call, and reports whether it left something to place.
func (b *Backend) place(ctx context.Context, most int64) (more bool, err error) {
	return b.ticks.do(ctx, func() (more bool, err error) {
		n, err := b.tick(ctx, most, true)
		return n >= most, err
	})
}

// Poll implements [store.Poller].
func (b *Backend) Poll(ctx context.Context, position int64) (head int64, at uuid.UUID, err error) {
	if err := b.Check(ctx); err != nil {
		return 0, at, err
	}
	head, moved, at, err := b.placeWaiting(ctx, position)
	if err == nil && moved {
		_, err = b.one(ctx, "read_head", nil, &head)
	}
	return head, at, err
}

// PollKey implements [store.Poller].
func (b *Backend) PollKey() any {
	return struct {
		db     *sql.DB
		schema string
	}{b.db, b.opts.Schema}
}

// ticks lets the goroutines of a process share ticks: one runs, and all that come meanwhile wait for one more.
type ticks struct {
	mu sync.Mutex

	running, next *flight
}

// flight is one tick and who waits for it.
type flight struct {
	done chan struct{}
	more bool // it left something to place
	err  error
}

// do returns when a tick that began after the call has ended, and whether it left something to place. tick is run by the callers
// themselves; the error of one caller's context is not passed on to others.
func (t *ticks) do(ctx context.Context, tick func() (more bool, err error)) (bool, error) {
	for {
		f, mine, before := t.join()
		if !mine {
			select {
			case <-f.done:
			case <-ctx.Done():
				return false, ctx.Err()
			}
			if f.err == nil {
				return f.more, nil
			}
			continue // whoever ran it failed, perhaps for a reason of its own
		}
		if before != nil {
			select {
			case <-before.done:
			case <-ctx.Done():
				t.end(f, false, ctx.Err())
				return false, ctx.Err()
			}
		}
		t.start(f)
		more, err := false, errors.New("postgres: a tick panicked")
		defer func() { t.end(f, more, err) }()
		more, err = tick()
		return more, err
	}
}

// join returns the tick that is going to run next, and whether the caller is the one to run it, once before has ended.
func (t *ticks) join() (f *flight, mine bool, before *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next != nil {
		return t.next, false, nil
	}
	t.next = &flight{done: make(chan struct{})}
	return t.next, true, t.running
}

func (t *ticks) start(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running, t.next = f, nil
}

func (t *ticks) end(f *flight, more bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running == f {
		t.running = nil
	}
	if t.next == f {
		t.next = nil
	}
	f.more, f.err = more, err
	close(f.done)
}
