package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.Transactional = (*Backend)(nil)

// BeginTx implements [store.Transactional]. The transaction has the write lock, and waits for it as long as ctx lets
// it, unless it is read-only.
func (b *Backend) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	if opts != nil && opts.ReadOnly {
		tx, err := b.db.BeginTx(ctx, opts)
		return tx, b.fail(ctx, "begin", err)
	}
	if err := b.waitsForItself(ctx); err != nil {
		return nil, b.fail(ctx, "begin", err)
	}
	// In its turn, so that it does not have to wait in the database for writers of this process one after another.
	select {
	case b.writer.turn <- struct{}{}:
		defer func() { <-b.writer.turn }()
	case <-ctx.Done():
		return nil, b.fail(ctx, "begin", ctx.Err())
	}
	return b.begin(ctx, ctx, opts)
}

// begin begins a transaction with the write lock. Until it has it, it can be ended by ctx; the transaction belongs to
// owner, a context that ends with ctx or later.
func (b *Backend) begin(ctx, owner context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	for {
		tx, err := b.db.BeginTx(owner, opts) // with _txlock=immediate it waits for the lock
		if err != nil {
			err = b.fail(ctx, "begin", err)
		} else if err = b.begun(tx).exec(ctx, "lock"); err == nil {
			return tx, nil
		} else {
			_ = tx.Rollback()
		}
		if !busy(err) || ctx.Err() != nil {
			return nil, err
		}
		// busy_timeout is over, ctx is not: the lock is waited for as any database's.
	}
}

// begun returns b over a transaction that db began.
func (b *Backend) begun(tx *sql.Tx) *Backend {
	in := &Backend{shared: b.shared, tx: tx}
	in.own.Store(true)
	return in
}

// CommitTx implements [store.Transactional].
func (b *Backend) CommitTx(ctx context.Context, tx *sql.Tx) error {
	return (&Backend{shared: b.shared, tx: tx}).fail(ctx, "commit", tx.Commit())
}

// WithTx implements [store.Transactional].
func (b *Backend) WithTx(tx *sql.Tx) store.Storage { return &Backend{shared: b.shared, tx: tx} }

// write runs f in a transaction that has the write lock, all of it or nothing: the one that b is bound to, else one
// that the backend commits.
func (b *Backend) write(ctx context.Context, f func(tx *Backend) error) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	if b.tx == nil {
		if err := b.waitsForItself(ctx); err != nil {
			return b.fail(ctx, "begin", err)
		}
		return b.enqueue(ctx, f)
	}
	if err := b.open(ctx); err != nil {
		return err
	}
	if err := b.exec(ctx, "lock"); err != nil {
		return err
	}
	tx := b.forWrite()
	defer tx.unbind()
	return tx.atomically(ctx, f)
}

// waitsForItself returns [store.ErrSelfDeadlock] if ctx is of the handler of a projection whose transaction has the write lock
// of this database: a write beside it would never begin. It comes after usable.
func (b *Backend) waitsForItself(ctx context.Context) error {
	tx := store.TxFrom(ctx)
	if tx == nil {
		return nil
	}
	lock, ok := b.statements.Load("lock")
	if ok && (&Backend{shared: b.shared, tx: tx}).owns(ctx, lock.(*sql.Stmt)) {
		return store.ErrSelfDeadlock
	}
	return nil
}

// errBroken says that the transaction is lost with everything in it.
var errBroken = errors.New("sqlite: the transaction was rolled back by the database")

// open returns errBroken if SQLite has answered an error of the caller's by rolling back his transaction: what is written
// then would be committed at once, without what was written before.
func (b *Backend) open(ctx context.Context) error {
	if b.exec(ctx, "begin_again") != nil {
		return nil // there is a transaction; if it was ended by the caller, the next statement says so
	}
	return b.fail(ctx, "begin", errors.Join(errBroken, b.exec(context.WithoutCancel(ctx), "end_again")))
}

// atomically runs f in b's transaction and undoes what it did if it fails. Only if that fails, too, the error is
// errBroken.
func (b *Backend) atomically(ctx context.Context, f func(tx *Backend) error) error {
	if err := b.exec(ctx, "savepoint"); err != nil {
		return err
	}
	err := f(b)
	if err == nil {
		// Not ctx's: what is written shall not be undone for a cancellation that comes now.
		return b.exec(context.WithoutCancel(ctx), "release")
	}
	undo := context.WithoutCancel(ctx)
	if e := errors.Join(b.exec(undo, "rollback_to"), b.exec(undo, "release")); e != nil {
		return errors.Join(err, errBroken, e)
	}
	return err
}
