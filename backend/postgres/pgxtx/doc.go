// Package pgxtx is for programs that use jackc/pgx directly: their transactions are a [pgx.Tx], not a *sql.Tx.
//
// [WithTx] joins a transaction that the program has begun:
//
//	tx, err := pool.Begin(ctx)
//	...
//	_, err = pgxtx.WithTx(es, tx).Append(ctx, "order-17", store.Version(1), paid)
//	_, err = tx.Exec(ctx, "update orders set paid = true where id = $1", 17)
//	err = tx.Commit(ctx)
//	es.Committed()
//
// For transactions that the store begins, open the store over the program's pool:
//
//	backend := postgres.New(pgxtx.OpenDB(pool), nil)
//	es := store.New(backend, nil)
//
// Then [InTx] runs a function in a new transaction, and [Handler] makes a projection's handler of a function with a pgx.Tx. WithTx does
// not need [OpenDB]: it works with a store over any *sql.DB of the same database.
//
// # What holds in a pgx.Tx
//
// All that holds for [store.Store.WithTx] with a *sql.Tx. Every statement of the store runs in that transaction, on its connection. The
// store never commits, rolls back, or changes the session; a conflict leaves the transaction usable. pgx adds this:
//
//   - Nested transactions. tx.Begin returns a pgx.Tx that stands for a savepoint, and WithTx takes it as well. A rollback of the nested
//     transaction undoes what the store wrote since its begin. The store over the outer transaction writes to the same connection: while a
//     nested one is open, its events are undone with it, too.
//   - The end. After tx.Commit or tx.Rollback, also of an outer transaction, every call fails with [ErrEnded]. Nothing is written beside
//     the transaction.
//   - Open rows. A connection of pgx does one thing at a time. If rows of the program's are open on it, a call fails with [ErrBusy]: close
//     them first. The store itself keeps no rows open: a loop over [store.Store.Stream] may use the transaction, and may end early.
//   - Contexts. pgx closes a connection when the context of a statement ends before the statement does. The server then rolls the
//     transaction back, and every later call fails with [ErrEnded]. Before and after statements, a context that has ended does no harm.
//     Unlike database/sql, pgx does not roll back when the context that was given to Begin ends.
//
// # One pool
//
// [OpenDB] returns a *sql.DB that takes each connection from the program's pgxpool.Pool and gives it back after each use. So the pool's
// limits and settings hold for the program and the store together, and no connection is kept twice. The pool must have a connection left for
// the store: a program that holds all of them, each waiting for the store, waits until a context ends. A pgxnotify.Notifier keeps a
// connection of its own beside the pool.
//
// stdlib.OpenDBFromPool does the same, with these limits: its transactions can't be had as a pgx.Tx, so InTx and Handler refuse
// it, and it prepares each kept statement anew for each use, which takes three round trips instead of one; set
// NoPrepare in postgres.Options for it.
package pgxtx
