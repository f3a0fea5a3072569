package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// dying opens real connections. The next uses of them outside transactions, as many as left says, find their connection closed.
type dying struct {
	driver driver.Driver
	url    string
	left   atomic.Int64
	none   atomic.Bool // new connections are dead, too, and cost the server nothing
}

func (d *dying) Driver() driver.Driver { return d.driver }

func (d *dying) Connect(context.Context) (driver.Conn, error) {
	if d.none.Load() {
		return deadConn{d}, nil
	}
	c, err := d.driver.Open(d.url)
	return &dyingConn{c, d, false}, err
}

// deadConn is a connection that was never alive.
type deadConn struct{ pool *dying }

func (c deadConn) Close() error { return nil }

func (c deadConn) Begin() (driver.Tx, error) { c.pool.left.Add(-1); return nil, driver.ErrBadConn }

func (c deadConn) Prepare(string) (driver.Stmt, error) {
	c.pool.left.Add(-1)
	return nil, driver.ErrBadConn
}

type dyingConn struct {
	driver.Conn
	pool *dying
	inTx bool // its transaction has begun: it does not die any more
}

func (c *dyingConn) dies() error {
	if c.inTx || c.pool.left.Add(-1) < 0 {
		return nil
	}
	_ = c.Close()
	return driver.ErrBadConn // as drivers do
}

func (c *dyingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.dies(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *dyingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.dies(); err != nil {
		return nil, err
	}
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	return &dyingStmt{s, c}, err
}

func (c *dyingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := c.dies(); err != nil {
		return nil, err
	}
	c.inTx = true
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func (c *dyingConn) ResetSession(ctx context.Context) error {
	c.inTx = false
	return c.Conn.(driver.SessionResetter).ResetSession(ctx)
}

func (c *dyingConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type dyingStmt struct {
	driver.Stmt
	conn *dyingConn
}

func (s *dyingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.conn.dies(); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

// lines counts what is logged.
type lines struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.out.Reset()
	return l.out.String()
}

// dead is how many connections a call finds dead: more than database/sql looks for by itself.
const dead = 7

// newDying returns a backend over connections that die, and the same store without them.
func newDying(t *testing.T, name string, opts Options) (pool *dying, b, direct *Backend, log *lines) {
	t.Helper()
	direct = setup(t, pgtest.URL(t))
	known, err := sql.Open(name, pgtest.URL(t))
	require.NoError(t, err)
	defer known.Close() //nolint:errcheck // it is only asked for its driver
	pool, log = &dying{driver: known.Driver(), url: pgtest.URL(t)}, &lines{}
	db := sql.OpenDB(pool)
	db.SetMaxOpenConns(2)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	opts.Schema = direct.opts.Schema
	opts.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b = New(db, &opts)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return pool, b, direct, log
}
