package hatest_test

import (
	"os"
	"testing"

	"github.com/eventstore-go/eventstore/internal/history/child"
)

// envRun is set by make test/ha.
const envRun = "EVENTSTORE_TEST_HA"

// TestMain runs the tests or, started by one of them, a process of the load.
func TestMain(m *testing.M) { child.Main(m, work) }

// asked skips a test that nobody has asked for.
func asked(t *testing.T) {
	t.Helper()
	if os.Getenv(envRun) == "" {
		t.Skip("excused: it takes minutes, and is run by make test/ha")
	}
}
