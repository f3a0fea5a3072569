// Package pqnotify is a [store.Notifier] that listens to PostgreSQL by lib/pq. It keeps one connection of its own, which
// must reach the server itself: LISTEN does not work through a pooler in transaction mode. Once it is connected, it notifies itself by
// two more connections, and Listen returns [store.ErrNoNotifications] if nothing arrives. Where there is only a pooler, do without:
// subscribers poll then.
//
//	notifier, err := pqnotify.New(url, backend.Channel(), nil)
//	es := store.New(backend, &store.Options{Notifier: notifier})
package pqnotify

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/lib/pq"

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
	connString, channel string
	opts                Options
}

var _ store.Notifier = (*Notifier)(nil)

// New returns a Notifier that connects with connString, a URL or a list of settings, and listens on the channel of a
// backend. It does not connect yet. The error is [store.ErrInvalid].
func New(connString, channel string, opts *Options) (*Notifier, error) {
	if channel == "" || len(channel) > 63 {
		return nil, &store.InvalidError{Field: "channel", Reason: fmt.Sprintf("%q is not from 1 to 63 bytes long", channel)}
	}
	if _, err := pq.NewConnector(connString); err != nil {
		// The driver's error may hold the string, and so a password.
		return nil, &store.InvalidError{Field: "connString", Reason: "is neither a URL that lib/pq understands nor a list of its settings"}
	}
	n := &Notifier{connString: connString, channel: channel}
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
	if n.opts.MaxBackoff <= 0 {
		n.opts.MaxBackoff = 10 * time.Second
	}
	n.opts.MaxBackoff = max(n.opts.MaxBackoff, n.opts.MinBackoff)
	return n, nil
}

// Notify does nothing: it is the tick that notifies, in the database.
func (n *Notifier) Notify() {}

// Listen implements [store.Notifier]. The driver's listener connects again by itself; a connection that has died
// without a word is closed under it.
func (n *Notifier) Listen(ctx context.Context, wake func()) error {
	link := &link{}
	listener := pq.NewDialListener(link, n.connString, n.opts.MinBackoff, n.opts.MaxBackoff, func(_ pq.ListenerEventType, err error) {
		if err != nil && ctx.Err() == nil {
			n.opts.Logger.Warn("eventstore: not listening; new events are found by polling until this is over",
				"channel", n.channel, "err", err)
		}
	})
	results := make(chan error, 2) // of calls that wait for the server
	calls, tried := 1, false
	go func() { results <- listener.Listen(n.channel) }() // until the first connection is there
	defer func() {
		link.close() // whatever waits for an answer has one now
		_ = listener.Close()
		for range calls {
			<-results //nolint:errcheck // the listener is closed
		}
	}()
	idle := time.NewTimer(n.opts.KeepAlive)
	defer idle.Stop()
	for {
		select {
		case <-listener.NotificationChannel(): // also once after it has connected again
			wake()
		case err := <-results:
			calls--
			if err != nil {
				break
			}
			if !tried {
				tried = true
				if err := n.try(ctx); err != nil {
					return err
				}
			}
			wake()
		case <-idle.C:
			if calls > 0 {
				link.close() // no answer: let the listener connect again
				break
			}
			calls++
			go func() { results <- listener.Ping() }()
		case <-ctx.Done():
			return ctx.Err()
		}
		idle.Reset(n.opts.KeepAlive)
	}
}

// link dials for a listener, and closes its connection when that is dead.
type link struct {
	mu   sync.Mutex
	conn net.Conn
}

var _ pq.Dialer = (*link)(nil)

// Dial implements [pq.Dialer].
func (l *link) Dial(network, address string) (net.Conn, error) {
	return l.DialTimeout(network, address, 0)
}

// DialTimeout implements [pq.Dialer].
func (l *link) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	return conn, nil
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close()
	}
}
