package conformance

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
)

// logBytes is how much of what Stores log is printed if a case fails.
const logBytes = 16_000

// journal keeps what Stores log while a case runs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps the beginning of the text: what came first tells most.
func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.text.Len() < logBytes {
		j.text.Write(line)
	}
	return len(line), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// logger returns a logger of which the test prints what it was told, if it fails.
func logger(tb testing.TB) *slog.Logger {
	j := &journal{}
	tb.Cleanup(func() {
		if text := j.String(); tb.Failed() && text != "" {
			tb.Log("what the Store logged:\n" + text)
		}
	})
	return slog.New(slog.NewTextHandler(j, nil))
}
