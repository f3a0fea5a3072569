package delivery_test

import (
	"fmt"
	"time"

	"github.com/eventstore-go/eventstore/backend/postgres/pgxnotify"
	"github.com/eventstore-go/eventstore/backend/postgres/pqnotify"
	"github.com/eventstore-go/eventstore/store"
)

// notifier returns what the plan listens with, or nil.
func (w *worker) notifier() (store.Notifier, error) {
	const keepAlive, backoff = time.Second, 200 * time.Millisecond
	switch w.Listen {
	case "":
		return nil, nil
	case "pgx":
		return pgxnotify.New(w.URL, w.b.Channel(), &pgxnotify.Options{KeepAlive: keepAlive, MaxBackoff: backoff})
	case "postgres":
		return pqnotify.New(w.URL, w.b.Channel(), &pqnotify.Options{KeepAlive: keepAlive, MaxBackoff: backoff})
	}
	return nil, fmt.Errorf("no such driver: %s", w.Listen)
}
