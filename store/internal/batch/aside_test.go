package batch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// known is what is known of parked events in the tests: the keys have been read under a lease, and nothing is pending.
type known struct {
	*Aside
	begun time.Time
}

const poll = time.Minute

func newKnown(keys ...string) known {
	k := known{NewAside(poll), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	k.Looking(k.begun)
	k.Parked(1, keys)
	k.Loaded(10)
	k.Finished()
	return k
}

// at returns a time some seconds after the first look.
func (k known) at(seconds int) time.Time { return k.begun.Add(time.Duration(seconds) * time.Second) }

// later has the event with a number, of the key, retried in some seconds.
func (k known) later(key string, number byte, attempts, seconds int) {
	k.Postpone(key, Postponed{[16]byte{number}, int64(number), attempts, k.at(seconds)})
}

// TestAsideNext: what is done about parked events some seconds after the first look, and how long it is until it is asked again.
func TestAsideNext(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys    []string
		prepare func(k known)
		after   int
		act     Act
		wait    int // seconds
	}{
		"nothing is parked":                         {nil, func(known) {}, 0, Rest, 60},
		"nothing is parked: nobody looks":           {nil, func(known) {}, 600, Rest, 60},
		"parked":                                    {[]string{"a"}, func(known) {}, 59, Rest, 60},
		"parked: time to look":                      {[]string{"a"}, func(known) {}, 60, Look, 60},
		"looked since":                              {[]string{"a"}, func(k known) { k.Looking(k.at(50)) }, 100, Rest, 60},
		"what is loaded may be ready":               {[]string{"a"}, func(k known) { k.Loaded(10) }, 0, Replay, 0},
		"what was changed may be ready":             {[]string{"a"}, func(k known) { k.Loaded(11) }, 0, Replay, 0},
		"nothing is left of it":                     {[]string{"a"}, func(k known) { k.Parked(1, nil); k.Loaded(11) }, 0, Rest, 60},
		"a replay was broken off":                   {[]string{"a"}, func(k known) { k.Begin() }, 0, Replay, 0},
		"it could not be read":                      {[]string{"a"}, func(k known) { k.Begin(); k.Unread(k.at(30)) }, 10, Rest, 20},
		"it could not be read: again":               {[]string{"a"}, func(k known) { k.Begin(); k.Unread(k.at(30)) }, 30, Replay, 0},
		"it could not be read for long":             {[]string{"a"}, func(k known) { k.Begin(); k.Unread(k.at(300)) }, 10, Rest, 60},
		"it was read since":                         {[]string{"a"}, func(k known) { k.Unread(k.at(30)); k.Loaded(10) }, 10, Replay, 0},
		"a retry comes":                             {[]string{"a"}, func(k known) { k.later("a", 1, 1, 40) }, 10, Rest, 30},
		"a retry is due":                            {[]string{"a"}, func(k known) { k.later("a", 1, 1, 40) }, 40, Replay, 0},
		"a retry is over-due":                       {[]string{"a"}, func(k known) { k.later("a", 1, 1, 40) }, 50, Replay, 0},
		"a retry comes late":                        {[]string{"a"}, func(k known) { k.later("a", 1, 1, 400) }, 10, Rest, 60},
		"a retry comes late: time to look":          {[]string{"a"}, func(k known) { k.later("a", 1, 1, 400) }, 60, Look, 60},
		"the first retry counts":                    {[]string{"a", "b"}, func(k known) { k.later("a", 1, 1, 40); k.later("b", 2, 1, 30) }, 10, Rest, 20},
		"the lease was lost: no retries":            {[]string{"a"}, func(k known) { k.later("a", 1, 1, 40); k.Forget() }, 40, Rest, 60},
		"a retry of what is not there":              {[]string{"a", "b"}, func(k known) { k.later("a", 1, 1, 40); k.Parked(1, []string{"b"}) }, 40, Rest, 60},
		"the first that is parked is not looked at": {nil, func(k known) { k.Put("a", true) }, 10, Rest, 60},
		"the first that is parked: time to look":    {nil, func(k known) { k.Put("a", true) }, 60, Look, 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKnown(c.keys...)
			c.prepare(k)
			now := k.at(c.after)
			assert.Equal(t, c.act, k.Next(now))
			assert.Equal(t, time.Duration(c.wait)*time.Second, k.Wait(1, true, now))
			assert.Equal(t, poll, k.Wait(1, false, now), "nothing is due without a lease")
			assert.Equal(t, poll, k.Wait(2, true, now), "nothing is due under a lease under which nothing was read")
		})
	}
}

// TestAsideOfALease: what is parked is read under each lease anew.
func TestAsideOfALease(t *testing.T) {
	t.Parallel()
	a := NewAside(poll)
	assert.True(t, a.Stale(1))
	a.Parked(1, []string{"a"})
	a.Loaded(10)
	assert.False(t, a.Stale(1))
	assert.True(t, a.Stale(2))
	assert.EqualValues(t, 1, a.Epoch())
	assert.True(t, a.Has("a"))
	assert.False(t, a.Has("b"))
	a.Put("b", true)
	assert.True(t, a.Has("b"))
	assert.False(t, a.Empty())
	a.Postpone("b", Postponed{[16]byte{1}, 1, 1, time.Time{}})
	a.Claim("a")
	assert.Equal(t, []int64{1}, a.Parked(2, []string{"b"}), "another process may have handled it")
	assert.Empty(t, a.Busy(time.Time{}), "and claims are over")
	a.Loaded(10)
	assert.False(t, a.Has("a"))
	assert.False(t, a.Stale(2))
}

