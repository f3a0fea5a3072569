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
	k.Parked(keys)
	k.Loaded(1, 10)
	k.Finished()
	return k
}

// at returns a time some seconds after the first look.
func (k known) at(seconds int) time.Time { return k.begun.Add(time.Duration(seconds) * time.Second) }

// later has the event with a number, of the key, retried in some seconds.
func (k known) later(key string, number byte, attempts, seconds int) {
	k.Postpone(key, [16]byte{number}, int64(number), attempts, k.at(seconds))
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
		"what is loaded may be ready":               {[]string{"a"}, func(k known) { k.Loaded(1, 10) }, 0, Replay, 0},
		"what was changed may be ready":             {[]string{"a"}, func(k known) { k.Reloaded(11) }, 0, Replay, 0},
		"nothing is left of it":                     {[]string{"a"}, func(k known) { k.Parked(nil); k.Reloaded(11) }, 0, Rest, 60},
		"a replay was broken off":                   {[]string{"a"}, func(k known) { k.Begin() }, 0, Replay, 0},
		"it could not be read":                      {[]string{"a"}, func(k known) { k.Begin(); k.Unread(k.at(30)) }, 10, Rest, 20},
		"it could not be read: again":               {[]string{"a"}, func(k known) { k.Begin(); k.Unread(k.at(30)) }, 30, Replay, 0},
		"it could not be read for long":             {[]string{"a"}, func(k known) { k.Begin(); k.Unread(k.at(300)) }, 10, Rest, 60},
		"it was read since":                         {[]string{"a"}, func(k known) { k.Unread(k.at(30)); k.Loaded(1, 10) }, 10, Replay, 0},
		"a retry comes":                             {[]string{"a"}, func(k known) { k.later("a", 1, 1, 40) }, 10, Rest, 30},
		"a retry is due":                            {[]string{"a"}, func(k known) { k.later("a", 1, 1, 40) }, 40, Replay, 0},
		"a retry is over-due":                       {[]string{"a"}, func(k known) { k.later("a", 1, 1, 40) }, 50, Replay, 0},
		"a retry comes late":                        {[]string{"a"}, func(k known) { k.later("a", 1, 1, 400) }, 10, Rest, 60},
		"a retry comes late: time to look":          {[]string{"a"}, func(k known) { k.later("a", 1, 1, 400) }, 60, Look, 60},
		"the first retry counts":                    {[]string{"a", "b"}, func(k known) { k.later("a", 1, 1, 40); k.later("b", 2, 1, 30) }, 10, Rest, 20},
		"the lease was lost: no retries":            {[]string{"a"}, func(k known) { k.later("a", 1, 1, 40); k.Forget() }, 40, Rest, 60},
		"a retry of what is not there":              {[]string{"a", "b"}, func(k known) { k.later("a", 1, 1, 40); k.Parked([]string{"b"}) }, 40, Rest, 60},
		"the first that is parked is not looked at": {nil, func(k known) { k.Put("a") }, 10, Rest, 60},
		"the first that is parked: time to look":    {nil, func(k known) { k.Put("a") }, 60, Look, 60},
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
	a.Parked([]string{"a"})
	assert.True(t, a.Stale(1))
	a.Loaded(1, 10)
	assert.False(t, a.Stale(1))
	assert.True(t, a.Stale(2))
	assert.EqualValues(t, 1, a.Epoch())
	assert.True(t, a.Has("a"))
	assert.False(t, a.Has("b"))
	a.Put("b")
	assert.True(t, a.Has("b"))
	assert.False(t, a.Empty())
	a.Parked([]string{"b"})
	a.Loaded(2, 10)
	assert.False(t, a.Has("a"))
	assert.False(t, a.Stale(2))
}

func TestAsideChanges(t *testing.T) {
	t.Parallel()
	k := newKnown("a")
	assert.False(t, k.Looked(10))
	assert.True(t, k.Looked(11))
	assert.True(t, k.Looked(11), "it was not read yet")
	k.Reloaded(12)
	assert.False(t, k.Looked(12))
	k.Parked(nil)
	assert.False(t, k.Begin(), "there is nothing to replay")
}

// TestAsideReplay follows two events that fail when they are replayed.
func TestAsideReplay(t *testing.T) {
	t.Parallel()
	k := newKnown("a", "b", "c")
	k.Reloaded(11)
	assert.True(t, k.Begin())
	assert.Empty(t, k.Waiting(k.at(0)))
	k.later("a", 1, 1, 10)
	k.later("b", 2, 1, 20)
	assert.ElementsMatch(t, []string{"a", "b"}, k.Waiting(k.at(0)), "even if one is due before the replay is over")
	assert.Equal(t, Replay, k.Next(k.at(0)), "the replay is not over")
	assert.Empty(t, k.Finish(k.at(0)))
	assert.Empty(t, k.Parked([]string{"a", "b"}))
	k.Finished()
	assert.False(t, k.Has("c"))
	assert.Equal(t, Rest, k.Next(k.at(0)))

	assert.Equal(t, Replay, k.Next(k.at(10)))
	assert.True(t, k.Begin())
	assert.Equal(t, []string{"b"}, k.Waiting(k.at(10)))
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
	assert.Equal(t, []int64{1}, k.Parked(nil), "it was discarded")
	k.Finished()
	assert.False(t, k.Retries(1))
	assert.True(t, k.Empty())
	assert.Equal(t, Rest, k.Next(k.at(90)))
}
