package conformance

import (
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// seenCases are about checkpoints that the store does not carry, as after a failover to a standby that lagged.
var seenCases = []testCase{
	{name: "checkpoint/above-end", run: seenAboveEnd, why: "P9: a checkpoint above the end of its stream belongs to events that were lost"},
	{name: "checkpoint/seen", run: seenPlace, why: "P9: a checkpoint belongs to a history: to the events that were read, not to their numbers alone"},
	{name: "checkpoint/known", run: seenKnown, why: "P9: if a saved checkpoint is gone, what was done up to it may be gone, too"},
	{name: "checkpoint/release-refused", run: seenRelease, why: "a lease is given up even if its checkpoint can't be saved"},
	{name: "checkpoint/batch-refused", run: seenBatch, why: "one checkpoint that is refused does not keep the others from being saved"},
}

// seenStream is a stream with events, on which a subscription has the lease l.
type seenStream struct {
	l      store.Lease
	events []store.Recorded
	id     int64 // of the stream, 0 for All
}

// seenStreams returns All, and a stream whose fourth event is a link, with five events each.
func (f *fixture) seenStreams(s store.SubscriptionStorage) []seenStream {
	f.Helper()
	f.fill("s", 3)
	other := f.fill("other", 1)
	f.link("s", store.Any, other[0])
	f.fill("s", 1)
	return []seenStream{
		{l: f.acquire(s, onAll("a"), "a"), events: f.all()},
		{l: f.acquire(s, store.SubscriptionID{Stream: "s", Name: "a"}, "a"), events: f.read("s", nil), id: f.info("s").ID},
	}
}

// positions appends n events and has them given their positions, which no checkpoint may be above.
func (f *fixture) positions(n int) {
	f.Helper()
	f.fill("other", n)
	f.head()
}

// request asks for the checkpoint number, after the event at seen.
func (t seenStream) request(number int64, seen store.SeenEvent) store.CheckpointRequest {
	r := checkpoint(t.l, number, t.id)
	r.Seen = seen
	return r
}

// at returns the event with a number as one that was seen.
func (t seenStream) at(number int64) store.SeenEvent {
	return store.SeenEvent{Number: number, ID: t.events[number-1].ID}
}

// refuses checks that a checkpoint is refused with a PositionLostError, and that nothing has changed.
func (f *fixture) refuses(s store.SubscriptionStorage, r store.CheckpointRequest, want store.PositionLostError, why string) {
	f.Helper()
	before := f.subscription(s, r.ID)
	err := s.SaveCheckpoint(f.ctx, r)
	var lost *store.PositionLostError
	require.ErrorAs(f, err, &lost, why)
	require.ErrorIs(f, err, store.ErrPositionLost)
	assert.NotErrorIs(f, err, store.ErrLeaseLost)
	want.Stream = r.ID.Stream
	assert.Equal(f, want, *lost, why)
	assert.Equal(f, before, f.subscription(s, r.ID), why)
}

func seenAboveEnd(f *fixture) {
	s := f.keeper()
	for _, t := range f.seenStreams(s) {
		f.refuses(s, t.request(6, store.SeenEvent{}), store.PositionLostError{After: 6, Head: 5}, "the checkpoint")
		f.refuses(s, t.request(4, store.SeenEvent{Number: 7, ID: uuid.New()}), store.PositionLostError{After: 7, Head: 5}, "what was seen")
		require.NoError(f, s.SaveCheckpoint(f.ctx, t.request(5, store.SeenEvent{})))
		assert.Equal(f, int64(5), f.subscription(s, t.l.ID).Checkpoint)
	}
	absent := f.acquire(s, store.SubscriptionID{Stream: "absent", Name: "a"}, "a")
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(absent, 9, 123456)), "a stream that is gone has no end")
}

func seenPlace(f *fixture) {
	s := f.keeper()
	for _, t := range f.seenStreams(s) {
		for _, number := range []int64{1, 4, 5} {
			seen := t.at(number)
			require.NoError(f, s.SaveCheckpoint(f.ctx, t.request(1, seen)), "%d", number)
			assert.Equal(f, seen, f.subscription(s, t.l.ID).Seen)
		}
		replaced := func(number int64) store.PositionLostError {
			return store.PositionLostError{After: number, Head: 5, Replaced: true}
		}
		f.refuses(s, t.request(2, store.SeenEvent{Number: 2, ID: uuid.New()}), replaced(2), "an event that is not in the store")
		f.refuses(s, t.request(2, store.SeenEvent{Number: 2, ID: t.events[2].ID}), replaced(2), "an event that is elsewhere")
		l := f.acquire(s, t.l.ID, "a")
		assert.Equal(f, t.at(5), l.Seen, "the lease comes with it")
		renewed, err := s.RenewLeases(f.ctx, "a", long)
		require.NoError(f, err)
		assert.Contains(f, renewed, l)
		require.NoError(f, s.ResetSubscription(f.ctx, t.l.ID, 1, t.id))
		assert.Zero(f, f.subscription(s, t.l.ID).Seen, "a reset forgets it")
	}

	// A number without an event: it was hard deleted.
	s = f.keeper()
	all, links := f.acquire(s, onAll("late"), "a"), f.acquire(s, store.SubscriptionID{Stream: "links", Name: "late"}, "a")
	gone, kept := f.fill("gone", 1), f.fill("kept", 1)
	f.link("links", store.NoStream, gone[0], kept[0])
	positions := f.all()
	on := func(l store.Lease, number, streamID int64, id uuid.UUID) store.CheckpointRequest {
		r := checkpoint(l, number, streamID)
		r.Seen = store.SeenEvent{Number: number, ID: id}
		return r
	}
	position, linksID := positions[len(positions)-2].Number, f.info("links").ID
	f.delete("gone", store.HardDelete)
	require.NoError(f, s.SaveCheckpoint(f.ctx, on(all, position, 0, gone[0].ID)), "it was there")
	require.NoError(f, s.SaveCheckpoint(f.ctx, on(links, 1, linksID, gone[0].ID)), "it was there")
}

