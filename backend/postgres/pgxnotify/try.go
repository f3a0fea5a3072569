package pgxnotify

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/eventstore-go/eventstore/store"
)

// rounds is how often a notifier notifies itself. Through a pooler that has several sessions one may arrive by chance.
const rounds = 3

// try notifies conn, which listens, from another connection, and returns [store.ErrNoNotifications] if it hears nothing. No clock is
// involved: a server sends a session the notifications of transactions that were committed before it answers the session's next
// statement, however slow it is.
func (n *Notifier) try(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, n.opts.KeepAlive)
	defer cancel()
	other, err := pgx.ConnectConfig(ctx, n.config)
	if err != nil {
		n.untried(ctx, err)
		return nil
	}
	defer func() { _ = other.Close(ctx) }()
	for range rounds {
		mark := rand.Text()
		// The simple protocol works through every pooler.
		if _, err := other.Exec(ctx, "select pg_notify($1, $2)", pgx.QueryExecModeSimpleProtocol, n.channel, mark); err != nil {
			n.untried(ctx, err)
			return nil
		}
		if err := conn.Ping(ctx); err != nil {
			return err
		}
		if !received(conn, mark) {
			_, _ = conn.Exec(ctx, "unlisten "+pgx.Identifier{n.channel}.Sanitize()) // if it reaches the same session
			return fmt.Errorf("pgxnotify: channel %q: %w: the connection goes through a pooler in transaction mode; "+
				"give the notifier one to the server itself, or leave it out", n.channel, store.ErrNoNotifications)
		}
	}
	return nil
}

// received reports whether the notification with a payload has arrived on conn. It takes those before it, too: the caller wakes up all
// the same.
func received(conn *pgx.Conn, payload string) bool {
	arrived, cancel := context.WithCancel(context.Background())
	cancel() // return what is there, and wait for nothing
	for {
		got, err := conn.WaitForNotification(arrived)
		if err != nil {
			return false
		}
		if got.Payload == payload {
			return true
		}
	}
}

// untried logs why it is not known whether notifications arrive.
func (n *Notifier) untried(ctx context.Context, err error) {
	n.opts.Logger.WarnContext(ctx, "eventstore: could not find out whether notifications arrive", "channel", n.channel, "err", err)
}
