package postgres_test

import (
	"os"
	"testing"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/conformance"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// through are the parameters of a connection string with which a driver goes through a pooler in transaction mode.
var through = map[string]string{"pgx": "default_query_exec_mode=exec", "postgres": "binary_parameters=yes"}

// TestConformanceThroughPooler runs the suite through a pooler in transaction mode that changes sessions as often as it can.
func TestConformanceThroughPooler(t *testing.T) {
	if os.Getenv("EVENTSTORE_TEST_POOLERS") == "" {
		t.Skip("excused: it takes minutes, and runs in make test/poolers")
	}
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			at := &places{
				t: t, driver: driver, conns: 8, opts: postgres.Options{NoGroupCommit: driver != "pgx"},
				pooler: pgtest.StartPooler(t, pgtest.URL(t), "server_round_robin = 1"),
			}
			conformance.Run(t, conformance.Harness{
				Name: "pgbouncer/" + driver,
				New:  func(tb testing.TB) store.Storage { return at.open(tb) },
			})
		})
	}
}
