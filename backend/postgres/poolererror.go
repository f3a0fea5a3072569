package postgres

import (
	"context"
	"errors"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

// ErrPooler is returned when a pooler in transaction mode loses or mixes up what the driver sends. See [PoolerError].
var ErrPooler = errors.New("postgres: the driver's prepared statements do not work through a pooler in transaction mode")

// PoolerError is an [ErrPooler]: the driver prepares a statement in one round trip and runs it in the next, and between the two a pooler in
// transaction mode gave the connection another session of the server.
//
// If the first use of the *sql.DB found the pooler, every call on the Backend returns the error before it sends anything, and the error is
// a [store.ErrInvalid], too: the connection string must change. Else Err is what the server returned to a statement. A pooler is
// then the likely reason, not a proven one.
type PoolerError struct {
	// Advice is what to write, and where.
	Advice string
	// Err is the error of the driver, or nil.
	Err error

	statement string // that failed, "" if the first use found the pooler
	proven    bool
}

func (e *PoolerError) Error() string {
	text := "postgres: "
	if e.statement != "" {
		text += e.statement + ": "
	}
	if e.Err != nil {
		text += e.Err.Error() + ": "
	}
	if e.proven {
		return text + "the server is behind a pooler in transaction mode, which loses what the driver prepares; " + e.Advice
	}
	return text + "the session of the server lost or mixed up a statement, as behind a pooler in transaction mode; if there is one, " + e.Advice
}

// Unwrap returns the error of the driver.
func (e *PoolerError) Unwrap() error { return e.Err }

// Is matches [ErrPooler], and [store.ErrInvalid] if the pooler is proven.
func (e *PoolerError) Is(target error) bool {
	return target == ErrPooler || e.proven && target == store.ErrInvalid
}

// SQLSTATEs of a session that did not find a prepared statement, or found another one.
const (
	invalidStatementName = "26000"
	duplicateStatement   = "42P05"
	protocolViolation    = "08P01" // as of another number of arguments
)

// translate is translate for an error of the server. Behind a pooler that mixes up statements it may be about another program's.
func (b *Backend) translate(ctx context.Context, statement string, err error) error {
	if err == nil || ctx.Err() != nil {
		return translate(ctx, statement, err)
	}
	if explained := (*PoolerError)(nil); errors.As(err, &explained) {
		return err
	}
	// No argument of the Backend is malformed, but JSON for a column that takes it.
	malformed := sqlerr.State(err) == invalidText && statement != "convert_data" && (!b.JSONOnly() || !writesData(statement))
	if mixedUp(err) || malformed {
		return &PoolerError{Advice: b.advice(), Err: err, statement: statement}
	}
	return translate(ctx, statement, err)
}
