package lease

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var began = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	ms  = time.Millisecond
	ttl = 30 * time.Second
)

func TestKeeperWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after  time.Duration // the last renewal, and the last look
		hinted bool
		holds  bool
		retry  time.Duration
		want   time.Duration // negative for ever
	}{
		"nothing to do":                       {0, false, false, 0, -1},
		"nothing to do, hinted":               {0, true, false, 0, -1},
		"a lease":                             {0, false, true, 0, 10 * time.Second},
		"a lease, later":                      {4 * time.Second, false, true, 0, 6 * time.Second},
		"a lease, too late":                   {time.Minute, false, true, 0, 0},
		"hints don't renew":                   {4 * time.Second, true, true, 0, 6 * time.Second},
		"waiting":                             {0, false, false, time.Second, time.Second},
		"waiting, whenever it looked":         {700 * ms, false, false, time.Second, time.Second},
		"waiting, hinted":                     {30 * ms, true, false, time.Second, 70 * ms},
		"waiting, hinted, not looked lately":  {time.Second, true, false, time.Second, 0},
		"waiting for less than 100 ms":        {3 * ms, true, false, 10 * ms, 7 * ms},
		"a lease, and waiting for a short":    {0, false, true, time.Second, time.Second},
		"a lease, and waiting for long":       {4 * time.Second, false, true, time.Minute, 6 * time.Second},
		"a lease, and waiting, hinted":        {30 * ms, true, true, time.Minute, 70 * ms},
		"a lease that is due, and waiting":    {10 * time.Second, false, true, time.Second, 0},
		"a lease, and waiting, about the end": {9950 * ms, false, true, time.Second, 50 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := NewKeeper(ttl, began)
			k.Look(began, 0)
			if c.hinted {
				k.Hint()
			}
			got, ok := k.Wait(began.Add(c.after), c.holds, c.retry)
			assert.Equal(t, c.want >= 0, ok)
			assert.Equal(t, max(c.want, 0), got)
		})
	}
}

func TestKeeperRenews(t *testing.T) {
	t.Parallel()
	k := NewKeeper(ttl, began)
	assert.False(t, k.Renew(began.Add(10*time.Second-1)))
	assert.True(t, k.Renew(began.Add(11*time.Second)))
	assert.False(t, k.Renew(began.Add(20*time.Second)), "the third counts from the late renewal")
	assert.True(t, k.Renew(began.Add(21*time.Second)))
}

// TestKeeperLooks: the first look is due at once, as is one after a time without waiters; others are 100 ms apart.
func TestKeeperLooks(t *testing.T) {
	t.Parallel()
	k := NewKeeper(ttl, began)
	assert.True(t, k.Look(began, time.Second), "it has never looked")
	assert.False(t, k.Look(began.Add(99*ms), time.Second))
	assert.True(t, k.Look(began.Add(100*ms), time.Second))
	assert.False(t, k.Look(began.Add(109*ms), 10*ms))
	assert.True(t, k.Look(began.Add(110*ms), 10*ms))
	assert.True(t, k.Look(began.Add(110*ms), 0), "a subscription may wait by now")
	k.Hint()
	d, _ := k.Wait(began.Add(110*ms), false, time.Second)
	assert.Equal(t, 100*ms, d)
	assert.True(t, k.Look(began.Add(210*ms), time.Second))
	d, _ = k.Wait(began.Add(210*ms), false, time.Second)
	assert.Equal(t, time.Second, d, "the hint is over")
}

func TestJudge(t *testing.T) {
	t.Parallel()
	was := Known{Epoch: 3, StreamID: 7, Checkpoint: 100}
	for name, c := range map[string]struct {
		is   Known
		want Verdict
	}{
		"the same":                      {was, Kept},
		"further":                       {Known{3, 7, 101}, Kept},
		"another epoch":                 {Known{4, 7, 100}, Taken},
		"an earlier epoch":              {Known{2, 7, 100}, Taken},
		"none":                          {Known{}, Taken},
		"a lower checkpoint":            {Known{3, 7, 99}, WentBack},
		"a lower one of another epoch":  {Known{4, 7, 99}, Taken},
		"a lower one of another stream": {Known{3, 8, 0}, Kept},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.want, Judge(was, c.is))
		})
	}
}
