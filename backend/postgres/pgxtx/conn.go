package pgxtx

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5"
)

// The backend speaks database/sql, which has no way to take a connection over. So a pgx.Tx gets a driver of its own: its one connection
// sends each statement by the method Query of the pgx.Tx. It does not go around the pgx.Tx to the connection: the pgx.Tx knows when it has
// ended, and that the connection is in the hands of others then.
//
// A *sql.Conn stands for the transaction, not a *sql.Tx: a goroutine of database/sql would wait for the end of that, which nobody
// would tell it of.

// connect returns the connection of a pgx.Tx. It needs no Close, as it holds nothing.
func connect(c *connector) (*sql.Conn, error) {
	db := sql.OpenDB(c)
	defer db.Close() //nolint:errcheck // ends the pool's goroutine, and leaves the connection as it is
	return db.Conn(context.Background())
}

// connector hands out the connection of a pgx.Tx, once.
type connector struct {
	tx    pgx.Tx
	given bool
}

// Connect implements [driver.Connector].
func (c *connector) Connect(context.Context) (driver.Conn, error) {
	if c.given {
		return nil, errSecond
	}
	c.given = true
	return &conn{c.tx}, nil
}

// Driver implements [driver.Connector].
func (c *connector) Driver() driver.Driver { return nowhere{} }

// nowhere is a driver that opens nothing by name.
type nowhere struct{}

func (nowhere) Open(string) (driver.Conn, error) { return nil, errDriver }

// conn is a connection in the transaction of a pgx.Tx. It takes queries, and leaves the transaction alone.
type conn struct{ tx pgx.Tx }

var (
	_ driver.QueryerContext    = (*conn)(nil)
	_ driver.NamedValueChecker = (*conn)(nil)
)

// QueryContext implements [driver.QueryerContext].
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.usable(ctx); err != nil {
		return nil, err
	}
	values := make([]any, 1, 1+len(args))
	values[0] = formats
	for _, a := range args {
		values = append(values, a.Value)
	}
	r, err := c.tx.Query(ctx, query, values...)
	if err != nil {
		return nil, err
	}
	return newRows(r)
}

// The states of a connection, as the server tells them.
const idle = 'I' // outside a transaction

// usable returns why no statement can be sent.
func (c *conn) usable(ctx context.Context) error {
	// An empty batch sends nothing, and asks only whether the pgx.Tx, or one around it, was closed. Before that, the
	// connection may not be looked at: it may be another's by now.
	if err := c.tx.SendBatch(ctx, &pgx.Batch{}).Close(); errors.Is(err, pgx.ErrTxClosed) {
		return &endedError{"it was committed or rolled back"}
	} else if err != nil {
		return err
	}
	on := c.tx.Conn()
	switch {
	case on == nil: // of a pgx.Tx that is not one of pgx's own
		return nil
	case on.IsClosed():
		return &endedError{"its connection is closed, as after a context that ended during a statement"}
	case on.PgConn().IsBusy():
		return ErrBusy
	case on.PgConn().TxStatus() == idle:
		return &endedError{"a statement has ended it, such as commit or rollback"}
	}
	return nil
}

// CheckNamedValue implements [driver.NamedValueChecker]: pgx takes every value as it is.
func (c *conn) CheckNamedValue(*driver.NamedValue) error { return nil }

// Prepare implements [driver.Conn].
func (c *conn) Prepare(string) (driver.Stmt, error) { return nil, errDriver }

// Begin implements [driver.Conn].
func (c *conn) Begin() (driver.Tx, error) { return nil, errDriver }

// Close implements [driver.Conn]. The connection is the caller's.
func (c *conn) Close() error { return nil }
