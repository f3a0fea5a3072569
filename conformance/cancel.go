package conformance

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var cancelCases = []testCase{
	{name: "cancel/before", tx: manyTx, run: cancelBefore, why: "a call whose context has ended does nothing and returns the context's own error"},
	{name: "cancel/storage", tx: noTx, run: cancelStorage, why: "a storage owes the context's error itself: the context may end after Store looked"},
	{name: "cancel/between-pages", tx: manyTx, run: cancelBetweenPages, why: "a cancelled read ends with an error, never as if the stream ended there"},
	{name: "cancel/within-a-page", tx: manyTx, run: cancelWithinPage, why: "a cancelled read ends with an error, never as if the stream ended there"},
	{name: "cancel/under-way", tx: manyTx, run: cancelUnderWay, deadline: longDeadline, why: "P1: a cancelled append is there whole or not at all, and the store goes on"},
}

// endedContexts are contexts that have ended, and their errors.
func endedContexts(f *fixture) map[string]context.Context {
	cancelled, cancel := context.WithCancel(f.ctx)
	cancel()
	late, cancel := context.WithDeadline(f.ctx, time.Unix(0, 0))
	cancel()
	return map[string]context.Context{"cancelled": cancelled, "late": late}
}

func cancelBefore(f *fixture) {
	source := f.fill("s", 3)
	id := source[0].ID
	calls := map[string]func(ctx context.Context) error{
		"append": func(ctx context.Context) error {
			_, err := f.es.Append(ctx, "new", store.Any, events(1)...)
			return err
		},
		"link":        func(ctx context.Context) error { _, err := f.es.Link(ctx, "new", store.Any, id); return err },
		"soft-delete": func(ctx context.Context) error { return f.es.Delete(ctx, "s", store.Any, store.SoftDelete) },
		"hard-delete": func(ctx context.Context) error { return f.es.Delete(ctx, "s", store.Any, store.HardDelete) },
		"undelete":    func(ctx context.Context) error { return f.es.Undelete(ctx, "s", store.Any) },
		"stream":      func(ctx context.Context) error { return onlyError(f, ctx, "s", nil) },
		"backward":    func(ctx context.Context) error { return onlyError(f, ctx, "s", &store.ReadOptions{Backward: true}) },
		"after":       func(ctx context.Context) error { return onlyError(f, ctx, "s", &store.ReadOptions{After: 1}) },
		"all":         func(ctx context.Context) error { return onlyError(f, ctx, store.All, nil) },
		"page":        func(ctx context.Context) error { _, err := f.es.Page(ctx, "s", nil); return err },
		"event":       func(ctx context.Context) error { _, err := f.es.Event(ctx, id); return err },
		"head":        func(ctx context.Context) error { _, err := f.es.Head(ctx); return err },
		"info":        func(ctx context.Context) error { _, err := f.es.StreamInfo(ctx, "s"); return err },
		"streams":     func(ctx context.Context) error { _, err := f.es.Streams(ctx, nil); return err },
	}
	for name, call := range sorted(calls) {
		f.sub(name, func(f *fixture) {
			for _, ctx := range endedContexts(f) {
				assert.ErrorIs(f, call(ctx), ctx.Err())
			}
			assert.Len(f, f.read("s", nil), 3, "nothing was deleted")
			assert.Equal(f, []string{"s"}, f.byNumber(store.ListOptions{}), "nothing was written")
		})
	}
}

// onlyError returns the error of a read that must give nothing else.
func onlyError(f *fixture, ctx context.Context, stream string, o *store.ReadOptions) error {
	got, err := collect(f, f.es.Stream(ctx, stream, o))
	assert.Empty(f, got)
	return err
}

