package tail

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestLag(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]struct {
		after         time.Duration // began
		position, end int64
		late          int64 // where the primary ended, or 0
	}{
		"it has all":              {{0, 5, 5, 0}, {time.Hour, 5, 5, 0}},
		"it has more":             {{0, 6, 5, 0}, {time.Hour, 7, 5, 0}},
		"it stops":                {{0, 5, 9, 0}, {999 * ms, 5, 9, 0}, {time.Second, 5, 9, 9}},
		"it moves on":             {{0, 5, 9, 0}, {900 * ms, 6, 9, 0}, {1800 * ms, 7, 9, 0}, {2800 * ms, 7, 9, 9}},
		"the primary moves":       {{0, 5, 9, 0}, {900 * ms, 5, 20, 0}, {time.Second, 5, 30, 30}},
		"it stays the same error": {{0, 5, 9, 0}, {time.Second, 5, 9, 9}, {2 * time.Second, 5, 12, 9}},
		"it moves after that":     {{0, 5, 9, 0}, {time.Second, 5, 9, 9}, {2 * time.Second, 6, 12, 0}, {3 * time.Second, 6, 12, 12}},
		"it catches up":           {{0, 5, 9, 0}, {time.Second, 5, 9, 9}, {2 * time.Second, 9, 9, 0}, {3 * time.Second, 9, 10, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l Lag
			for i, s := range steps {
				end, late := l.Look(s.position, s.end, time.Second, began.Add(s.after))
				assert.Equal(t, s.late > 0, late, "step %d", i)
				assert.Equal(t, s.late, end, "step %d", i)
			}
		})
	}
}

func TestLagBegan(t *testing.T) {
	t.Parallel()
	var l Lag
	assert.False(t, l.BeganAfter(time.Time{}))
	l.Look(5, 9, time.Second, began)
	assert.True(t, l.BeganAfter(began))
	assert.False(t, l.BeganAfter(began.Add(1)))
	l.Look(6, 9, time.Second, began.Add(ms))
	assert.True(t, l.BeganAfter(began.Add(1)), "it has moved")
	l.Look(9, 9, time.Second, began.Add(ms))
	assert.False(t, l.BeganAfter(began))
}
