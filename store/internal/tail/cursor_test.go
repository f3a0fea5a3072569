package tail

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

var none, a, b = ID{}, ID{1}, ID{2}

func TestCursorFrom(t *testing.T) {
	t.Parallel()
	for position, want := range map[int64]struct {
		from    int64
		overlap bool
	}{
		0: {1, false}, 1: {1, true}, 7: {7, true},
	} {
		c := At(position, none)
		from, overlap := c.From()
		assert.Equal(t, want.from, from, "at %d", position)
		assert.Equal(t, want.overlap, overlap, "at %d", position)
	}
}

func TestCursorJudgesPages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at    int64
		last  ID
		first int64
		id    ID
		want  Verdict
	}{
		"the same event is there":            {7, a, 7, a, Overlaps},
		"another event is there":             {7, a, 7, b, Replaced},
		"an event is there, it is not known": {7, none, 7, b, Overlaps},
		"the event was hard deleted":         {7, a, 8, b, Follows},
		"all was hard deleted":               {7, a, 0, none, Follows},
		"nothing was read before":            {0, none, 1, a, Follows},
		"an empty store":                     {0, none, 0, none, Follows},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cursor := At(c.at, c.last)
			assert.Equal(t, c.want, cursor.Judge(c.first, c.id))
		})
	}
}

func TestCursorMoves(t *testing.T) {
	t.Parallel()
	c := At(7, a)
	assert.True(t, c.Short(7), "the page ends before the last event that was read")
	assert.False(t, c.Short(8), "nothing is new")
	assert.False(t, c.To(7, none), "the event was hard deleted since")
	assert.Equal(t, none, c.Last())
	assert.True(t, c.To(9, b))
	assert.EqualValues(t, 9, c.Position())
	assert.Equal(t, b, c.Last())
	assert.False(t, c.Ends(9))
	assert.False(t, c.Ends(10))
	assert.Equal(t, b, c.Last())
	assert.True(t, c.Ends(4))
	assert.Equal(t, At(4, none), c)
}

func TestCursorPolled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		last ID
		head int64
		at   ID
		want bool
	}{
		"the end, and the event":      {a, 7, a, false},
		"further":                     {a, 8, a, true},
		"less":                        {a, 6, none, true},
		"another event":               {a, 7, b, true},
		"it was hard deleted":         {a, 7, none, false},
		"it is not known what it was": {none, 7, b, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cursor := At(7, c.last)
			assert.Equal(t, c.want, cursor.News(c.head, c.at))
		})
	}
}