func cancelStorage(f *fixture) {
	source := f.fill("s", 3)
	s := f.storage
	read := store.ReadRequest{Stream: "s", From: 1, Limit: 2}
	back := store.ReadRequest{Stream: "s", From: math.MaxInt64, Limit: 2, Backward: true}
	write := store.AppendRequest{Stream: "new", Expected: store.Any, Events: []store.NewEvent{{ID: uuid.New(), Type: "t", Data: []byte("1")}}}
	for name, call := range sorted(map[string]func(ctx context.Context) error{
		"append": func(ctx context.Context) error { _, err := s.Append(ctx, write); return err },
		"link": func(ctx context.Context) error {
			_, err := s.Link(ctx, store.LinkRequest{Stream: "new", Expected: store.Any, Events: store.IDs(source...)})
			return err
		},
		"delete": func(ctx context.Context) error {
			return s.Delete(ctx, store.DeleteRequest{Stream: "s", Expected: store.Any, Kind: store.HardDelete})
		},
		"read-stream":   func(ctx context.Context) error { _, err := s.ReadStream(ctx, read); return err },
		"read-backward": func(ctx context.Context) error { _, err := s.ReadStream(ctx, back); return err },
		"read-all":      func(ctx context.Context) error { _, err := s.ReadAll(ctx, read); return err },
		"read-event":    func(ctx context.Context) error { _, err := s.ReadEvent(ctx, source[0].ID); return err },
		"head":          func(ctx context.Context) error { _, err := s.Head(ctx); return err },
		"info":          func(ctx context.Context) error { _, err := s.StreamInfo(ctx, "s"); return err },
		"list": func(ctx context.Context) error {
			_, err := s.ListStreams(ctx, store.ListRequest{SortBy: store.SortID, Limit: 2})
			return err
		},
		"count": func(ctx context.Context) error { _, err := s.CountStreams(ctx, store.StreamFilter{}); return err },
	}) {
		f.sub(name, func(f *fixture) {
			for _, ctx := range endedContexts(f) {
				assert.ErrorIs(f, call(ctx), ctx.Err())
			}
			assert.Len(f, f.read("s", nil), 3, "nothing was deleted")
			assert.Equal(f, []string{"s"}, f.byNumber(store.ListOptions{}), "nothing was written")
		})
	}
}

// cancelAfter cancels a read after some events, which must be those that it yields.
func cancelAfter(f *fixture, stream string, opts store.ReadOptions, after int) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	var got []store.Recorded
	var failed error
	for e, err := range f.es.Stream(ctx, stream, &opts) {
		require.NoError(f, failed, "the sequence went on after an error")
		if failed = err; err != nil {
			assert.Equal(f, store.Recorded{}, e)
			continue
		}
		if got = append(got, e); len(got) == after {
			cancel()
		}
	}
	assert.ErrorIs(f, failed, context.Canceled, "%q %+v, cancelled after %d", stream, opts, after)
	assert.Len(f, got, after, "%q %+v", stream, opts)
}

func cancelBetweenPages(f *fixture) {
	f.fill("s", 6)
	for _, stream := range []string{"s", store.All} {
		for _, o := range []store.ReadOptions{{PageSize: 2}, {PageSize: 2, Backward: true}, {PageSize: 2, Limit: 5}, {PageSize: 1}, {PageSize: 2, From: 2}} {
			cancelAfter(f, stream, o, 2)
		}
	}
}

func cancelWithinPage(f *fixture) {
	f.fill("s", 6)
	for _, stream := range []string{"s", store.All} {
		for _, o := range []store.ReadOptions{{}, {PageSize: 4}, {PageSize: 3, Backward: true}} {
			for _, after := range []int{1, 2, 5} {
				cancelAfter(f, stream, o, after)
			}
		}
	}
}

func cancelUnderWay(f *fixture) {
	f.fill("s", 1)
	want := int64(1)
	for i := range 8 {
		ctx, cancel := context.WithCancel(f.ctx)
		list := named(500)
		timer := time.AfterFunc(time.Duration(i*i)*500*time.Microsecond, cancel)
		_, err := f.es.Append(ctx, "s", store.Version(want), list...)
		timer.Stop()
		cancel()
		require.True(f, err == nil || errors.Is(err, context.Canceled), "append %d: %v", i, err)

		// A commit that was on its way may still arrive, so either answer is right, but never a part of it.
		require.Contains(f, []int64{want, want + 500}, f.info("s").Version, "append %d is there in part", i)
		res, again := f.es.Append(f.ctx, "s", store.Version(want), list...)
		require.NoError(f, again, "the same append again tells whether it was there")
		require.Equal(f, want+500, res.Last)
		assert.False(f, err == nil && !res.Retried, "append %d succeeded and was not there", i)
		want += 500
	}
	same(f, span(1, want), numbers(f.read("s", &store.ReadOptions{PageSize: 1000})), "versions")
	same(f, span(1, want), numbers(f.read(store.All, &store.ReadOptions{PageSize: 1000})), "positions")
}
