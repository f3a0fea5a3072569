package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// journal keeps what is logged.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(j, nil)) }

// lines returns the lines whose message has a part.
func (j *journal) lines(t *testing.T, part string) (list []map[string]any) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.buf.String()) {
		var l map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		if strings.Contains(l["msg"].(string), part) {
			list = append(list, l)
		}
	}
	return list
}

// picked returns some attributes of a line.
func picked(l map[string]any, keys ...string) (list []any) {
	for _, key := range keys {
		list = append(list, l[key])
	}
	return list
}

// TestHandlerFailuresAreLogged: each failure of a handler is logged with what becomes of the event, and without its data.
func TestHandlerFailuresAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p := newProcess(t, memory.New(), &store.Options{Logger: j.logger()})
		_, err := p.Append(t.Context(), "s", store.Any, store.Event{Type: "good"}, store.Event{Type: "bad", Data: "secret", Metadata: "secret"})
		require.NoError(t, err)
		stop := p.consume(func(_ context.Context, e store.Recorded) error {
			if e.Type == "bad" {
				return errBoom
			}
			return nil
		}, &store.ConsumeOptions{OnError: store.RetryThen(3, store.Skip)})
		time.Sleep(time.Minute)
		stop()
		keys := []string{"level", "stream", "subscription", "event_stream", "number", "type", "attempt", "err"}
		retries := j.lines(t, "retrying")
		require.Len(t, retries, 2)
		for i, l := range retries {
			assert.Equal(t, []any{"WARN", "s", "reader", "s", 2.0, "bad", float64(i + 1), "boom"}, picked(l, keys...))
		}
		skips := j.lines(t, "skipping")
		require.Len(t, skips, 1)
		assert.Equal(t, []any{"WARN", "s", "reader", "s", 2.0, "bad", 3.0, "boom"}, picked(skips[0], keys...))
		assert.NotContains(t, j.buf.String(), "secret")
		assert.Len(t, j.lines(t, ""), 3, "and nothing else")
	})
}

// TestLogIsBounded: the same message is logged ten times at once and then every ten seconds, and says what was left out.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p := newProcess(t, memory.New(), &store.Options{Logger: j.logger()})
		p.append(1000)
		stop := p.consume(func(_ context.Context, e store.Recorded) error {
			if e.Number > 500 {
				time.Sleep(100 * time.Millisecond)
			}
			return errBoom
		}, &store.ConsumeOptions{OnError: func(store.Recorded, error, int) store.Decision { return store.Skip }})
		time.Sleep(time.Hour)
		stop()
		lines := j.lines(t, "skipping")
		assert.Len(t, lines, 10+5)
		total := float64(len(lines))
		for _, l := range append(lines, j.lines(t, "not logged")...) {
			n, _ := l["not_logged"].(float64)
			total += n
		}
		assert.InDelta(t, 1000, total, 0, "every one is accounted for")
	})
}

// TestPanicsAreLogged: a panic is logged with the event and the stack of the handler, and goes on on the caller's goroutine.
func TestPanicsAreLogged(t *testing.T) {
	t.Parallel()
	for name, handlers := range map[string]int{"one": 1, "several": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var j journal
				p := newProcess(t, memory.New(), &store.Options{Logger: j.logger()})
				p.append(3)
				tried := 0
				assert.PanicsWithValue(t, "oh no", func() {
					_ = p.Consume(t.Context(), "s", "reader", func(_ context.Context, e store.Recorded) error {
						if e.Number != 3 {
							return nil
						}
						if tried++; tried < 2 {
							return errBoom
						}
						panicking()
						return nil
					}, &store.ConsumeOptions{Handlers: handlers})
				})
				lines := j.lines(t, "panicked")
				require.Len(t, lines, 1)
				assert.Equal(t, []any{"ERROR", "s", "reader", 3.0, "happened", 2.0, "oh no"},
					picked(lines[0], "level", "stream", "subscription", "number", "type", "attempt", "panic"))
				assert.Contains(t, lines[0]["stack"], "panicking")
			})
		})
	}
	t.Run("Goexit", func(t *testing.T) {
		t.Parallel()
		var j journal
		p := newProcess(t, memory.New(), &store.Options{Logger: j.logger()})
		p.append(1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = p.Consume(t.Context(), "s", "reader", func(context.Context, store.Recorded) error {
				runtime.Goexit()
				return nil
			}, nil)
		}()
		<-done
		assert.Empty(t, j.lines(t, ""), "it is no panic")
	})
}

