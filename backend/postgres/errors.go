package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

// ErrSequenceBehind is returned for an append whose number was drawn already: the sequence was set back, as by a restore
// that left it out. Nothing was written. The next read of all events, or [Backend.Tick], sets it right. Only appends in
// a caller's transaction see it: others set it right themselves, and go on.
var ErrSequenceBehind = errors.New("postgres: a sequence of the store is behind the data")

// SQLSTATEs that this backend knows.
const (
	uniqueViolation   = "23505"
	serialization     = "40001"
	deadlock          = "40P01"
	queryCanceled     = "57014"
	lockNotAvailable  = "55P03"
	readOnly          = "25006" // by a server that has become a standby, too
	notSupported      = "0A000" // what lib/pq's begin gets from a standby: it asks for a transaction that may write
	undefinedTable    = "42P01"
	undefinedFunction = "42883"
	undefinedColumn   = "42703"
	invalidSchema     = "3F000"
	invalidText       = "22P02" // not JSON, in a jsonb or json column
	invalidBytes      = "22021" // not UTF-8, in a jsonb or json column
	invalidEscape     = "22P05" // a NUL character, in a jsonb column
	invalidNumber     = "22003" // a number out of range, in a jsonb column
	programLimit      = "54000" // JSON with too many or too large parts
	tooComplex        = "54001" // JSON nested too deep
	internalError     = "XX000" // also: out of the memory for one value
	sequenceBehind    = "ESTSQ" // raised by the function append
	streamCreated     = "ESTAL" // raised by the function append_all
	notReadCommitted  = "ESTRC" // raised by the functions tick and hard_delete
	tickInTransaction = "ESTTX" // raised by the function tick
	notJSON           = "ESTNJ" // raised by convert_data
	importing         = "ESTIM" // raised by triggers while an import is unfinished
)

// translate says what a driver's error means, and where it came from. The driver's error stays reachable.
func translate(ctx context.Context, statement string, err error) error {
	if err == nil {
		return nil
	}
	err = sqlerr.WithContext(ctx, err)
	if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
		return fmt.Errorf("postgres: %s: %w", statement, err)
	}
	state := sqlerr.State(err)
	if state == readOnly || state == notSupported && statement == "begin" {
		return fmt.Errorf("postgres: %s: %w: %w; %s", statement, store.ErrReadOnly, err, writesAdvice)
	}
	switch state {
	case serialization, deadlock:
		return fmt.Errorf("postgres: %s: %w: %w", statement, store.ErrRetryTx, err)
	case queryCanceled:
		return fmt.Errorf("postgres: %s: %w: %w", statement, store.ErrTimeout, err)
	case importing:
		return fmt.Errorf("postgres: %s: %w: %w", statement, store.ErrImporting, err)
	case undefinedFunction: // as that of another schema's name, see Adoption
		return fmt.Errorf("postgres: %s: %w: %w", statement, &store.SchemaError{Want: latest, Renamed: true, Advice: renamedAdvice}, err)
	case notReadCommitted:
		return fmt.Errorf("postgres: %s: %w: %w", statement, store.ErrIsolation, err)
	case undefinedTable, undefinedColumn, invalidSchema:
		return fmt.Errorf("postgres: %s: %w: %w", statement, &store.SchemaError{Want: latest, Advice: advice}, err)
	case invalidText, invalidBytes, invalidEscape, invalidNumber:
		return &store.InvalidError{Field: "data or metadata", Reason: "is not what the column's data type takes: " + err.Error(), Err: err}
	case programLimit, tooComplex:
		if writesData(statement) {
			return &store.InvalidError{Field: "data or metadata", Reason: "is more than the column's data type takes: " + err.Error(), Err: err}
		}
	}
	switch {
	case sqlerr.Closed(err):
		return fmt.Errorf("postgres: %s: the *sql.DB was closed: %w: %w", statement, store.ErrClosed, err)
	case lost(err):
		return fmt.Errorf("postgres: %s: the connection was lost: %w", statement, err)
	}
	return fmt.Errorf("postgres: %s: %w", statement, err)
}

// waitedTooLong reports whether a statement that waits briefly for a stream has given up.
func waitedTooLong(err error) bool { return sqlerr.State(err) == lockNotAvailable }

// retried runs f again while the database gives it up for the sake of others, if the transaction is the backend's own.
func (b *Backend) retried(ctx context.Context, f func() error) error {
	const most = 10
	for attempt := 1; ; attempt++ {
		err := f()
		if b.tx != nil || attempt == most || !errors.Is(err, store.ErrRetryTx) || ctx.Err() != nil {
			return err
		}
	}
}
