package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// slowLink is a storage in memory behind a slow link, or a database that ends statements which take too long.
type slowLink struct {
	*memory.Backend

	mu    sync.Mutex
	rate  int                 // bytes per second; 0 for a fast link
	most  int                 // events of a page that the database does not end; 0 for any number
	pages []store.ReadRequest // that were asked for
	read  []int               // events of those that came
}

func (s *slowLink) set(rate, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate, s.most, s.pages, s.read = rate, most, nil, nil
}

// sizes returns how many events the pages had that came.
func (s *slowLink) sizes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.read...)
}

// send takes the time that a page takes.
func (s *slowLink) send(ctx context.Context, r store.ReadRequest, page []store.Recorded) error {
	size := 0
	for _, e := range page {
		if !r.Overlaps(e.Number) {
			size += e.Size()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages = append(s.pages, r)
	if s.most > 0 && len(page) > s.most {
		return fmt.Errorf("the database: %w", store.ErrTimeout)
	}
	if s.rate > 0 {
		rate := s.rate
		s.mu.Unlock()
		select {
		case <-time.After(time.Duration(size) * time.Second / time.Duration(rate)):
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
	if ctx.Err() == nil {
		s.read = append(s.read, len(page))
	}
	return ctx.Err()
}

func (s *slowLink) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	part, err := s.Backend.ReadStream(ctx, r)
	return part, errors.Join(err, s.send(ctx, r, part.Events))
}

func (s *slowLink) ReadAll(ctx context.Context, r store.ReadRequest) (store.Part, error) {
	part, err := s.Backend.ReadAll(ctx, r)
	return part, errors.Join(err, s.send(ctx, r, part.Events))
}

func (s *slowLink) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
	page, next, err := s.Backend.ReadFiltered(ctx, r, f)
	return page, next, errors.Join(err, s.send(ctx, r, page))
}

func (s *slowLink) ReadCorrelation(ctx context.Context, r store.CorrelationRequest) (store.CorrelationPart, error) {
	part, err := s.Backend.ReadCorrelation(ctx, r)
	return part, errors.Join(err, s.send(ctx, store.ReadRequest{Limit: r.Limit, Bytes: r.Bytes}, part.Events))
}

var conversation = uuid.New()

// largeEvents returns n events of that many bytes.
func largeEvents(n, size int) []store.Event {
	list := make([]store.Event, n)
	for i := range list {
		list[i] = store.Event{Type: "large", CorrelationID: conversation, Data: json.RawMessage(`"` + strings.Repeat("x", size-2) + `"`)}
	}
	return list
}

func newSlowLink(t *testing.T, opts *store.Options, events ...store.Event) (*slowLink, *store.Store) {
	t.Helper()
	s := &slowLink{Backend: memory.New()}
	es := store.New(s, opts)
	_, err := es.Append(t.Context(), "s", store.NoStream, events...)
	require.NoError(t, err)
	return s, es
}

// TestPageThatTimesOutIsHalved: a read gets past it, down to one event.
func TestPageThatTimesOutIsHalved(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 7, 300} {
		s, es := newSlowLink(t, nil, largeEvents(700, 100)...)
		for name, read := range map[string]func() (int, error){
			"stream":      func() (int, error) { return count(es.Stream(t.Context(), "s", nil)) },
			"backward":    func() (int, error) { return count(es.Stream(t.Context(), "s", &store.ReadOptions{Backward: true})) },
			"all":         func() (int, error) { return count(es.All(t.Context(), nil)) },
			"correlation": func() (int, error) { return count(es.Correlation(t.Context(), conversation)) },
			"page": func() (int, error) {
				page, err := es.Page(t.Context(), "s", nil)
				return len(page), err
			},
		} {
			s.set(0, most)
			n, err := read()
			require.NoError(t, err, "%s, %d", name, most)
			require.Equal(t, 700, n, "%s, %d", name, most)
			for _, n := range s.sizes() {
				require.LessOrEqual(t, n, most)
			}
		}
	}
}

func count(seq func(yield func(store.Recorded, error) bool)) (n int, err error) {
	for _, err := range seq {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// TestEventThatTimesOut: what can't be halved is the caller's error.
func TestEventThatTimesOut(t *testing.T) {
	t.Parallel()
	s, _ := newSlowLink(t, nil, largeEvents(3, 100)...)
	s.most = -1
	es := store.New(endless{s}, nil)
	for name, seq := range map[string]func(yield func(store.Recorded, error) bool){
		"stream": es.Stream(t.Context(), "s", nil), "all": es.All(t.Context(), nil),
	} {
		n, err := count(seq)
		require.ErrorIs(t, err, store.ErrTimeout, name)
		require.Zero(t, n)
	}
	last := s.pages[len(s.pages)-1]
	require.Equal(t, 1, last.Limit, "one event was tried")
}

// endless is a storage of which no page is read in time.
type endless struct{ *slowLink }

func (f endless) ReadStream(_ context.Context, r store.ReadRequest) (store.StreamPart, error) {
	f.pages = append(f.pages, r)
	return store.StreamPart{}, store.ErrTimeout
}

func (f endless) ReadAll(_ context.Context, r store.ReadRequest) (store.Part, error) {
	f.pages = append(f.pages, r)
	return store.Part{}, store.ErrTimeout
}

// TestSlowLink: a page that takes longer than Timeout is read in smaller ones, and the state says why that takes its time.
func TestSlowLink(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]store.SubscribeOptions{
		"ahead":    {},
		"small":    {MaxSize: 500},
		"filtered": {Filter: store.EventFilter{Types: []string{"large"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const events, size = 64, 256 << 10
				s, es := newSlowLink(t, nil, largeEvents(events, size)...)
				s.set(40<<10, 0) // 4 MiB take 102 s
				var mu sync.Mutex
				var states []store.SubscriptionState
				o.OnState = func(state store.SubscriptionState) {
					mu.Lock()
					defer mu.Unlock()
					states = append(states, state)
				}
				r, err := es.Subscribe(t.Context(), store.All, "slow", &o)
				require.NoError(t, err)
				for n := 0; n < events; {
					list, err := r.Next(t.Context())
					require.NoError(t, err)
					n += len(list)
					require.NoError(t, r.Ack(t.Context(), list...))
				}
				require.NoError(t, es.Close())
				failed := 0
				for i, state := range states {
					if state.Phase == store.Waiting && errors.Is(state.Err, context.DeadlineExceeded) {
						failed++
						assert.NotEqual(t, 0, i, "it was catching up")
					}
				}
				assert.Equal(t, 2, failed, "at first, until a page is read, and when pages have grown after eight: %v", states)
			})
		})
	}
}

// TestPagesGrowAgain: when the link is fast again, so are readers.
func TestPagesGrowAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, es := newSlowLink(t, nil, largeEvents(4_000, 1_000)...)
		for range 10 {
			_, err := es.Append(t.Context(), "s", store.Any, largeEvents(4_000, 1_000)...)
			require.NoError(t, err)
		}
		s.set(1_000, 0) // 30 events in 30 s
		r, err := es.Subscribe(t.Context(), store.All, "grows", &store.SubscribeOptions{BufferSize: 1000, MaxSize: 1500})
		require.NoError(t, err)
		for n := 0; n < 44_000; {
			list, err := r.Next(t.Context())
			require.NoError(t, err)
			if n < 100 && n+len(list) >= 100 {
				s.set(0, 0)
			}
			n += len(list)
			require.NoError(t, r.Ack(t.Context(), list...))
		}
		most := 0
		for _, n := range s.sizes() {
			most = max(most, n)
		}
		assert.GreaterOrEqual(t, most, 750, "as many as at first")
		require.NoError(t, es.Close())
	})
}

