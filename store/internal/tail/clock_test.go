package tail

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var began = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

const ms = time.Millisecond

// clockAt returns a clock with a round that began at began, after an interval.
func clockAt(every, interval time.Duration) *Clock {
	return &Clock{every: every, interval: interval, next: began, looked: began}
}

func TestClockWaits(t *testing.T) {
	t.Parallel()
	now := began.Add(2 * ms)
	for name, c := range map[string]struct {
		every, interval time.Duration
		round           Round
		rest, wait      time.Duration // the wait is counted from now, without the rest
	}{
		"after events, the least":                 {time.Second, 640 * ms, Round{Read: true, Found: 1}, 0, Least},
		"after many events, rests":                {time.Second, 640 * ms, Round{Read: true, Found: 1000}, 3 * ms, Least},
		"after events, no longer than every":      {4 * ms, 4 * ms, Round{Read: true, Found: 1}, 0, 4 * ms},
		"after an empty read, twice as long":      {time.Second, 20 * ms, Round{Read: true}, 0, 40 * ms},
		"after an empty read, at most every":      {time.Second, 640 * ms, Round{Read: true}, 0, time.Second},
		"where a replica moves, the least":        {time.Second, 640 * ms, Round{Read: true, Moves: true}, 0, Least},
		"where a replica moves, at most every":    {4 * ms, 4 * ms, Round{Read: true, Moves: true}, 0, 4 * ms},
		"after a poll, twice as long from then":   {time.Second, 20 * ms, Round{}, 0, 38 * ms},
		"after a poll that was old already, less": {time.Second, 20 * ms, Round{Asked: began.Add(-30 * ms)}, 0, 8 * ms},
		"after a poll that was too old, at once":  {time.Second, 20 * ms, Round{Asked: began.Add(-time.Minute)}, 0, 0},
		"after a poll, at most every":             {time.Second, 640 * ms, Round{}, 0, 998 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := clockAt(c.every, c.interval)
			c.round.Began = began
			if c.round.Asked.IsZero() {
				c.round.Asked = began
			}
			assert.Equal(t, c.rest, clock.Done(c.round, now))
			assert.Equal(t, c.wait, clock.Wait(now))
		})
	}
}

func TestClockBegins(t *testing.T) {
	t.Parallel()
	c := NewClock(time.Second, began)
	assert.Equal(t, Least, c.Wait(began))
	assert.Equal(t, 4*ms, c.Wait(began.Add(6*ms)))
	assert.Zero(t, c.Wait(began.Add(time.Minute)))
}

// TestClockGrows: without events, a minute has about as many rounds as intervals.
func TestClockGrows(t *testing.T) {
	t.Parallel()
	c, now, rounds := NewClock(time.Second, began), began, 0
	for now.Before(began.Add(time.Minute)) {
		now = now.Add(c.Wait(now))
		c.Done(Round{Began: now, Asked: now, Read: true}, now)
		rounds++
	}
	assert.Equal(t, 66, rounds) // 10, 20, 40 ... 640 ms, and then each second
}

func TestClockShares(t *testing.T) {
	t.Parallel()
	c := clockAt(time.Second, 40*ms)
	age, ok := c.Shared(false)
	assert.True(t, ok)
	assert.Equal(t, 40*ms, age)
	_, ok = c.Shared(true)
	assert.False(t, ok, "after a hint there is something new")
	c.Failed(began)
	assert.Equal(t, time.Second, c.Wait(began))
	_, ok = c.Shared(false)
	assert.False(t, ok, "after an error another database may answer")
	assert.True(t, c.Around(began, began))
	_, ok = c.Shared(false)
	assert.True(t, ok, "the error is over")
}

func TestClockLooksAround(t *testing.T) {
	t.Parallel()
	c := NewClock(time.Second, began)
	assert.False(t, c.Around(began, began.Add(999*ms)))
	asked := began.Add(700 * ms)
	assert.True(t, c.Around(asked, began.Add(time.Second)))
	assert.False(t, c.Around(began, began.Add(1699*ms)), "it counts as of when it was asked")
	assert.True(t, c.Around(began, began.Add(1700*ms)))
}

// TestRest: one event is not delayed, many are waited for, but not for long, and the time that the round has taken counts.
func TestRest(t *testing.T) {
	t.Parallel()
	assert.Zero(t, Rest(1, ms))
	assert.Equal(t, ms, Rest(20, ms))
	assert.Equal(t, mostRest-ms, Rest(1000, ms))
	assert.Zero(t, Rest(1000, ms+mostRest))
	assert.Zero(t, Rest(0, 0))
}
