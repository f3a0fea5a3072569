package tail

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPoll(t *testing.T) {
	t.Parallel()
	var p Poll
	_, ok := p.Known(0, time.Hour, began)
	assert.False(t, ok, "nothing is known at first")
	p.Learn(7, Answer{At: began, Head: 9, ID: a})
	for name, c := range map[string]struct {
		position int64
		age, now time.Duration
		want     bool
	}{
		"at once":             {7, ms, 0, true},
		"within the age":      {7, ms, ms - 1, true},
		"at the age":          {7, ms, ms, false},
		"of another position": {8, ms, 0, false},
	} {
		got, ok := p.Known(c.position, c.age, began.Add(c.now))
		assert.Equal(t, c.want, ok, name)
		if ok {
			assert.Equal(t, Answer{At: began, Head: 9, ID: a}, got, name)
		}
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	var s Streams[int]
	assert.False(t, s.Known(nil, time.Second, began), "nothing is known at first")
	s.Learn(began, []string{"a", "b", "gone"}, map[string]int{"a": 1, "b": 2})
	for name, c := range map[string]struct {
		names []string
		now   time.Duration
		want  bool
		of    map[string]int
	}{
		"all":                        {[]string{"a", "b", "gone"}, 0, true, map[string]int{"a": 1, "b": 2}},
		"some":                       {[]string{"b"}, 0, true, map[string]int{"b": 2}},
		"one that was not there":     {[]string{"gone"}, 0, true, map[string]int{}},
		"one that was not asked for": {[]string{"a", "c"}, 0, false, map[string]int{"a": 1}},
		"half an interval later":     {[]string{"a"}, 500 * ms, true, map[string]int{"a": 1}},
		"later":                      {[]string{"a"}, 501 * ms, false, map[string]int{"a": 1}},
	} {
		assert.Equal(t, c.want, s.Known(c.names, time.Second, began.Add(c.now)), name)
		assert.Equal(t, c.of, s.Of(c.names), name)
	}
}