// TestDeliveriesAreBoundedInBytes: one call of Next returns no more than a page has, or one event that is larger.
func TestDeliveriesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	es := store.New(memory.New(), &store.Options{PageBytes: 1_000})
	events := append(largeEvents(10, 300), append(largeEvents(2, 5_000), largeEvents(10, 400)...)...)
	_, err := es.Append(t.Context(), "s", store.NoStream, events...)
	require.NoError(t, err)
	r, err := es.Subscribe(t.Context(), store.All, "bounded", nil)
	require.NoError(t, err)
	for n := 0; n < len(events); {
		list, err := r.Next(t.Context())
		require.NoError(t, err)
		size := 0
		for _, e := range list {
			n++
			require.Equal(t, int64(n), e.Number)
			size += e.Size()
		}
		require.True(t, size <= 1_000 || len(list) == 1, "%d events of %d bytes", len(list), size)
		require.NoError(t, r.Ack(t.Context(), list...))
	}
	require.NoError(t, es.Close())
}

// TestSlowFeed: new events get past a slow link, too.
func TestSlowFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, es := newSlowLink(t, nil, largeEvents(1, 10)...)
		w, err := es.Watch(t.Context(), store.All, nil)
		require.NoError(t, err)
		s.set(40<<10, 0)
		const events = 32
		_, err = es.Append(t.Context(), "s", store.Any, largeEvents(events, 256<<10)...)
		require.NoError(t, err)
		for n := 0; n < events; {
			list, err := w.Next(t.Context())
			require.NoError(t, err)
			n += len(list)
		}
		require.NoError(t, w.Close())
		require.NoError(t, es.Close())
	})
}
