package pqnotify

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/lib/pq"

	"github.com/eventstore-go/eventstore/store"
)

// rounds is how often a notifier notifies itself. Through a pooler that has several sessions one may arrive by chance.
const rounds = 3

// try listens on one connection, notifies it from another, and returns [store.ErrNoNotifications] if it hears nothing. No clock is
// involved: a server sends a session the notifications of transactions that were committed before it answers the session's next
// statement, however slow it is.
func (n *Notifier) try(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, n.opts.KeepAlive)
	defer cancel()
	heard, err := n.hears(short)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		n.opts.Logger.WarnContext(ctx, "eventstore: could not find out whether notifications arrive", "channel", n.channel, "err", err)
	case !heard:
		return fmt.Errorf("pqnotify: channel %q: %w: the connection goes through a pooler in transaction mode; "+
			"give the notifier one to the server itself, or leave it out", n.channel, store.ErrNoNotifications)
	}
	return nil
}

// hears reports whether one connection hears what another sends.
func (n *Notifier) hears(ctx context.Context) (heard bool, err error) {
	connector, err := pq.NewConnector(n.connString)
	if err != nil {
		return false, err
	}
	var last string // the payload that has arrived; the driver calls the handler while a statement runs, in its goroutine
	listener, closeListener, err := connect(ctx, pq.ConnectorWithNotificationHandler(connector, func(got *pq.Notification) { last = got.Extra }))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, closeListener()) }()
	other, closeOther, err := connect(ctx, connector)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, closeOther()) }()
	channel := pq.QuoteIdentifier(n.channel)
	if _, err := listener.ExecContext(ctx, "listen "+channel); err != nil {
		return false, err
	}
	for range rounds {
		mark := rand.Text()
		// Without arguments, so that nothing is prepared: that works through every pooler.
		if _, err := other.ExecContext(ctx, "notify "+channel+", "+pq.QuoteLiteral(mark)); err != nil {
			return false, err
		}
		if err := listener.PingContext(ctx); err != nil {
			return false, err
		}
		if last != mark {
			_, err := listener.ExecContext(ctx, "unlisten "+channel) // if it reaches the same session
			return false, err
		}
	}
	return true, nil
}

// connect returns a connection, which no other takes the place of when it is lost, and what closes it.
func connect(ctx context.Context, connector driver.Connector) (conn *sql.Conn, closeAll func() error, err error) {
	db := sql.OpenDB(connector)
	conn, err = db.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return conn, func() error {
		_ = conn.Close() // a connection that was lost says so, and db ends it
		return db.Close()
	}, nil
}
