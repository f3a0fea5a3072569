package postgres

import (
	"context"
	"database/sql"
	"errors"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.Transactional = (*Backend)(nil)

// BeginTx implements [store.Transactional].
func (b *Backend) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	if b.err != nil {
		return nil, b.err
	}
	if err := b.checkPooler(ctx); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		tx, err := b.db.BeginTx(ctx, opts)
		if err == nil || !b.again(ctx, "begin", attempt, err) {
			return tx, b.translate(ctx, "begin", err)
		}
	}
}

// CommitTx implements [store.Transactional]. If ctx has ended, it returns ctx's error also when the server has reported a commit: a
// server with synchronous replication does that when the wait for a standby is cancelled, though a failover may lose the commit.
func (b *Backend) CommitTx(ctx context.Context, tx *sql.Tx) error {
	err := tx.Commit()
	if err == nil {
		err = ctx.Err()
	}
	return b.translate(ctx, "commit", err)
}

// transaction is what sends statements in a transaction that is open: a *sql.Tx, or a *sql.Conn.
type transaction interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// WithTx implements [store.Transactional].
func (b *Backend) WithTx(tx *sql.Tx) store.Storage { return &Backend{shared: b.shared, tx: tx} }

// WithConn is WithTx for a transaction that is open on conn and that database/sql has not begun, for drivers that have their own, and
// for package pgxtx. conn may be of another *sql.DB and another driver. The caller sees to it that a transaction is open whenever the Storage
// is used: without one, each statement would be a transaction of its own.
func (b *Backend) WithConn(conn *sql.Conn) store.Storage { return &Backend{shared: b.shared, tx: conn} }

// once runs f in the caller's transaction, or in one of its own. There database/sql does not send a statement again if its
// answer is lost. It does outside a transaction, so that is for statements whose second run returns what the first would have.
func (b *Backend) once(ctx context.Context, f func(b *Backend) error) error {
	if b.tx != nil {
		return f(b)
	}
	return b.retried(ctx, func() error {
		tx, err := b.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
		err = f(&Backend{shared: b.shared, tx: tx})
		if errors.Is(err, ErrSequenceBehind) {
			_ = tx.Rollback() // with a pool of one, the tick needs the connection
			_, tickErr := b.tick(ctx, maxPlaced, true)
			return errors.Join(err, tickErr)
		}
		if err != nil {
			return err
		}
		return b.CommitTx(ctx, tx)
	})
}
