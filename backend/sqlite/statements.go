package sqlite

import (
	"context"
	"database/sql"

	"github.com/eventstore-go/eventstore/store"
)

// kept are the statements worth preparing once per connection. All are for tables that are there once the schema was
// checked.
var kept = []string{
	"lock", "begin_again", "savepoint", "release", "rollback_to", "stream", "create_stream", "set_version", "advance_head",
	"append_event", "append_retry", "append_present", "read_stream", "read_stream_backward", "read_all",
	"read_all_backward", "read_event", "head", "read_all_filtered", "read_all_filtered_backward", "read_stream_filtered",
	"read_stream_filtered_backward", "stream_versions", "renew_leases", "free_leases", "save_checkpoint",
}

// prepare prepares what is kept, unless it is done. It needs a connection of the pool, so it is not for transactions.
func (b *Backend) prepare(ctx context.Context) error {
	if b.prepared.Load() {
		return nil
	}
	for _, name := range kept {
		if _, ok := b.statements.Load(name); ok {
			continue
		}
		stmt, err := b.db.PrepareContext(ctx, b.queries.Get(name))
		if err != nil {
			return b.fail(ctx, name, err)
		}
		if err := b.keep(name, stmt); err != nil {
			return err
		}
	}
	b.prepared.Store(true)
	return nil
}

// keep adds a prepared statement, unless somebody was faster or it is too late.
func (b *Backend) keep(name string, stmt *sql.Stmt) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		_ = stmt.Close()
		return store.ErrClosed
	}
	if _, ok := b.statements.LoadOrStore(name, stmt); ok {
		return stmt.Close()
	}
	return nil
}

// usable is called first in every operation.
func (b *Backend) usable(ctx context.Context) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	if b.tx != nil {
		return nil
	}
	return b.prepare(ctx)
}

// statement returns the prepared statement called name, or nil if it is to be sent as text. In a transaction it uses
// that one's connection only.
func (b *Backend) statement(ctx context.Context, name string) (*sql.Stmt, error) {
	if stmt, ok := b.bound[name]; ok {
		return stmt, nil
	}
	var stmt *sql.Stmt
	if shared, ok := b.statements.Load(name); ok {
		stmt = shared.(*sql.Stmt)
	}
	if b.tx == nil {
		return stmt, nil
	}
	switch {
	case stmt != nil && b.owns(ctx, stmt):
		stmt = b.tx.StmtContext(ctx, stmt)
	case name == "append_event": // it may run many times
		var err error
		if stmt, err = b.tx.PrepareContext(ctx, b.queries.Get(name)); err != nil {
			return nil, err
		}
	default:
		stmt = nil
	}
	if b.bound != nil && stmt != nil {
		b.bound[name] = stmt
	}
	return stmt, nil
}

// owns reports whether the transaction can run stmt, which db has prepared. One of another *sql.DB on the same file can't, and one
// that has ended; both get the text.
func (b *Backend) owns(ctx context.Context, stmt *sql.Stmt) bool {
	if !b.own.Load() {
		// What StmtContext returns keeps to itself that it can't be run, until it is closed.
		b.own.Store(b.tx.StmtContext(ctx, stmt).Close() == nil) //nolint:sqlclosecheck // closing it is what tells
	}
	return b.own.Load()
}

// unbind closes what statement kept for one write.
func (b *Backend) unbind() {
	for _, stmt := range b.bound {
		_ = stmt.Close()
	}
}

// rows runs the statement called name.
func (b *Backend) rows(ctx context.Context, name string, args ...any) (*sql.Rows, error) {
	stmt, err := b.statement(ctx, name) //nolint:sqlclosecheck // kept until Close, or until the write or the transaction ends
	switch {
	case err != nil:
		return nil, err
	case stmt != nil:
		return stmt.QueryContext(ctx, args...)
	case b.tx != nil:
		return b.tx.QueryContext(ctx, b.queries.Get(name), args...)
	}
	return b.db.QueryContext(ctx, b.queries.Get(name), args...)
}

// each runs the statement called name and calls scan for each row. It owns the rows.
func (b *Backend) each(ctx context.Context, name string, scan func(*sql.Rows) error, args ...any) (err error) {
	under, err := b.steady(ctx)
	if err != nil {
		return b.fail(ctx, name, err)
	}
	rows, err := b.rows(under, name, args...)
	if err != nil {
		return b.fail(ctx, name, err)
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = b.fail(ctx, name, e)
		}
	}()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return b.fail(ctx, name, err)
		}
	}
	if err := rows.Err(); err != nil {
		return b.fail(ctx, name, err)
	}
	return b.fail(ctx, name, under.Err()) // a cancelled context is never a short result
}

// one is each for a statement that returns at most one row; found says whether it did.
func (b *Backend) one(ctx context.Context, name string, args []any, into ...any) (found bool, err error) {
	err = b.each(ctx, name, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(into...)
	}, args...)
	return found && err == nil, err
}

// exec runs the statement called name, which returns no rows, in b's transaction.
func (b *Backend) exec(ctx context.Context, name string, args ...any) error {
	under, err := b.steady(ctx)
	if err != nil {
		return b.fail(ctx, name, err)
	}
	stmt, err := b.statement(under, name) //nolint:sqlclosecheck // kept until Close, or until the write or the transaction ends
	if err != nil {
		return b.fail(ctx, name, err)
	}
	if stmt != nil {
		_, err = stmt.ExecContext(under, args...)
	} else {
		_, err = b.tx.ExecContext(under, b.queries.Get(name), args...)
	}
	return b.fail(ctx, name, err)
}

// steady returns the context for one statement. In the middle of a write that is one without an end, which ctx is only
// asked for now: SQLite answers the interruption of a statement that writes by rolling back the whole transaction, with
// all that others, or the caller, did in it. None of these statements waits for anything.
func (b *Backend) steady(ctx context.Context) (context.Context, error) {
	if !b.writing {
		return ctx, nil
	}
	return context.WithoutCancel(ctx), ctx.Err()
}
