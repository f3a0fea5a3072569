package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// WithTx returns the same Store over a transaction of the caller's: what it writes is committed or rolled back with
// tx, together with the caller's own tables. It never ends tx, changes no session state and opens no other connection.
// A version conflict or a duplicate id leaves tx usable.
//
// The transaction holds the rows of the streams it wrote to until it ends: appends to those streams wait, nothing else
// does (SQLite has one writer: there every write waits). On PostgreSQL its events get their positions in [All] after the
// commit, so reading All through this Store shows neither them nor what nobody has read from outside yet. The Store
// can't see the commit: call [Store.Committed] after it, or use [Store.InTx], so that subscribers hear of it at once.
//
// Begin tx at READ COMMITTED, the default of PostgreSQL. At REPEATABLE READ and SERIALIZABLE an append, link or soft delete to a stream
// that another transaction has written to since tx took its snapshot fails with [ErrRetryTx], where READ COMMITTED would return a
// version conflict, and a hard delete fails with [ErrIsolation]. At SERIALIZABLE the commit, too, may fail with SQLSTATE 40001, also
// when the other transactions wrote to other streams only: PostgreSQL tracks index pages, which streams share. [Store.InTx] returns
// that as ErrRetryTx; tx.Commit returns the driver's error. Run such a transaction again from its beginning.
//
// On a backend without transactions every call on the result fails with [ErrNoTransactions].
func (s *Store) WithTx(tx *sql.Tx) *Store {
	if tx == nil {
		return s.bound(nil, &InvalidError{Field: "tx", Reason: "is nil"})
	}
	t, ok := s.storage.(Transactional)
	if !ok {
		return s.bound(nil, ErrNoTransactions)
	}
	return s.bound(t.WithTx(tx), nil)
}

// InTx runs f in a new transaction of the backend's database and commits it, or rolls it back if f returns an error
// or panics. Bind the Store to it inside f: es.WithTx(tx). The error of f is returned as it is; if ctx has ended, joined with
// ctx.Err(), which may be why f failed: the transaction is rolled back as soon as ctx ends. If the commit fails because the
// database gave the transaction up, the error is [ErrRetryTx], and f may be run again.
func (s *Store) InTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if s.inTx {
		return fmt.Errorf("store: InTx of a Store that WithTx or Bind made: %w inside a transaction", ErrNoTransactions)
	}
	t, ok := s.storage.(Transactional)
	if !ok {
		return fmt.Errorf("store: begin a transaction: %w", ErrNoTransactions)
	}
	tx, err := t.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	if err := f(tx); err != nil {
		if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
			return fmt.Errorf("%w: %w", ended, err)
		}
		return err
	}
	if err := t.CommitTx(ctx, tx); err != nil {
		return err
	}
	s.notify()
	return nil
}

// Committed says that a transaction given to [Store.WithTx] was committed, so that subscribers look for new events now
// instead of at their next poll. Calling it too often or too early does no harm.
func (s *Store) Committed() { s.notify() }
