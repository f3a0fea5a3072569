package conformance

import (
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// clock returns what the database's clock says.
func (f *fixture) clock(s store.SubscriptionStorage) time.Time {
	f.Helper()
	a, err := s.Arrivals(f.ctx, []store.Behind{{Stream: store.All}})
	require.NoError(f, err)
	return a.Now
}

// hasError checks the error that is listed.
func (f *fixture) hasError(s store.SubscriptionStorage, id store.SubscriptionID, text string, number int64, why string) {
	f.Helper()
	i := f.subscription(s, id)
	assert.Equal(f, text, i.LastError, why)
	assert.Equal(f, number, i.LastErrorNumber, why)
	assert.Equal(f, text == "", i.LastErrorAt.IsZero(), why)
}

func errorEvent(f *fixture) {
	s := f.keeper()
	l := f.acquire(s, store.SubscriptionID{Stream: "absent", Name: "a"}, "a")
	var last time.Time
	for _, number := range []int64{7, 3, 1 << 60, 0} {
		before := f.clock(s)
		f.later(before)
		require.NoError(f, s.SaveError(f.ctx, l.ID, l.Epoch, "trouble", number))
		f.hasError(s, l.ID, "trouble", number, "as it was noted")
		last = f.subscription(s, l.ID).LastErrorAt
		assert.WithinRange(f, last, before, f.clock(s), "on the database's clock")
	}
	f.later(last)
	l = f.acquire(s, l.ID, "a")
	assert.Equal(f, last, f.subscription(s, l.ID).LastErrorAt, "a lease that is taken leaves it alone")
	require.NoError(f, s.SaveError(f.ctx, l.ID, l.Epoch, "", 0))
	f.hasError(s, l.ID, "", 0, "it is over")
}

func errorOver(f *fixture) {
	s := f.keeper()
	id := store.SubscriptionID{Stream: "absent", Name: "a"}
	release := func(r store.CheckpointRequest) error { return s.ReleaseLease(f.ctx, r) }
	saves := map[string]func(r store.CheckpointRequest) error{
		"saved":    func(r store.CheckpointRequest) error { return s.SaveCheckpoint(f.ctx, r) },
		"released": release,
	}
	if b, ok := s.(store.CheckpointBatcher); ok {
		saves["in a batch"] = func(r store.CheckpointRequest) error {
			_, err := b.SaveCheckpoints(f.ctx, []store.CheckpointRequest{r})
			return err
		}
	}
	l := f.acquire(s, id, "a")
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 1, 3)))
	at := int64(1)
	take := func(owner string) { // after a clean close of who has it
		f.Helper()
		require.NoError(f, release(checkpoint(l, at, 3)))
		l = f.acquire(s, id, owner)
	}
	for name, save := range saves {
		number := at + 10
		move := func(to int64) {
			f.Helper()
			at = to
			require.NoError(f, save(checkpoint(l, at, 3)))
		}
		take("a")
		require.NoError(f, s.SaveError(f.ctx, id, l.Epoch, "trouble", number))
		move(number - 1)
		f.hasError(s, id, "trouble", number, name+" before it")
		take("b")
		f.hasError(s, id, "trouble", number, "taken by another owner")
		move(number)
		f.hasError(s, id, "", 0, name+" at it, by another owner")
		take("b")
		require.NoError(f, s.SaveError(f.ctx, id, l.Epoch, "trouble", number))
		move(number)
		f.hasError(s, id, "trouble", number, name+", which does not move on")
		take("a")
		move(number + 2)
		f.hasError(s, id, "", 0, name+" behind it")
	}
	take("a")
	require.NoError(f, s.SaveError(f.ctx, id, l.Epoch, "trouble", 99))
	require.NoError(f, s.SaveCheckpoint(f.ctx, checkpoint(l, 1, 4)))
	f.hasError(s, id, "", 0, "the event is gone with its stream")
	require.NoError(f, s.SaveError(f.ctx, id, l.Epoch, "trouble", 99))
	require.NoError(f, s.ResetSubscription(f.ctx, id, 0, 4))
	f.hasError(s, id, "", 0, "it begins anew")
}

var arrivalCases = []testCase{
	{name: "arrivals/all", run: arrivalsAll, why: "since when a reader of all events lags shows by when they got their positions, whatever their creation time says"},
	{name: "arrivals/stream", run: arrivalsStream, why: "since when a reader of a stream lags shows by when its events, own or linked, came into it"},
}

// arrived returns when the first event behind a number came into a stream.
func (f *fixture) arrived(s store.SubscriptionStorage, stream string, number int64) time.Time {
	f.Helper()
	a, err := s.Arrivals(f.ctx, []store.Behind{{Stream: stream, Number: number}})
	require.NoError(f, err)
	require.Len(f, a.At, 1)
	return a.At[0]
}

// old is an event that was created ten years ago, for all that its appender says.
func old() store.Event {
	return store.Event{Type: "old", CreatedAt: time.Now().AddDate(-10, 0, 0)}
}

func arrivalsAll(f *fixture) {
	s := f.keeper()
	assert.Zero(f, f.arrived(s, store.All, 0), "there is nothing")
	var times []time.Time
	for n := range int64(3) {
		before := f.clock(s)
		f.later(before)
		f.append("a", store.Any, old(), old())
		f.append("b", store.Any, old())
		f.head() // by now they have their positions
		at := f.arrived(s, store.All, 3*n)
		assert.WithinRange(f, at, before, f.clock(s))
		times = append(times, at)
		f.later(f.clock(s))
	}
	list := []store.Behind{{Stream: store.All, Number: 9}, {Stream: store.All, Number: 6}, {Stream: store.All}, {Stream: store.All, Number: 4}, {Stream: store.All, Number: 99}}
	a, err := s.Arrivals(f.ctx, list)
	require.NoError(f, err)
	require.Len(f, a.At, len(list))
	assert.Zero(f, a.At[0], "there is nothing behind it")
	assert.Equal(f, times[2], a.At[1])
	assert.Equal(f, times[0], a.At[2])
	assert.WithinRange(f, a.At[3], times[1], times[2].Add(-time.Microsecond), "the second event of an append came with the first")
	assert.Zero(f, a.At[4])
}

func arrivalsStream(f *fixture) {
	s := f.keeper()
	f.append("other", store.Any, old())
	f.head()
	before := f.clock(s)
	f.later(before)
	f.append("s", store.Any, old(), old())
	f.head()
	first := f.arrived(s, "s", 0)
	assert.WithinRange(f, first, before, f.clock(s))
	assert.Equal(f, first, f.arrived(s, "s", 1))
	assert.Zero(f, f.arrived(s, "s", 2), "there is nothing behind it")
	assert.Zero(f, f.arrived(s, "absent", 0))
	between := f.clock(s)
	f.later(between)
	f.link("s", store.Any, f.read("other", nil)[0])
	linked := f.arrived(s, "s", 2)
	assert.WithinRange(f, linked, between, f.clock(s), "not when what it links to came")
	after := f.clock(s)
	f.later(after)
	f.append("s", store.Any, old())
	f.head()
	assert.WithinRange(f, f.arrived(s, "s", 3), after, f.clock(s))
	assert.Equal(f, linked, f.arrived(s, "s", 2))
	f.delete("other", store.HardDelete)
	assert.WithinRange(f, f.arrived(s, "s", 2), after, f.clock(s), "an event that is gone does not count")
}
