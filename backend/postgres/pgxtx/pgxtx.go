package pgxtx

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/eventstore-go/eventstore/store"
)

// WithTx returns the same Store over a transaction of pgx: what [store.Store.WithTx] does for a *sql.Tx. tx may be nested, and may be what
// [InTx] or [Handler] has given to the program. It must be of the database that es is on; in another one, calls fail with [store.ErrSchema],
// or write to the store of the same schema there.
//
// The Store does not see the commit: call [store.Store.Committed] on es after it, so that subscribers look for new events at once. The
// result is as safe for concurrent use as tx: one goroutine at a time. There is nothing to close.
//
// Every call on the result fails with [store.ErrNoTransactions] if es is not over package postgres, and with [ErrEnded] after the end of tx.
func WithTx(es *store.Store, tx pgx.Tx) *store.Store {
	return es.Bind(func(storage store.Storage) (store.Storage, error) {
		backend, ok := storage.(interface {
			WithConn(conn *sql.Conn) store.Storage
		})
		if !ok {
			return nil, fmt.Errorf("pgxtx: the store's backend is not PostgreSQL: %w", store.ErrNoTransactions)
		}
		if tx == nil {
			return nil, &store.InvalidError{Field: "tx", Reason: "is nil"}
		}
		conn, err := connect(&connector{tx: tx})
		if err != nil {
			return nil, err
		}
		return backend.WithConn(conn), nil
	})
}

// InTx is [store.Store.InTx] with a pgx.Tx: it runs f in a new transaction, and commits it, or rolls it back if f returns an error or
// panics. f gets the Store bound to the transaction as in. Begin, commit, errors and unknown outcomes are those of Store.InTx:
// [store.ErrRetryTx] means that f may be run again. f must not commit or roll back, see [ErrManaged]; it may begin nested transactions.
//
// If ctx ends while f runs, the server rolls back at once, and statements of f fail.
//
// InTx fails with [store.ErrNoTransactions] if the *sql.DB of es is not of [OpenDB].
func InTx(ctx context.Context, es *store.Store, f func(tx pgx.Tx, in *store.Store) error) error {
	return es.InTx(ctx, func(tx *sql.Tx) error {
		return lend(ctx, tx, func(native pgx.Tx) error { return f(native, es.WithTx(tx)) })
	})
}

// Handler returns a handler for [store.Store.Project] that calls f with the transaction of the projection as a pgx.Tx. All that is said of a
// BatchHandler holds for f. It must not commit or roll back, see [ErrManaged]; it may begin nested transactions. The context has the pgx.Tx
// for [From], and the *sql.Tx for [store.TxFrom]: both are the same transaction.
//
// If the lease is lost while f runs, the server rolls back at once, and statements of f fail.
//
// Project ends with [store.ErrNoTransactions] if the *sql.DB of its Store is not of [OpenDB].
func Handler(f func(ctx context.Context, tx pgx.Tx, events []store.Recorded) error) store.BatchHandler {
	return func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
		return lend(ctx, tx, func(native pgx.Tx) error {
			return f(context.WithValue(ctx, txKey{}, native), native, events)
		})
	}
}

// txKey is the key of a handler's pgx.Tx in its context.
type txKey struct{}

// From returns the pgx.Tx of the [Handler] that ctx comes from, or nil if ctx is of no such handler. Handlers of a [store.Router] get it so.
func From(ctx context.Context) pgx.Tx {
	tx, _ := ctx.Value(txKey{}).(pgx.Tx)
	return tx
}
