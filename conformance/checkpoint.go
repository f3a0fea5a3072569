package conformance

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var checkpointCases = []testCase{
	{name: "checkpoint/save", run: checkpointSave, why: "P7: events up to a saved checkpoint are not delivered again to the next owner"},
	{name: "checkpoint/forward-only", run: checkpointForward, why: "writes that overtake each other do not set a subscription back"},
	{name: "checkpoint/another-stream", run: checkpointStream, why: "a stream that was deleted and created again counts from 1, and so does its checkpoint"},
	{name: "checkpoint/batch", run: checkpointBatch, why: "many subscriptions cost the database little more than one, and each is fenced alone"},
	{name: "checkpoint/release", run: checkpointRelease, why: "the last checkpoint before a lease is given up is one as any other"},
	{name: "checkpoint/error", run: checkpointError, why: "any process can read the last error of a subscription, and the error blocks nothing"},
	{name: "checkpoint/error-event", run: errorEvent, why: "which event it was, and when, is to be seen with what went wrong"},
	{name: "checkpoint/error-over", run: errorOver, why: "an error is cleared once the subscription has passed its event, whatever process did that"},
	{name: "checkpoint/list", run: checkpointList, why: "a list in one order, the same everywhere"},
}

func checkpointSave(f *fixture) {
	s := f.keeper()
	l := f.acquire(s, store.SubscriptionID{Stream: "absent", Name: "a"}, "a")
	f.acquire(s, onAll("b"), "a")
	other := f.subscription(s, onAll("b"))
	for _, number := range []int64{1, 2, 50, 1 << 60} {
		before := f.subscription(s, l.ID)
		f.later(before.UpdatedAt)
		require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, number, 0)))
		got := f.subscription(s, l.ID)
		assert.True(f, got.UpdatedAt.After(before.UpdatedAt), "the time of the checkpoint")
		before.Checkpoint, before.UpdatedAt = number, got.UpdatedAt
		assert.Equal(f, before, got, "nothing else has changed")
	}
	assert.Equal(f, other, f.subscription(s, onAll("b")), "other subscriptions stay as they are")
	assert.Equal(f, int64(1<<60), f.acquire(s, l.ID, "a").Checkpoint)
}

// later waits until a microsecond that is not at's has begun.
func (f *fixture) later(at time.Time) {
	f.Helper()
	f.until("time goes on", func() bool { return time.Since(at) > time.Microsecond })
}

func checkpointForward(f *fixture) {
	s := f.keeper()
	l := f.acquire(s, store.SubscriptionID{Stream: "s", Name: "a"}, "a")
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 10, 3)))
	before := f.subscription(s, l.ID)
	for _, number := range []int64{9, 0, 10} {
		require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, number, 3)), "it is no error")
		assert.Equal(f, before, f.subscription(s, l.ID))
	}
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 11, 3)))
	assert.Equal(f, int64(11), f.subscription(s, l.ID).Checkpoint)
}

func checkpointStream(f *fixture) {
	s := f.keeper()
	l := f.acquire(s, store.SubscriptionID{Stream: "s", Name: "a"}, "a")
	for _, step := range []struct{ number, streamID, want int64 }{
		{10, 3, 10}, {4, 7, 4}, {3, 7, 4}, {5, 7, 5}, {0, 9, 0}, {1, 9, 1},
	} {
		require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, step.number, step.streamID)))
		got := f.subscription(s, l.ID)
		assert.Equal(f, []int64{step.want, step.streamID}, []int64{got.Checkpoint, got.StreamID}, "%v", step)
	}
	assert.Equal(f, int64(9), f.acquire(s, l.ID, "a").StreamID)
}

func checkpointBatch(f *fixture) {
	s := f.keeper()
	lease := func(name string, number, streamID int64) store.Lease {
		l := f.acquire(s, store.SubscriptionID{Stream: "s", Name: name}, "a")
		require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, number, streamID)))
		return l
	}
	forward, back, other := lease("forward", 10, 3), lease("back", 10, 3), lease("other", 10, 3)
	reset, deleted, left := lease("reset", 10, 3), lease("deleted", 10, 3), lease("left out", 10, 3)
	require.NoError(f, s.ResetSubscription(f.ctx, reset.ID, 5, 3))
	require.NoError(f, s.DeleteSubscription(f.ctx, deleted.ID))
	again := f.acquire(s, reset.ID, "b")

	lost, err := saveAll(f.ctx, s, []store.CheckpointRequest{
		checkpoint(deleted, 20, 3), checkpoint(forward, 20, 3), checkpoint(reset, 20, 3), checkpoint(other, 4, 7), checkpoint(back, 9, 3),
	})
	require.NoError(f, err, "those that are lost are told, and keep nobody else from being saved")
	assert.ElementsMatch(f, []store.SubscriptionID{deleted.ID, reset.ID}, lost)
	for id, want := range map[store.SubscriptionID]int64{forward.ID: 20, back.ID: 10, other.ID: 4, reset.ID: 5, left.ID: 10} {
		assert.Equal(f, want, f.subscription(s, id).Checkpoint, id.Name)
	}
	assert.Equal(f, int64(7), f.subscription(s, other.ID).StreamID)
	lost, err = saveAll(f.ctx, s, []store.CheckpointRequest{checkpoint(again, 6, 3)})
	require.NoError(f, err)
	assert.Empty(f, lost)
	assert.Equal(f, int64(6), f.subscription(s, reset.ID).Checkpoint)
	lost, err = saveAll(f.ctx, s, nil)
	require.NoError(f, err)
	assert.Empty(f, lost)
}

