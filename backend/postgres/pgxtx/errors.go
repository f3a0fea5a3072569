package pgxtx

import (
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
)

var (
	// ErrEnded is returned by calls on a Store of [WithTx] when its transaction is over: committed, rolled back, or lost with its
	// connection, which pgx closes when a context ends during a statement. The error is sql.ErrTxDone and pgx.ErrTxClosed, too. Begin
	// another transaction.
	ErrEnded = errors.New("pgxtx: the transaction has ended")
	// ErrBusy is returned by calls on a Store of [WithTx] while rows of the program's are open on the connection. Close them, or read them
	// to the end, and call again. The transaction stays usable.
	ErrBusy = errors.New("pgxtx: rows are open on the connection of the transaction; close them first")
	// ErrManaged is returned by Commit and Rollback of a pgx.Tx that the store has begun. To commit, return nil from the function that was
	// given the transaction; to roll back, return an error. The transaction stays usable.
	ErrManaged = errors.New("pgxtx: the store commits this transaction, or rolls it back if its function returns an error")

	errNotOpened = errors.New("pgxtx: the *sql.DB of the store can't lend its transactions; open it by pgxtx.OpenDB")
	errSecond    = errors.New("pgxtx: a transaction has one connection, and it is in use")
	errDriver    = errors.New("pgxtx: the connection of a transaction takes queries only")
)

// endedError is an ErrEnded with its reason.
type endedError struct{ reason string }

func (e *endedError) Error() string { return ErrEnded.Error() + ": " + e.reason }

// Is matches ErrEnded, and the errors that database/sql and pgx have for it.
func (e *endedError) Is(target error) bool {
	return target == ErrEnded || target == sql.ErrTxDone || target == pgx.ErrTxClosed
}
