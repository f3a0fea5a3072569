package batch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestMeter(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(seconds float64) time.Time { return begun.Add(time.Duration(seconds * float64(time.Second))) }
	m := NewMeter(begun)
	assert.InDelta(t, 1000, m.Rate(1, begun), 0.1, "in no time counts as in a millisecond")
	assert.InDelta(t, 50, m.Rate(100, at(2)), 0.1)
	assert.InDelta(t, 50, m.Rate(100, at(2)), 0.1, "asking adds nothing")
	for n := 1; n <= 10; n++ {
		m.Add(100, at(float64(n)))
		assert.InDelta(t, 100, m.Rate(0, at(float64(n))), 0.1)
	}
	for n := 11; n <= 100; n++ {
		m.Add(20, at(float64(n)))
	}
	assert.InDelta(t, 20, m.Rate(0, at(100)), 0.5, "what is long ago is forgotten")
	assert.InDelta(t, 10, m.Rate(0, at(110)), 5, "nothing comes any more")
}