// saveAll saves checkpoints in one call where the storage can.
func saveAll(ctx context.Context, s store.SubscriptionStorage, list []store.CheckpointRequest) (lost []store.SubscriptionID, err error) {
	refused, err := saveEach(ctx, s, list)
	for i, err := range refused {
		switch {
		case errors.Is(err, store.ErrLeaseLost):
			lost = append(lost, list[i].ID)
		case err != nil:
			return lost, err
		}
	}
	return lost, err
}

// saveEach saves checkpoints in one call where the storage can, and returns an error for each.
func saveEach(ctx context.Context, s store.SubscriptionStorage, list []store.CheckpointRequest) (refused []error, err error) {
	if b, ok := s.(store.CheckpointBatcher); ok {
		return b.SaveCheckpoints(ctx, list)
	}
	for _, r := range list {
		refused = append(refused, s.SaveCheckpoint(ctx, r))
	}
	return refused, nil
}

func checkpointRelease(f *fixture) {
	s := f.keeper()
	id := store.SubscriptionID{Stream: "s", Name: "a"}
	for _, step := range []struct{ number, streamID, want int64 }{
		{10, 3, 10}, {4, 3, 10}, {10, 3, 10}, {11, 3, 11}, {2, 5, 2},
	} {
		l := f.acquire(s, id, "a")
		before := f.subscription(s, id)
		require.NoError(f, s.ReleaseLease(f.ctx, checkpoint(l, step.number, step.streamID)))
		got := f.subscription(s, id)
		assert.Equal(f, []int64{step.want, step.streamID}, []int64{got.Checkpoint, got.StreamID}, "%v", step)
		if got.Checkpoint == before.Checkpoint {
			assert.Equal(f, before.UpdatedAt, got.UpdatedAt, "the time of the checkpoint")
		}
	}
}

func checkpointError(f *fixture) {
	s := f.keeper()
	f.positions(20) // for checkpoints on All to be in
	l := f.acquire(s, onAll("a"), "a")
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 3, 0)))
	before := f.subscription(s, l.ID)
	for _, text := range []string{"trouble", "more, with 'quotes', 日本 and \\", strings.Repeat("long ", 10_000), "", "again"} {
		require.NoError(f, s.SaveError(f.ctx, l.ID, l.Epoch, text, 0))
		got := f.subscription(s, l.ID)
		before.LastError, before.LastErrorAt = text, got.LastErrorAt
		assert.Equal(f, before, got, "nothing else has changed")
		assert.Equal(f, text == "", got.LastErrorAt.IsZero(), "it has a time")
	}
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 3, 0)))
	assert.Equal(f, "again", f.subscription(s, l.ID).LastError, "until the checkpoint moves on")
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 4, 0)))
	assert.Empty(f, f.subscription(s, l.ID).LastError, "it was about no event: it is over when one was dealt with")
	require.NoError(f, s.SaveError(f.ctx, l.ID, l.Epoch, "bytes\xff and\x00 so on", 0), "errors are made by anybody")
	got := f.subscription(s, l.ID).LastError
	assert.True(f, strings.HasPrefix(got, "bytes") && strings.HasSuffix(got, " so on"), "%q", got)
	f.acquire(s, l.ID, "a")
	assert.Equal(f, got, f.subscription(s, l.ID).LastError, "a lease that is taken does not make up for it")
}

func checkpointList(f *fixture) {
	s := f.keeper()
	var want []store.SubscriptionID
	for _, stream := range []string{"$all", "A", "B", "a", "a b", "aa", "b", "ä", "日本"} {
		for _, name := range []string{"1", "10", "2", "Z", "_", "z", "é"} {
			want = append(want, store.SubscriptionID{Stream: stream, Name: name})
		}
	}
	for i := range want {
		f.acquire(s, want[(i*29)%len(want)], "a") // 29 and 63 have no divisor in common
	}
	list, err := s.ListSubscriptions(f.ctx)
	require.NoError(f, err)
	got := make([]store.SubscriptionID, len(list))
	for i := range list {
		got[i] = list[i].SubscriptionID
	}
	same(f, want, got, "subscriptions")
}
