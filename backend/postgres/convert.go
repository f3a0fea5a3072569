package postgres

import (
	"context"
	"database/sql"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

// ConvertData makes the columns for data and metadata of the schema in opts have the type opts.DataType, in one
// transaction: from bytea to jsonb, so that they can be queried in SQL, or back. If they have it already it does nothing.
//
// It locks everybody out and writes all events anew, so plan for about a minute per gigabyte. It waits for others as long as ctx allows,
// whatever statement_timeout or lock_timeout the role has. Programs that are running
// must be restarted behind it: their prepared statements expect the old type. Everything must be JSON: an event that is
// not is an [store.InvalidError], and so is JSON with a NUL character, which jsonb does not take; then nothing has changed.
// jsonb keeps the value and not the text, so on the way back blanks and the order of keys are jsonb's.
//
// It takes the right to change the tables. The guard against changes of recorded events does not mind, since every event
// stays what it is.
func ConvertData(ctx context.Context, db *sql.DB, opts *Options) error {
	b := New(db, opts)
	defer b.Close() //nolint:errcheck // it prepares little
	if err := b.Check(ctx); err != nil {
		return err
	}
	err := b.convert(ctx)
	if state := sqlerr.State(err); state == notJSON || state == invalidEscape {
		return &store.InvalidError{Field: "DataType", Reason: "can't be " + b.opts.DataType + ": " + err.Error(), Err: err}
	}
	return err
}

func (b *Backend) convert(ctx context.Context) error {
	tx, err := b.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	in := &Backend{shared: b.shared, tx: tx}
	for _, name := range []string{"without_timeouts", "convert_data"} {
		if err := in.exec(ctx, name); err != nil {
			return err
		}
	}
	return b.CommitTx(ctx, tx)
}
