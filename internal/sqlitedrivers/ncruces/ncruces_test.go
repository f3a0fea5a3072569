package ncruces

import (
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/eventstore-go/eventstore/internal/sqlitedrivers"
)

func TestNcruces(t *testing.T) {
	sqlitedrivers.Driver{Name: "ncruces", SQL: "sqlite3", DSN: func(path string, deferred bool) string {
		lock := "immediate"
		if deferred {
			lock = "deferred" // the default is immediate
		}
		return "file:" + path + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=" + lock
	}}.All(t)
}
