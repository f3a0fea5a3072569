// Package longtest splits the tests in those that run at each change, and those that take minutes or go by the clock, which make
// test/long runs: at night, and before a release.
package longtest

import (
	"flag"
	"os"
	"testing"
)

// On reports whether the long tests run: EVENTSTORE_TEST_LONG is set.
func On() bool { return os.Getenv("EVENTSTORE_TEST_LONG") != "" }

// Only skips a test unless the long ones run.
func Only(tb testing.TB) {
	tb.Helper()
	if !On() {
		tb.Skip("excused: it takes minutes, and runs in make test/long")
	}
}

// Share returns prefixes of the cases that are run at each change, and none, which stands for all cases, if the long tests run.
func Share(prefixes ...string) []string {
	if On() {
		return nil
	}
	return prefixes
}

// FewerChecks has package rapid make so many checks of a property instead of a hundred, unless the long tests run. It is called
// from init, so that the flag -rapid.checks still counts.
func FewerChecks(n string) {
	if !On() {
		if err := flag.Set("rapid.checks", n); err != nil {
			panic(err)
		}
	}
}
