package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// onlyStorage is a storage that can do nothing but what every storage must.
type onlyStorage struct{ store.Storage }

// TestFilterWithoutSubscriptions: over a storage that has no filtered reads, a read with a filter returns the same and has seen the same.
func TestFilterWithoutSubscriptions(t *testing.T) {
	t.Parallel()
	b := memory.New()
	with, without := store.New(b, &store.Options{HardDelete: true}), store.New(onlyStorage{b}, &store.Options{PageBytes: 40})
	for i := range 20 {
		_, err := with.Append(t.Context(), fmt.Sprint("s-", i%3), store.Any,
			store.Event{Type: fmt.Sprint("t", i%4), Data: "0123456789"}, store.Event{Type: "other", Data: i})
		require.NoError(t, err)
	}
	require.NoError(t, with.Delete(t.Context(), "s-2", store.Any, store.HardDelete))
	for _, stream := range []string{store.All, "s-1"} {
		for _, filter := range []store.EventFilter{{}, {Types: []string{"t1"}}, {StreamPrefix: "s-1"}, {StreamPrefix: "s-2"}, {Types: []string{"none"}}} {
			for _, o := range []store.ReadOptions{{}, {From: 5}, {From: 99}, {Limit: 2}, {After: 3}, {Backward: true}, {Backward: true, Before: 10, Limit: 3}} {
				for _, size := range []int{1, 3, 100} {
					var want, got store.Seen
					o.Filter, o.PageSize = filter, size
					o.Seen = &want
					list := read(t, with, stream, o)
					o.Seen = &got
					assert.Equal(t, list, read(t, without, stream, o), "%q, %+v", stream, o)
					assert.Equal(t, want, got, "%q, %+v", stream, o)
				}
			}
		}
	}
}

// read returns the numbers of what a read yields.
func read(t *testing.T, es *store.Store, stream string, o store.ReadOptions) []int64 {
	t.Helper()
	list := []int64{}
	for e, err := range es.Stream(t.Context(), stream, &o) {
		require.NoError(t, err)
		list = append(list, e.Number)
	}
	return list
}

// misplaced is a storage whose filtered reads say something else of where they went on.
type misplaced struct {
	*memory.Backend
	change func(page []store.Recorded, next int64) ([]store.Recorded, int64)
}

func (m *misplaced) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
	page, next, err := m.Backend.ReadFiltered(ctx, r, f)
	page, next = m.change(page, next)
	return page, next, err
}

// TestFilterOverFaultyStorage: a storage that stands still, goes back, or returns numbers that it has not looked at ends the read with an
// error, or at once, but not never.
func TestFilterOverFaultyStorage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(page []store.Recorded, next int64) ([]store.Recorded, int64)
		fails  []bool // forward, backward
	}{
		"right":        {func(page []store.Recorded, next int64) ([]store.Recorded, int64) { return page, next }, []bool{false, false}},
		"goes back":    {func(page []store.Recorded, _ int64) ([]store.Recorded, int64) { return nil, 0 }, []bool{true, false}},
		"goes up":      {func(page []store.Recorded, _ int64) ([]store.Recorded, int64) { return nil, 100 }, []bool{false, true}},
		"stands still": {func([]store.Recorded, int64) ([]store.Recorded, int64) { return nil, 1 }, []bool{false, true}},
		"too many":     {func(page []store.Recorded, next int64) ([]store.Recorded, int64) { return page, 3 }, []bool{true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			es := store.New(&misplaced{memory.New(), c.change}, nil)
			for range 3 {
				_, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: "x"}, store.Event{Type: "y"})
				require.NoError(t, err)
			}
			for i, backward := range []bool{false, true} {
				o := &store.ReadOptions{Filter: store.EventFilter{Types: []string{"x"}}, Backward: backward}
				_, err := es.Page(t.Context(), "s", o)
				assert.Equal(t, c.fails[i], err != nil, "backward: %v: %v", backward, err)
			}
		})
	}
}

// TestFilterTimeouts: pages of a filtered read that the database ends are halved.
func TestFilterTimeouts(t *testing.T) {
	t.Parallel()
	s := &slowLink{Backend: memory.New()}
	es := store.New(s, nil)
	for range 100 {
		_, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: "x"}, store.Event{Type: "y"})
		require.NoError(t, err)
	}
	s.set(0, 13)
	for _, stream := range []string{"s", store.All} {
		for _, backward := range []bool{false, true} {
			got := read(t, es, stream, store.ReadOptions{Filter: store.EventFilter{Types: []string{"x"}}, Backward: backward})
			assert.Len(t, got, 100)
		}
	}
}