func panicking() { panic("oh no") }

// TestProjectionFailuresAreLogged: likewise of projections, with their partition.
func TestProjectionFailuresAreLogged(t *testing.T) {
	t.Parallel()
	var j journal
	es := projectingStore(t, &store.Options{Logger: j.logger(), PollInterval: 10 * time.Millisecond})
	_, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: "good"}, store.Event{Type: "bad", Data: "secret"})
	require.NoError(t, err)
	res, err := es.Append(t.Context(), "t", store.Any, store.Event{Type: "worse", Data: "secret"})
	require.NoError(t, err)
	ended := make(chan any, 1)
	go func() {
		defer func() { ended <- recover() }()
		_ = es.Project(t.Context(), "p", func(_ context.Context, _ *sql.Tx, events []store.Recorded) error {
			for _, e := range events {
				switch {
				case e.Type == "bad":
					return errBoom
				case e.Type == "worse" && len(events) == 1:
					panicking()
				case e.Type == "worse":
					return errors.New("alone")
				}
			}
			return nil
		}, &store.ProjectOptions{MinBackoff: time.Millisecond, OnError: store.RetryThen(2, store.Park)})
	}()
	assert.Equal(t, "oh no", <-ended)
	keys := []string{"stream", "projection", "partition", "event_stream", "number", "type", "attempt", "err"}
	lines := append(j.lines(t, "retrying"), j.lines(t, "parking")...)
	require.Len(t, lines, 2)
	for i, l := range lines {
		assert.Equal(t, []any{"$all", "p", 0.0, "s", 2.0, "bad", float64(i + 1), "boom"}, picked(l, keys...))
	}
	lines = j.lines(t, "panicked")
	require.Len(t, lines, 1)
	assert.Equal(t, []any{"$all", "p", 0.0, "t", float64(res.Last + 2), "worse", 1.0}, picked(lines[0], keys[:7]...))
	assert.Contains(t, lines[0]["stack"], "panicking")
	assert.NotContains(t, j.buf.String(), "secret")
}

// TestLostLeasesAreLogged: a lease that another process took, or that a reset ended, is logged.
func TestLostLeasesAreLogged(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(p, other *process){
		"by another process": func(p, other *process) {
			p.storage.guard(unreachable)
			other.subscribe(store.SubscribeOptions{})
			time.Sleep(2 * store.DefaultLeaseTTL)
			p.storage.guard(nil)
			time.Sleep(store.DefaultLeaseTTL)
		},
		"by a reset": func(p, _ *process) { require.NoError(p.t, p.ResetSubscription(p.t.Context(), "s", "reader", 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var j journal
				b := memory.New()
				p, other := newProcess(t, b, &store.Options{Logger: j.logger()}), newProcess(t, b, nil)
				p.append(1)
				p.subscribe(store.SubscribeOptions{})
				synctest.Wait()
				take(p, other)
				synctest.Wait()
				lines := j.lines(t, "lease was lost")
				require.Len(t, lines, 1)
				assert.Equal(t, []any{"WARN", "s", "reader", store.ErrLeaseLost.Error()}, picked(lines[0], "level", "stream", "subscription", "err"))
			})
		})
	}
}

// TestDefaultLogger is not parallel: it changes the default.
func TestDefaultLogger(t *testing.T) { //nolint:paralleltest // as it says
	var j journal
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(j.logger())
	handle := func(p *process) {
		p.append(1)
		_ = p.Consume(t.Context(), "s", "reader", func(context.Context, store.Recorded) error { return errBoom }, &store.ConsumeOptions{
			OnError: func(_ store.Recorded, _ error, attempt int) store.Decision {
				return []store.Decision{store.Retry, store.Stop}[attempt-1]
			},
			MinBackoff: time.Millisecond,
		})
	}
	handle(newProcess(t, memory.New(), &store.Options{Logger: slog.New(slog.DiscardHandler)}))
	assert.Empty(t, j.lines(t, ""))
	handle(newProcess(t, memory.New(), nil))
	assert.Len(t, j.lines(t, "retrying"), 1)
}
