package pqnotify_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/eventstore-go/eventstore/backend/postgres/pqnotify"
	"github.com/eventstore-go/eventstore/internal/notifytest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestNotifier(t *testing.T) {
	notifytest.Run(t, func(connString, channel string, log *slog.Logger, keepAlive time.Duration) (store.Notifier, error) {
		return pqnotify.New(connString, channel, &pqnotify.Options{
			Logger: log, KeepAlive: keepAlive, MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond,
		})
	})
}
