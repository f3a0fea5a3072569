package postgres

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
)

// maxPlaced is how many appends one tick places at most, so that its transaction stays short.
const maxPlaced = 10_000

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
		n, err := b.tick(ctx, true)
		if err != nil {
			return placed, err
		}
		placed += n
		if n < maxPlaced {
			return placed, nil
		}
	}
}

// tick runs one tick. With wait it waits for one that is running elsewhere; without, it returns -1 then.
func (b *Backend) tick(ctx context.Context, wait bool) (placed int64, err error) {
	placed, seen, err := b.runTick(ctx, wait)
	if sqlerr.State(err) == notReadCommitted { // this database's default is another isolation level
		placed, seen, err = b.tickReadCommitted(ctx, wait)
	}
	if err == nil && seen.Valid {
		b.seen.Store(&seen.String)
	}
	return placed, err
}

func (b *Backend) runTick(ctx context.Context, wait bool) (placed int64, seen sql.NullString, err error) {
	_, err = b.one(ctx, "tick", []any{int64(maxPlaced), wait, b.since()}, &placed, &seen)
	return placed, seen, err
}

func (b *Backend) tickReadCommitted(ctx context.Context, wait bool) (placed int64, seen sql.NullString, err error) {
	tx, err := b.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return 0, seen, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	placed, seen, err = (&Backend{shared: b.shared, tx: tx}).runTick(ctx, wait)
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
	if b.tx != nil {
		_, err = b.one(ctx, "read_head", nil, &head)
		return head, false, err
	}
	head, moved, _, err = b.placeWaiting(ctx, 0)
	return head, moved, err
}

// placeWaiting is catchUp outside of transactions. at is the id of the event at a position, as it was found.
func (b *Backend) placeWaiting(ctx context.Context, position int64) (head int64, moved bool, at uuid.UUID, err error) {
	var id uuid.NullUUID
	if _, err = b.one(ctx, "tick_pending", []any{b.since(), position}, &head, &moved, &id); err != nil || !moved {
		return head, false, id.UUID, err
	}
	return head, true, id.UUID, b.ticks.do(ctx, func() error {
		_, err := b.Tick(ctx)
		return err
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
	err  error
}

// do returns when a tick that began after the call has ended. tick is run by the callers themselves; the error of one
// caller's context is not passed on to others.
func (t *ticks) do(ctx context.Context, tick func() error) error {
	for {
		f, mine, before := t.join()
		if !mine {
			select {
			case <-f.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if f.err == nil {
				return nil
			}
			continue // whoever ran it failed, perhaps for a reason of its own
		}
		if before != nil {
			select {
			case <-before.done:
			case <-ctx.Done():
				return t.end(f, ctx.Err())
			}
		}
		t.start(f)
		err := errors.New("postgres: a tick panicked")
		defer func() { t.end(f, err) }() //nolint:errcheck // it returns its argument
		err = tick()
		return err
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

func (t *ticks) end(f *flight, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running == f {
		t.running = nil
	}
	if t.next == f {
		t.next = nil
	}
	f.err = err
	close(f.done)
	return err
}
