package postgres

import (
	"context"
	"database/sql"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

// kept are the statements worth preparing once per connection.
var kept = map[string]bool{
	"append_events": true, "append_one": true, "append_events_brief": true, "append_one_brief": true, "append_group": true, "append_all": true, "judge_append": true, "find_stream": true, "read_stream_forward": true, "read_stream_backward": true,
	"read_log_forward": true, "read_log_backward": true, "read_events_range": true, "read_event": true,
	"tick_pending": true, "tick": true, "read_head": true, "stream_versions": true, "read_events_filtered": true,
	"read_stream_filtered": true, "read_stream_filtered_backward": true, "save_checkpoint": true, "save_checkpoints": true, "renew_leases": true, "free_leases": true, "advance": true,
}

// statement returns the prepared statement called name, or nil if it is to be sent as text. In a caller's transaction
// it prepares nothing: that may need another connection. Where the driver is told to prepare nothing, it obeys, too.
func (b *Backend) statement(ctx context.Context, name string) (*sql.Stmt, error) {
	tx, _ := b.tx.(*sql.Tx)
	if b.opts.NoPrepare || b.wire.plain.Load() || !kept[name] || b.tx != nil && tx == nil {
		return nil, nil
	}
	if s, ok := b.statements.Load(name); ok {
		return s.(*sql.Stmt), nil
	}
	if b.tx != nil {
		return nil, nil
	}
	fresh, err := b.db.PrepareContext(ctx, b.text(name))
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.statements.Load(name); ok || b.closed.Load() {
		_ = fresh.Close() //nolint:sqlclosecheck // only if somebody was faster, or it is too late
		if !ok {
			return nil, store.ErrClosed
		}
		return s.(*sql.Stmt), nil
	}
	b.statements.Store(name, fresh)
	return fresh, nil
}

// rows runs the statement called name. Outside a transaction it is sent again if its connection turns out to be dead: see again.
func (b *Backend) rows(ctx context.Context, name string, args ...any) (*sql.Rows, error) {
	for attempt := 1; ; attempt++ {
		rows, err := b.send(ctx, name, args...)
		if err == nil || b.tx != nil || !b.again(ctx, name, attempt, err) {
			return rows, err
		}
	}
}

// send sends the statement called name.
func (b *Backend) send(ctx context.Context, name string, args ...any) (*sql.Rows, error) {
	stmt, err := b.statement(ctx, name) //nolint:sqlclosecheck // Close closes it
	tx, _ := b.tx.(*sql.Tx)
	switch {
	case err != nil:
		return nil, err
	case stmt != nil && tx != nil:
		rows, err := tx.StmtContext(ctx, stmt).QueryContext(ctx, args...) //nolint:sqlclosecheck // the transaction closes it
		if err == nil || sqlerr.State(err) != "" || ctx.Err() != nil {
			return rows, err
		}
		// The server has not refused it: tx is of another *sql.DB, which takes the text, or it has ended, and says so again.
		return b.tx.QueryContext(ctx, b.text(name), args...)
	case stmt != nil:
		return stmt.QueryContext(ctx, args...)
	case b.tx != nil:
		return b.tx.QueryContext(ctx, b.text(name), args...)
	}
	return b.db.QueryContext(ctx, b.text(name), args...)
}

// each runs the statement called name and calls scan for each row. It owns the rows.
func (b *Backend) each(ctx context.Context, name string, scan func(*sql.Rows) error, args ...any) (err error) {
	rows, err := b.rows(ctx, name, args...)
	if err != nil {
		return b.translate(ctx, name, err)
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = b.translate(ctx, name, e)
		}
	}()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return b.translate(ctx, name, err)
		}
	}
	if err := rows.Err(); err != nil {
		return b.translate(ctx, name, err)
	}
	return b.translate(ctx, name, ctx.Err()) // a cancelled context is never a short result
}

// one is each for a statement that returns at most one row; found says whether it did.
func (b *Backend) one(ctx context.Context, name string, args []any, into ...any) (found bool, err error) {
	err = b.each(ctx, name, func(rows *sql.Rows) error {
		found = true
		if err := rows.Scan(into...); err != nil {
			return &PoolerError{Advice: b.advice(), Err: err, statement: name} // those are not the columns of this statement
		}
		return nil
	}, args...)
	return found && err == nil, err
}

// exec runs a statement for its effect.
func (b *Backend) exec(ctx context.Context, name string, args ...any) error {
	return b.each(ctx, name, func(*sql.Rows) error { return nil }, args...)
}
