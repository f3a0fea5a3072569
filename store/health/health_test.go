package health_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/health"
	"github.com/eventstore-go/eventstore/store/storetest"
)

// body is what a client finds in an answer.
type body struct {
	Status   string
	At       time.Time
	Findings []finding
}

type finding struct {
	Kind, Level, Stream, Subscription, Projection, What, Advice, Error string

	Partition *int
}

// get asks h and returns the status code and the body.
func get(t *testing.T, h http.Handler, path string) (int, body) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	var b body
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &b), "%s", w.Body)
	return w.Code, b
}

// whats returns what the findings say.
func whats(b body) (list []string) {
	for _, f := range b.Findings {
		list = append(list, f.Level+" "+f.Kind+": "+f.What)
	}
	return list
}

// TestHealthy: a store that works is alive and ready, whether it has readers or not.
func TestHealthy(t *testing.T) {
	t.Parallel()
	backend, _ := storetest.SQLite(t, nil)
	for name, storage := range map[string]store.Storage{"memory": memory.New(), "sqlite": backend} {
		h := health.New(storetest.Open(t, storage, nil), nil)
		for _, path := range []string{"/live", "/ready", "/status"} {
			code, b := get(t, h, path)
			assert.Equal(t, http.StatusOK, code, "%s %s", name, path)
			assert.Equal(t, "ok", b.Status)
			assert.Empty(t, b.Findings)
			assert.NotNil(t, b.Findings, "a list, not null")
			assert.Equal(t, path == "/live", b.At.IsZero(), path)
		}
	}
}

// TestUnusable: without tables, or with a closed database, the process is alive and not ready.
func TestUnusable(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(t.TempDir(), "empty.db")))
	require.NoError(t, err)
	es := store.New(sqlite.New(db, nil), &store.Options{Logger: slog.New(slog.DiscardHandler)})
	var log strings.Builder
	o := health.Options{KeepFor: time.Nanosecond, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	h := health.New(es, &o)
	for _, path := range []string{"/ready", "/status"} {
		code, b := get(t, h, path)
		assert.Equal(t, http.StatusServiceUnavailable, code)
		assert.Equal(t, "problem", b.Status)
		assert.Equal(t, []string{"problem store: the tables are missing, or do not fit this program"}, whats(b))
		assert.Equal(t, "run eventstore migrate", b.Findings[0].Advice)
		assert.Empty(t, b.Findings[0].Error, "errors are not shown")
	}
	code, _ := get(t, h, "/live")
	assert.Equal(t, http.StatusOK, code, "a restart would not help")
	assert.Equal(t, 1, strings.Count(log.String(), "the store can't be examined"), "the same error is logged once")

	require.NoError(t, db.Close())
	o.ShowErrors = true
	code, b := get(t, health.New(es, &o), "/ready")
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.Len(t, b.Findings, 1)
	assert.NotEmpty(t, b.Findings[0].Error)

	require.NoError(t, es.Close())
	code, b = get(t, h, "/live")
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.Equal(t, []string{"problem store: the store of this process is closed"}, whats(b))
}

// TestReaders: a handler that hangs turns from fine to a problem, and asks for a restart in the process that runs it only.
func TestReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		es, other := storetest.Open(t, backend, nil), storetest.Open(t, backend, nil)
		o := health.Options{Needs: []string{"mails"}, RestartAfter: 10 * time.Minute, KeepFor: time.Second}
		h, beside := health.New(es, &o), health.New(other, &o)

		code, b := get(t, h, "/ready")
		assert.Equal(t, http.StatusServiceUnavailable, code)
		assert.Equal(t, []string{`problem idle: there is no subscription and no projection "mails"`}, whats(b))

		_, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "happened"}, store.Event{Type: "happened"})
		require.NoError(t, err)
		go func() {
			_ = es.Consume(t.Context(), "a", "mails", func(ctx context.Context, e store.Recorded) error {
				if e.Number == 2 {
					<-ctx.Done()
				}
				return ctx.Err()
			}, nil)
		}()
		time.Sleep(30 * time.Second)
		for _, path := range []string{"/live", "/ready", "/status"} {
			code, b = get(t, h, path)
			assert.Equal(t, http.StatusOK, code, "%s %q", path, whats(b))
		}
		time.Sleep(time.Minute)
		for path, want := range map[string]int{"/live": http.StatusOK, "/ready": http.StatusServiceUnavailable, "/status": http.StatusServiceUnavailable} {
			code, b = get(t, h, path)
			assert.Equal(t, want, code, "%s %q", path, whats(b))
		}
		time.Sleep(10 * time.Minute)
		code, b = get(t, h, "/live")
		assert.Equal(t, http.StatusServiceUnavailable, code)
		require.Len(t, b.Findings, 1)
		f := b.Findings[0]
		assert.Equal(t, []string{"stalled", "problem", "a", "mails", ""}, []string{f.Kind, f.Level, f.Stream, f.Subscription, f.Projection})
		assert.Regexp(t, `^"mails" on "a" is 1 behind and has not moved for 11m\d+s; \S+ runs it$`, f.What)
		assert.Equal(t, "look at what its handler does with event 2: it hangs, or fails again and again", f.Advice)
		code, _ = get(t, beside, "/live")
		assert.Equal(t, http.StatusOK, code, "another process need not be restarted")
		code, _ = get(t, beside, "/ready")
		assert.Equal(t, http.StatusServiceUnavailable, code)
	})
}

