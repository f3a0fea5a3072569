package mattn

import (
	"testing"

	_ "github.com/mattn/go-sqlite3"

	"github.com/eventstore-go/eventstore/internal/sqlitedrivers"
)

func TestMattn(t *testing.T) {
	sqlitedrivers.Driver{Name: "mattn", SQL: "sqlite3", DSN: func(path string, deferred bool) string {
		dsn := "file:" + path + "?_busy_timeout=10000&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1"
		if !deferred {
			dsn += "&_txlock=immediate"
		}
		return dsn
	}}.All(t)
}
