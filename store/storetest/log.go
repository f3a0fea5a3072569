package storetest

import (
	"io"
	"log/slog"
	"sync"
	"testing"
)

// Logger returns a logger that writes to the log of the test, at the level Debug: go test shows it if the test fails, or with -v. What is
// logged after the end of the test is dropped.
func Logger(tb testing.TB) *slog.Logger {
	w := &output{to: tb.Output()}
	tb.Cleanup(w.close)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// output writes to the log of a test while the test runs. The log of a test that has ended panics.
type output struct {
	mu sync.Mutex
	to io.Writer // nil when the test has ended
}

// Write implements [io.Writer].
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.to == nil {
		return len(line), nil
	}
	return o.to.Write(line)
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to = nil
}
