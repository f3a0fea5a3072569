package bank_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// TestMain runs the tests, or, started by one of them, a worker.
func TestMain(m *testing.M) {
	code := 0
	if plan := os.Getenv(envPlan); plan != "" {
		if err := work(plan); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
	} else {
		code = pgtest.Main(m)
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
