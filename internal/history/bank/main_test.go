package bank_test

import (
	"testing"

	"github.com/eventstore-go/eventstore/internal/history/child"
)

// TestMain runs the tests, or, started by one of them, a worker.
func TestMain(m *testing.M) { child.Main(m, work) }
