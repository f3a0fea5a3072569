package pgxtx

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/eventstore-go/eventstore/store"
)

// OpenDB returns a *sql.DB on the connections of pool, as stdlib.OpenDBFromPool does, for [InTx] and [Handler]: they can have its
// transactions as a pgx.Tx. It keeps no idle connections, and uses at most as many as the pool has. To prepare a statement costs nothing:
// pgx prepares and keeps statements by itself, as the pool's settings say.
//
// Close the *sql.DB before the pool, which stays the caller's. The value that (*sql.Conn).Raw hands out has a method Conn, which returns the
// *pgx.Conn.
func OpenDB(pool *pgxpool.Pool, opts ...stdlib.OptionOpenDB) *sql.DB {
	db := sql.OpenDB(poolConnector{stdlib.GetPoolConnector(pool, opts...)})
	db.SetMaxIdleConns(0)
	db.SetMaxOpenConns(int(pool.Config().MaxConns))
	return db
}

// poolConnector wraps the connections of stdlib.
type poolConnector struct{ driver.Connector }

// Connect implements [driver.Connector].
func (c poolConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &poolConn{std: conn.(*stdlib.Conn)}, nil
}

type std = stdlib.Conn

// poolConn is a connection of stdlib whose transaction can be lent. While it is lent, the goroutine that works with it shares the connection
// with database/sql, which locks nothing then. So what database/sql does by itself, when a context ends, must not touch the connection: it
// cuts the wire, and the borrower gives the connection back.
type poolConn struct {
	*std

	tx pgx.Tx // the one that is open, or nil; database/sql locks it

	mu     sync.Mutex
	lent   int  // times
	closed bool // by database/sql, while it was lent
}

var (
	_ driver.Conn               = (*poolConn)(nil)
	_ driver.ConnBeginTx        = (*poolConn)(nil)
	_ driver.ConnPrepareContext = (*poolConn)(nil)
	_ driver.ExecerContext      = (*poolConn)(nil)
	_ driver.QueryerContext     = (*poolConn)(nil)
	_ driver.NamedValueChecker  = (*poolConn)(nil)
	_ driver.Pinger             = (*poolConn)(nil)
	_ driver.SessionResetter    = (*poolConn)(nil)
)

// levels are pgx's names of the isolation levels of database/sql.
var levels = map[sql.IsolationLevel]pgx.TxIsoLevel{
	sql.LevelDefault: "", sql.LevelReadUncommitted: pgx.ReadUncommitted, sql.LevelReadCommitted: pgx.ReadCommitted,
	sql.LevelRepeatableRead: pgx.RepeatableRead, sql.LevelSnapshot: pgx.RepeatableRead, sql.LevelSerializable: pgx.Serializable,
}

// BeginTx implements [driver.ConnBeginTx].
func (c *poolConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	level, ok := levels[sql.IsolationLevel(opts.Isolation)]
	if !ok {
		return nil, fmt.Errorf("pgxtx: PostgreSQL has no isolation level %v", sql.IsolationLevel(opts.Isolation))
	}
	how := pgx.TxOptions{IsoLevel: level}
	if opts.ReadOnly {
		how.AccessMode = pgx.ReadOnly
	}
	tx, err := c.Conn().BeginTx(ctx, how)
	if err != nil {
		return nil, err
	}
	c.tx = tx
	return &poolTx{ctx: ctx, conn: c, tx: tx}, nil
}

// poolTx ends a transaction for database/sql.
type poolTx struct {
	ctx  context.Context // that of BeginTx
	conn *poolConn
	tx   pgx.Tx
}

// Commit implements [driver.Tx].
func (t *poolTx) Commit() error {
	t.conn.tx = nil
	return t.tx.Commit(t.ctx)
}

// Rollback implements [driver.Tx]. database/sql calls it from a goroutine of its own when the context has ended.
func (t *poolTx) Rollback() error {
	t.conn.tx = nil
	if t.ctx.Err() != nil && t.conn.cut() {
		return driver.ErrBadConn
	}
	return t.tx.Rollback(t.ctx)
}

// cut cuts the wire if the connection is lent, and reports whether it is. The server then rolls back, and the borrower's statements fail. The
// net.Conn is the one part of a connection that another goroutine may close.
func (c *poolConn) cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lent > 0 {
		_ = c.Conn().PgConn().Conn().Close()
	}
	return c.lent > 0
}

// Close implements [driver.Conn]: it gives the connection back to the pool, when it is not lent any more.
func (c *poolConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lent > 0 {
		c.closed = true
		return nil
	}
	return c.std.Close()
}

// giveBack ends a loan.
func (c *poolConn) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lent--; c.lent == 0 && c.closed {
		_ = c.std.Close() // which always returns nil
	}
}

// ExecContext implements [driver.ExecerContext]. A loan as the only argument is no statement: it is noted in the loan what is lent.
func (c *poolConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 1 {
		if l, ok := args[0].Value.(*loan); ok {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.lent++
			l.conn, l.tx = c, c.tx
			return driver.ResultNoRows, nil
		}
	}
	return c.std.ExecContext(ctx, query, args)
}

// PrepareContext implements [driver.ConnPrepareContext]. It sends nothing: see [OpenDB].
func (c *poolConn) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	return &stmt{c, query}, nil
}

// Prepare implements [driver.Conn].
func (c *poolConn) Prepare(query string) (driver.Stmt, error) { return &stmt{c, query}, nil }

// stmt is the text of a statement.
type stmt struct {
	conn  *poolConn
	query string
}

var (
	_ driver.StmtExecContext  = (*stmt)(nil)
	_ driver.StmtQueryContext = (*stmt)(nil)
)

func (s *stmt) Close() error  { return nil }
func (s *stmt) NumInput() int { return -1 } // the server counts

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.std.ExecContext(ctx, s.query, args)
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.query, args)
}

// database/sql calls the methods with a context instead of these.
func (s *stmt) Exec([]driver.Value) (driver.Result, error) { return nil, driver.ErrSkip }
func (s *stmt) Query([]driver.Value) (driver.Rows, error)  { return nil, driver.ErrSkip }

// loan is how the transaction of a poolConn is asked for: as the argument of a statement.
type loan struct {
	conn *poolConn
	tx   pgx.Tx
}

// RewriteQuery implements [pgx.QueryRewriter], for connections of stdlib alone: nothing is sent to the server.
func (l *loan) RewriteQuery(context.Context, *pgx.Conn, string, []any) (string, []any, error) {
	return "", nil, errNotOpened
}

// lend calls f with the pgx.Tx behind a transaction of database/sql.
func lend(ctx context.Context, tx *sql.Tx, f func(pgx.Tx) error) error {
	l := &loan{}
	if _, err := tx.ExecContext(ctx, "-- pgxtx", l); l.conn == nil {
		if ctx.Err() != nil || errors.Is(err, sql.ErrTxDone) {
			return err
		}
		return fmt.Errorf("%w: %w", errNotOpened, store.ErrNoTransactions)
	}
	defer l.conn.giveBack()
	return f(&managed{l.tx})
}

// managed is a pgx.Tx that the store ends.
type managed struct{ pgx.Tx }

// Commit implements [pgx.Tx].
func (*managed) Commit(context.Context) error { return ErrManaged }

// Rollback implements [pgx.Tx].
func (*managed) Rollback(context.Context) error { return ErrManaged }
