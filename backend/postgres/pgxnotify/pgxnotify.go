// Package pgxnotify is a [store.Notifier] that listens to PostgreSQL by jackc/pgx. It keeps one connection of its own,
// which must reach the server itself: LISTEN does not work through a pooler in transaction mode. Once it is connected, it
// notifies itself from a second connection, and Listen returns [store.ErrNoNotifications] if nothing arrives. Where there is only a
// pooler, do without: subscribers poll then.
//
//	notifier, err := pgxnotify.New(url, backend.Channel(), nil)
//	es := store.New(backend, &store.Options{Notifier: notifier})
package pgxnotify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"github.com/eventstore-go/eventstore/store"
)

// Options of a [Notifier]. The zero value of each field is its default.
type Options struct {
	// Logger gets why the connection was lost, or can't be made. Default: slog.Default(); slog.New(slog.DiscardHandler) turns it off.
	Logger *slog.Logger
	// KeepAlive is how often an idle connection is tried, and how long an answer may take, so that one that died
	// without a word is noticed. Default: 30 s.
	KeepAlive time.Duration
	// MinBackoff and MaxBackoff bound the wait before the next attempt to connect. Default: 100 ms and 10 s.
	MinBackoff, MaxBackoff time.Duration
}

// Notifier listens to the ticks of a store. It is safe for concurrent use.
type Notifier struct {
	config  *pgx.ConnConfig
	channel string
	opts    Options
}

var _ store.Notifier = (*Notifier)(nil)

// New returns a Notifier that connects with connString, a URL or a list of settings, and listens on the channel of a
// backend. It does not connect yet. The error is [store.ErrInvalid].
func New(connString, channel string, opts *Options) (*Notifier, error) {
	config, err := pgx.ParseConfig(connString)
	if err != nil {
		return nil, &store.InvalidError{Field: "connString", Reason: err.Error(), Err: err} // its text hides the password
	}
	return NewConfig(config, channel, opts)
}

// NewConfig is New for a configuration, which it copies.
func NewConfig(config *pgx.ConnConfig, channel string, opts *Options) (*Notifier, error) {
	if channel == "" || len(channel) > 63 {
		return nil, &store.InvalidError{Field: "channel", Reason: fmt.Sprintf("%q is not from 1 to 63 bytes long", channel)}
	}
	n := &Notifier{config: config.Copy(), channel: channel}
	if opts != nil {
		n.opts = *opts
	}
	if n.opts.Logger == nil {
		n.opts.Logger = slog.Default()
	}
	if n.opts.KeepAlive <= 0 {
		n.opts.KeepAlive = 30 * time.Second
	}
	if n.opts.MinBackoff <= 0 {
		n.opts.MinBackoff = 100 * time.Millisecond
	}
	n.opts.MaxBackoff = max(n.opts.MaxBackoff, n.opts.MinBackoff)
	if opts == nil || opts.MaxBackoff <= 0 {
		n.opts.MaxBackoff = max(10*time.Second, n.opts.MinBackoff)
	}
	return n, nil
}

// Notify does nothing: it is the tick that notifies, in the database.
func (n *Notifier) Notify() {}

// Listen implements [store.Notifier].
func (n *Notifier) Listen(ctx context.Context, wake func()) error {
	tried := false
	wait := &backoff.ExponentialBackOff{
		InitialInterval: n.opts.MinBackoff, MaxInterval: n.opts.MaxBackoff,
		Multiplier: backoff.DefaultMultiplier, RandomizationFactor: backoff.DefaultRandomizationFactor,
	}
	for {
		wait.Reset()
		for connected := false; !connected; {
			err := n.listen(ctx, &tried, func() {
				connected = true
				wake()
			})
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, store.ErrNoNotifications) {
				return err
			}
			n.opts.Logger.Warn("eventstore: not listening; new events are found by polling until this is over",
				"channel", n.channel, "err", err)
			select {
			case <-time.After(wait.NextBackOff()):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// listen connects and calls wake then, and for each notification, until the connection is lost. It tries the first connection.
func (n *Notifier) listen(ctx context.Context, tried *bool, wake func()) error {
	conn, err := n.connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if !*tried {
		*tried = true
		if err := n.try(ctx, conn); err != nil {
			return err
		}
	}
	for {
		wake()
		if err := n.wait(ctx, conn); err != nil {
			return err
		}
	}
}

func (n *Notifier) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, n.opts.KeepAlive)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, n.config)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{n.channel}.Sanitize()); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// wait waits for a notification, and tries the connection when there is none for a while.
func (n *Notifier) wait(ctx context.Context, conn *pgx.Conn) error {
	for {
		idle, cancel := context.WithTimeout(ctx, n.opts.KeepAlive)
		_, err := conn.WaitForNotification(idle)
		quiet := idle.Err() != nil && ctx.Err() == nil
		cancel()
		if !quiet || err == nil {
			return err
		}
		alive, cancel := context.WithTimeout(ctx, n.opts.KeepAlive)
		err = conn.Ping(alive)
		cancel()
		if err != nil {
			return err
		}
	}
}
