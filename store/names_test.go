package store_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// counted returns a store with n events in the stream "s".
func counted(t *testing.T, n int) *store.Store {
	t.Helper()
	es := store.New(memory.New(), &store.Options{PollInterval: 10 * time.Millisecond})
	t.Cleanup(func() { assert.NoError(t, es.Close()) })
	for i := range n {
		_, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: "counted", Data: i})
		require.NoError(t, err)
	}
	return es
}

func TestCollect(t *testing.T) {
	t.Parallel()
	es := counted(t, 5)
	events, err := store.Collect(es.Stream(t.Context(), "s", &store.ReadOptions{From: 2}))
	require.NoError(t, err)
	require.Len(t, events, 4)
	assert.Equal(t, int64(2), events[0].Number)
	events, err = store.Collect(es.Stream(t.Context(), "absent", nil))
	require.ErrorIs(t, err, store.ErrStreamNotFound)
	assert.Empty(t, events)

	failed := errors.New("failed")
	events, err = store.Collect(iter.Seq2[store.Recorded, error](func(yield func(store.Recorded, error) bool) {
		_ = yield(store.Recorded{Number: 1}, nil) && yield(store.Recorded{}, failed)
	}))
	require.ErrorIs(t, err, failed)
	assert.Len(t, events, 1, "what came before the error")
}

func TestResultIDs(t *testing.T) {
	t.Parallel()
	es := counted(t, 0)
	given := uuid.New()
	res, err := es.Append(t.Context(), "s", store.NoStream, store.Event{Type: "a"}, store.Event{Type: "b", ID: given})
	require.NoError(t, err)
	require.Len(t, res.IDs, 2)
	assert.Equal(t, given, res.IDs[1])
	e, err := es.Event(t.Context(), res.IDs[0])
	require.NoError(t, err)
	assert.Equal(t, "a", e.Type)
	linked, err := es.Link(t.Context(), "links", store.NoStream, res.IDs...)
	require.NoError(t, err)
	assert.Equal(t, res.IDs, linked.IDs)
}

func TestSubscriptionByName(t *testing.T) {
	t.Parallel()
	es := counted(t, 3)
	ctx := t.Context()
	_, err := es.Subscription(ctx, store.All, "mails")
	require.ErrorIs(t, err, store.ErrSubscriptionNotFound)
	var named *store.SubscriptionError
	require.ErrorAs(t, err, &named)
	assert.Equal(t, store.SubscriptionID{Stream: store.All, Name: "mails"}, named.SubscriptionID)

	sub, err := es.Subscribe(ctx, store.All, "mails", &store.SubscribeOptions{WaitForLease: true})
	require.NoError(t, err)
	other, err := es.Subscribe(ctx, "s", "mails", &store.SubscribeOptions{WaitForLease: true})
	require.NoError(t, err)
	assert.Equal(t, store.All, sub.Stream())
	assert.Equal(t, "s", other.Stream())
	assert.Equal(t, "mails", sub.Name())
	events, err := sub.Next(ctx)
	require.NoError(t, err)
	require.NoError(t, sub.Ack(ctx, events...))
	require.NoError(t, sub.Close())

	info, err := es.Subscription(ctx, store.All, "mails")
	require.NoError(t, err)
	assert.Equal(t, int64(3), info.Checkpoint)
	assert.Zero(t, info.Lag())
	list, err := es.Subscriptions(ctx)
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.Contains(t, list, info, "as in the list")
	_, err = es.Subscription(ctx, "", "mails")
	require.ErrorIs(t, err, store.ErrInvalid)
}

func TestWaitUntil(t *testing.T) {
	t.Parallel()
	es := counted(t, 20)
	ctx := t.Context()
	sub, err := es.Subscribe(ctx, "s", "slow", &store.SubscribeOptions{BufferSize: 1, MaxSize: 4})
	require.NoError(t, err)
	require.NoError(t, sub.WaitUntil(ctx, store.CatchingUp))
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, sub.WaitUntil(short, store.Live), context.DeadlineExceeded, "the queue is full")
	live := make(chan error, 1)
	go func() { live <- sub.WaitUntil(ctx, store.Live) }()
	for range 20 {
		events, err := sub.Next(ctx)
		require.NoError(t, err)
		require.NoError(t, sub.Ack(ctx, events...))
	}
	require.NoError(t, <-live)
	require.NoError(t, sub.WaitUntil(ctx, store.Waiting), "a later phase will do")
	require.ErrorIs(t, sub.WaitUntil(ctx, store.Stopped+1), store.ErrInvalid)
	require.ErrorIs(t, sub.WaitUntil(ctx, -1), store.ErrInvalid)

	stopped := make(chan error, 2)
	go func() { stopped <- sub.WaitUntil(ctx, store.Stopped) }()
	require.NoError(t, sub.Close())
	require.NoError(t, <-stopped)
	require.ErrorIs(t, sub.WaitUntil(ctx, store.Live), store.ErrSubscriberClosed)
}

func TestWatcherEvents(t *testing.T) {
	t.Parallel()
	es := counted(t, 1)
	ctx := t.Context()
	w, err := es.Watch(ctx, "s", nil)
	require.NoError(t, err)
	for range 6 {
		_, err := es.Append(ctx, "s", store.Any, store.Event{Type: "counted"})
		require.NoError(t, err)
	}
	var got []int64
	for e, err := range w.Events(ctx) {
		require.NoError(t, err)
		if got = append(got, e.Number); e.Number == 3 {
			break
		}
	}
	assert.Equal(t, []int64{2, 3}, got)
	for e, err := range w.Events(ctx) { // what the loop left comes next
		require.NoError(t, err)
		got = append(got, e.Number)
		break
	}
	events, err := w.Next(ctx)
	require.NoError(t, err)
	for _, e := range events {
		got = append(got, e.Number)
	}
	ended, cancel := context.WithCancel(ctx)
	defer cancel()
	if got[len(got)-1] == 7 {
		cancel()
	}
	for e, err := range w.Events(ended) {
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			assert.Zero(t, e)
			break
		}
		got = append(got, e.Number)
		if e.Number == 7 {
			cancel()
		}
	}
	assert.Equal(t, []int64{2, 3, 4, 5, 6, 7}, got)
	require.NoError(t, w.Close())
	for e, err := range w.Events(ctx) {
		require.ErrorIs(t, err, store.ErrSubscriberClosed)
		assert.Zero(t, e)
	}
}
