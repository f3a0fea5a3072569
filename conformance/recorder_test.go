package conformance

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// recorder is a testing.TB that notes a failure instead of failing the test, so that a case may be seen to fail.
type recorder struct {
	testing.TB
	name string
	note func(name string, failed bool) // called once for each case or subcase

	mu       sync.Mutex
	failed   bool // by itself
	ran      bool // a subcase
	log      []string
	cleanups []func()
}

// record runs a case or subcase to its end and notes the outcome.
func record(parent testing.TB, name string, note func(string, bool), run func(r *recorder)) {
	r := &recorder{TB: parent, name: name, note: note}
	r.protect(func() { run(r) })
	for len(r.cleanups) > 0 {
		last := len(r.cleanups) - 1
		cleanup := r.cleanups[last]
		r.cleanups = r.cleanups[:last]
		r.protect(cleanup)
	}
	if !r.ran || r.failed {
		note(name, r.failed)
	}
}

// protect runs f in a goroutine of its own, which FailNow may end. A panic is a failure.
func (r *recorder) protect(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				r.Error("panic: ", p)
			}
		}()
		f()
	}()
	<-done
}

// sub runs a subcase.
func (r *recorder) sub(name string, run func(tb testing.TB, sub runner)) {
	r.ran = true
	record(r.TB, r.name+"/"+name, r.note, func(r *recorder) { run(r, r.sub) })
}

func (r *recorder) Fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *recorder) Log(args ...any)                   { r.Logf("%s", fmt.Sprint(args...)) }
func (r *recorder) Error(args ...any)                 { r.Log(args...); r.Fail() }
func (r *recorder) Errorf(format string, args ...any) { r.Logf(format, args...); r.Fail() }
func (r *recorder) FailNow()                          { r.Fail(); runtime.Goexit() }
func (r *recorder) Fatal(args ...any)                 { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); runtime.Goexit() }
func (r *recorder) Skip(args ...any)                  { r.Log(args...); runtime.Goexit() }
func (r *recorder) Skipf(format string, args ...any)  { r.Logf(format, args...); runtime.Goexit() }
func (r *recorder) SkipNow()                          { runtime.Goexit() }
func (r *recorder) Helper()                           {}
func (r *recorder) Name() string                      { return r.name }