// TestOtherReadersDoNotMatter: a reader that Needs does not name leaves the process ready.
func TestOtherReadersDoNotMatter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		_, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "happened"})
		require.NoError(t, err)
		go func() {
			_ = es.Consume(t.Context(), "a", "mails", func(context.Context, store.Recorded) error { return errors.New("password=hidd3n") }, nil)
		}()
		time.Sleep(2 * time.Minute)
		h := health.New(es, nil)
		code, _ := get(t, h, "/ready")
		assert.Equal(t, http.StatusOK, code)
		code, b := get(t, h, "/status")
		assert.Equal(t, http.StatusServiceUnavailable, code)
		assert.Len(t, b.Findings, 2)
		w := httptest.NewRecorder()
		h.Status(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		assert.NotContains(t, w.Body.String(), "hidd3n")
	})
}

// counting counts how often it is asked, and takes its time.
type counting struct {
	*memory.Backend

	asked atomic.Int64
	hangs atomic.Bool
}

func (c *counting) ListSubscriptions(ctx context.Context) ([]store.SubscriptionInfo, error) {
	c.asked.Add(1)
	if c.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(time.Second)
	return c.Backend.ListSubscriptions(ctx)
}

// TestProbesAreBounded: however many probes come, one examination is made at a time, and one in KeepFor. A probe that goes away ends it
// for no other.
func TestProbesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &counting{Backend: memory.New()}
		h := health.New(storetest.Open(t, c, nil), nil)
		var probes sync.WaitGroup
		gone, cancel := context.WithCancel(t.Context())
		probes.Go(func() { h.Report(gone) })
		synctest.Wait()
		for range 100 {
			probes.Go(func() {
				code, _ := get(t, h, "/status")
				assert.Equal(t, http.StatusOK, code)
			})
		}
		synctest.Wait()
		cancel()
		probes.Wait()
		asked := c.asked.Load()
		for range 100 {
			get(t, h, "/status")
		}
		assert.Equal(t, asked, c.asked.Load())
		time.Sleep(health.DefaultKeepFor)
		get(t, h, "/status")
		assert.Greater(t, c.asked.Load(), asked)
		assert.LessOrEqual(t, c.asked.Load(), 2*asked)
	})
}

// TestTimeout: a database that does not answer makes the process not ready, in time, and probes that wait get the same answer.
func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &counting{Backend: memory.New()}
		c.hangs.Store(true)
		es := storetest.Open(t, c, nil)
		h := health.New(es, &health.Options{Timeout: 3 * time.Second, Logger: storetest.Logger(t)})
		var probes sync.WaitGroup
		for range 10 {
			probes.Go(func() {
				began := time.Now()
				code, b := get(t, h, "/ready")
				assert.Equal(t, http.StatusServiceUnavailable, code)
				assert.Equal(t, []string{"problem store: the database did not answer within 3s"}, whats(b))
				assert.LessOrEqual(t, time.Since(began), 3*time.Second)
			})
		}
		probes.Wait()
		code, _ := get(t, h, "/live")
		assert.Equal(t, http.StatusOK, code)
		c.hangs.Store(false)
		time.Sleep(health.DefaultKeepFor)
		code, _ = get(t, h, "/ready")
		assert.Equal(t, http.StatusOK, code)
	})
}

// TestMethods: HEAD has no body, and other methods are refused.
func TestMethods(t *testing.T) {
	t.Parallel()
	h := health.New(storetest.New(t), nil)
	for method, want := range map[string]int{http.MethodHead: http.StatusOK, http.MethodPost: http.StatusMethodNotAllowed} {
		w := httptest.NewRecorder()
		h.Ready(w, httptest.NewRequestWithContext(t.Context(), method, "/", nil))
		assert.Equal(t, want, w.Code)
		assert.Equal(t, method == http.MethodHead, w.Body.Len() == 0)
	}
	w := httptest.NewRecorder()
	http.StripPrefix("/health", h).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/health/ready", nil))
	assert.Equal(t, http.StatusOK, w.Code)
}

// TestBadOptions: options that make no sense are a mistake in the program.
func TestBadOptions(t *testing.T) {
	t.Parallel()
	es := storetest.New(t)
	for want, o := range map[string]health.Options{
		"health: an option is negative":                        {KeepFor: -1},
		"health: RestartAfter is 1s, must be a minute or more": {RestartAfter: time.Second},
	} {
		assert.PanicsWithValue(t, want, func() { health.New(es, &o) })
	}
	assert.PanicsWithValue(t, "health: an option is negative", func() { health.New(es, &health.Options{Limits: health.Limits{Lag: -1}}) })
}
