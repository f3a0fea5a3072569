// Testreport reads the output of go test -json and prints what a person wants of it: the output of the tests that
// failed, go test's own line for each package, and at the end the conformance cases of each backend and driver and the
// number of tests that passed, failed and were skipped.
//
//	go test -json ./... | go run ./internal/testreport
//
// A line "== NAME" in between begins a section, which is counted by itself. One that is called PostgreSQL and a major version must
// have run on servers of that version: internal/pgserver prints which one a test had.
//
// It exits with 1 if anything failed, if nothing ran, if a test that -want names did not pass, or, where the variable CI
// is set, if a test was skipped without an excuse: a skip must say "excused: " and why. Conformance writes that for what
// a backend's harness excuses by name.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	want := flag.String("want", "", "comma-separated `tests` of which each section must have passed each, or a subtest of it")
	flag.Parse()
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.finish(os.Getenv("CI") != "", strings.FieldsFunc(*want, func(c rune) bool { return c == ',' })...) {
		os.Exit(1)
	}
}
