package storetest_test

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// fake is a test that notes how it ends. What a function of storetest does to it is what it would do to a test of a user.
type fake struct {
	testing.TB

	deadline time.Duration // from now, or 0 for none
	log      strings.Builder
	failures []string
	cleanups []func()
}

func (f *fake) Helper()           {}
func (f *fake) Output() io.Writer { return &f.log }
func (f *fake) Failed() bool      { return len(f.failures) > 0 }
func (f *fake) Cleanup(do func()) { f.cleanups = append(f.cleanups, do) }

func (f *fake) Errorf(format string, args ...any) {
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *fake) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

func (f *fake) Deadline() (time.Time, bool) {
	return time.Now().Add(f.deadline), f.deadline > 0
}

// run does what a test does, on a goroutine of its own, and then what it leaves to its end.
func (f *fake) run(test func(tb testing.TB)) {
	f.on(func() { test(f) })
	for _, do := range slices.Backward(f.cleanups) {
		f.on(do)
	}
}

func (*fake) on(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	<-done
}

// failures returns how a test fails, nothing if it passes.
func failures(t *testing.T, test func(tb testing.TB)) string {
	t.Helper()
	f := &fake{TB: t}
	f.run(test)
	return strings.Join(f.failures, "\n")
}