func TestAsideChanges(t *testing.T) {
	t.Parallel()
	k := newKnown("a")
	assert.False(t, k.Looked(10))
	assert.True(t, k.Looked(11))
	assert.True(t, k.Looked(11), "it was not read yet")
	k.Loaded(12)
	assert.False(t, k.Looked(12))
	k.Put("b", true)
	assert.False(t, k.Looked(12), "it is behind what its key waits for")
	k.Put("b", false)
	assert.True(t, k.Looked(12), "it may be ready")
	k.Loaded(12)
	assert.False(t, k.Looked(12))
	k.Put("b", false)
	k.Finished()
	assert.False(t, k.Looked(12))
	k.Parked(1, nil)
	assert.False(t, k.Begin(), "there is nothing to replay")
}

// TestAsideReplay follows two events that fail when they are replayed.
func TestAsideReplay(t *testing.T) {
	t.Parallel()
	k := newKnown("a", "b", "c")
	k.Loaded(11)
	assert.True(t, k.Begin())
	assert.Empty(t, k.Busy(k.at(0)))
	k.later("a", 1, 1, 10)
	k.later("b", 2, 1, 20)
	assert.ElementsMatch(t, []string{"a", "b"}, k.Busy(k.at(0)), "even if one is due before the replay is over")
	assert.Equal(t, Replay, k.Next(k.at(0)), "the replay is not over")
	assert.Empty(t, k.Finish(k.at(0)))
	assert.Empty(t, k.Parked(1, []string{"a", "b"}))
	k.Finished()
	assert.False(t, k.Has("c"))
	assert.Equal(t, Rest, k.Next(k.at(0)))

	assert.Equal(t, Replay, k.Next(k.at(10)))
	assert.True(t, k.Begin())
	assert.Equal(t, []string{"b"}, k.Busy(k.at(10)))
	assert.Equal(t, 1, k.Tried("a", [16]byte{1}))
	assert.Zero(t, k.Tried("a", [16]byte{9}), "another event of the key, since that one was discarded")
	assert.Zero(t, k.Tried("c", [16]byte{3}))
	k.later("a", 1, 2, 30)
	assert.Equal(t, 2, k.Tried("a", [16]byte{1}))
	assert.True(t, k.Retries(1))
	assert.False(t, k.Retries(3))
	assert.Empty(t, k.Finish(k.at(10)), "both fail again, or wait")
	k.Finished()

	assert.True(t, k.Begin())
	assert.Equal(t, []int64{2}, k.Finish(k.at(20)), "it was due, and has not failed again")
	assert.Equal(t, []int64{1}, k.Parked(1, nil), "it was discarded")
	k.Finished()
	assert.False(t, k.Retries(1))
	assert.True(t, k.Empty())
	assert.Equal(t, Rest, k.Next(k.at(90)))
}

// TestAsideClaim: two consumers replay different keys.
func TestAsideClaim(t *testing.T) {
	t.Parallel()
	k := newKnown("a", "b", "c")
	k.later("a", 1, 1, 10)
	k.later("b", 2, 1, 90)
	k.Begin()
	assert.ElementsMatch(t, []string{"b"}, k.Busy(k.at(20)))
	r, ok := k.Claim("a")
	assert.True(t, ok)
	assert.Equal(t, Postponed{[16]byte{1}, 1, 1, k.at(10)}, r)
	_, ok = k.Claim("c")
	assert.False(t, ok)
	assert.False(t, k.Retries(1), "it has begun")
	assert.ElementsMatch(t, []string{"a", "b", "c"}, k.Busy(k.at(20)))

	k.later("a", 1, 2, 15)
	assert.ElementsMatch(t, []string{"a", "b", "c"}, k.Busy(k.at(0)), "each once")
	assert.Empty(t, k.Parked(1, []string{"b", "c"}))
	assert.Empty(t, k.Finish(k.at(20)), "a key that is claimed is still being handled")
	k.Finished()
	assert.Equal(t, time.Duration(0), k.UntilRetry(k.at(20)))
	k.Release("a", true)
	assert.Equal(t, []int64{1}, k.Finish(k.at(20)))
	assert.Equal(t, Rest, k.Next(k.at(20)))
	k.Release("c", false)
	assert.Equal(t, Replay, k.Next(k.at(20)), "another consumer is to deal with it")
}

// TestAsideDiscarded: retries of events that an operator has discarded are over.
func TestAsideDiscarded(t *testing.T) {
	t.Parallel()
	k := newKnown("a", "b", "c")
	k.later("b", 2, 1, 10)
	k.later("a", 1, 1, 20)
	asked := k.Postponed()
	assert.Equal(t, []Postponed{{[16]byte{1}, 1, 1, k.at(20)}, {[16]byte{2}, 2, 1, k.at(10)}}, asked)
	k.later("c", 3, 1, 10) // since it was asked
	assert.Equal(t, []int64{2}, k.Discarded(asked, map[[16]byte]bool{{1}: true}))
	assert.True(t, k.Retries(1))
	assert.True(t, k.Retries(3))
}