func seenKnown(f *fixture) {
	s := f.keeper()
	for _, t := range f.seenStreams(s) {
		require.NoError(f, s.SaveCheckpoint(f.ctx, t.request(3, t.at(5))))
		before := f.subscription(s, t.l.ID)
		r := t.request(5, t.at(5))
		r.Known = 4
		err := s.SaveCheckpoint(f.ctx, r)
		var lost *store.CheckpointLostError
		require.ErrorAs(f, err, &lost)
		require.ErrorIs(f, err, store.ErrLeaseLost, "the subscription is to begin again behind what is there")
		assert.Equal(f, []int64{4, 3}, []int64{lost.Known, lost.Found})
		assert.Equal(f, before, f.subscription(s, t.l.ID))
		r.Known = 3
		require.NoError(f, s.SaveCheckpoint(f.ctx, r))
		r.Known, r.StreamID, r.Checkpoint, r.Seen = 100, t.id+1000, 2, store.SeenEvent{}
		require.NoError(f, s.SaveCheckpoint(f.ctx, r), "in another stream")
	}
}

func seenRelease(f *fixture) {
	s := f.keeper()
	for _, t := range f.seenStreams(s) {
		require.NoError(f, s.SaveCheckpoint(f.ctx, t.request(3, t.at(3))))
		require.ErrorIs(f, s.ReleaseLease(f.ctx, t.request(9, t.at(3))), store.ErrPositionLost)
		got := f.subscription(s, t.l.ID)
		assert.False(f, got.Held)
		assert.Equal(f, int64(3), got.Checkpoint)

		l := f.acquire(s, t.l.ID, "a")
		r := checkpoint(l, 5, t.id)
		r.Known = 5
		require.ErrorIs(f, s.ReleaseLease(f.ctx, r), store.ErrLeaseLost)
		assert.False(f, f.subscription(s, t.l.ID).Held, "the epoch was the current one")

		again := f.acquire(s, t.l.ID, "b")
		require.ErrorIs(f, s.ReleaseLease(f.ctx, checkpoint(l, 5, t.id)), store.ErrLeaseLost)
		assert.True(f, f.subscription(s, t.l.ID).Held, "the epoch is over")
		require.NoError(f, s.ReleaseLease(f.ctx, checkpoint(again, 5, t.id)))
		assert.Equal(f, int64(5), f.subscription(s, t.l.ID).Checkpoint)
	}
}

func seenBatch(f *fixture) {
	s := f.keeper()
	all := f.seenStreams(s)[0]
	right, lost, over := all, all, all
	right.l, lost.l, over.l = f.acquire(s, onAll("right"), "a"), f.acquire(s, onAll("lost"), "a"), f.acquire(s, onAll("over"), "a")
	f.acquire(s, onAll("over"), "a")
	behind := all.request(5, all.at(5))
	behind.Known = 2
	refused, err := saveEach(f.ctx, s, []store.CheckpointRequest{
		lost.request(5, store.SeenEvent{Number: 5, ID: uuid.New()}), right.request(4, right.at(5)), over.request(5, over.at(5)), behind,
	})
	require.NoError(f, err)
	require.Len(f, refused, 4)
	require.ErrorIs(f, refused[0], store.ErrPositionLost)
	require.NoError(f, refused[1])
	require.ErrorIs(f, refused[2], store.ErrLeaseLost)
	require.ErrorAs(f, refused[3], new(*store.CheckpointLostError))
	got := f.subscription(s, right.l.ID)
	assert.Equal(f, []any{int64(4), right.at(5)}, []any{got.Checkpoint, got.Seen})
	for _, t := range []seenStream{lost, over, all} {
		assert.Zero(f, f.subscription(s, t.l.ID).Checkpoint, t.l.ID.Name)
	}
}

func advanceSeen(f *fixture) {
	s := f.projectionKeeper()
	for _, t := range f.seenStreams(s) {
		require.NoError(f, f.advance(s, store.AdvanceRequest{CheckpointRequest: t.request(3, t.at(4)), From: 1, Handled: 3}))
		before := f.subscription(s, t.l.ID)
		assert.Equal(f, t.at(4), before.Seen)
		wrong := store.AdvanceRequest{CheckpointRequest: t.request(5, store.SeenEvent{Number: 5, ID: uuid.New()}), From: 4, Handled: 2}
		require.ErrorIs(f, f.advance(s, wrong), store.ErrPositionLost)
		behind := store.AdvanceRequest{CheckpointRequest: t.request(5, t.at(5)), From: 5, Handled: 1}
		behind.Known = 4
		require.ErrorAs(f, f.advance(s, behind), new(*store.CheckpointLostError), "4 was applied in a history that is not this one")
		behind.From = 0
		require.ErrorAs(f, f.advance(s, behind), new(*store.CheckpointLostError), "also for a parked event")
		assert.Equal(f, before, f.subscription(s, t.l.ID))
		behind.From, behind.Known = 4, 3
		require.NoError(f, f.advance(s, behind))
		assert.Equal(f, int64(5), f.subscription(s, t.l.ID).Checkpoint)
	}
}
