package tail

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func sorted(seq func(func(string) bool)) []string { return slices.Sorted(seq) }

func TestMembers(t *testing.T) {
	t.Parallel()
	m := NewMembers[string]("$all")
	assert.True(t, m.None())
	m.Add("$all", "w")
	assert.False(t, m.None())
	assert.False(t, m.Single())
	m.Add("s", "x")
	m.Add("s", "y")
	m.Add("t", "x")
	m.Add("t", "x")
	assert.True(t, m.Single())
	assert.Equal(t, []string{"w"}, sorted(m.Whole()))
	assert.Equal(t, []string{"x", "y"}, sorted(m.Of("s")))
	assert.Empty(t, sorted(m.Of("u")))
	assert.Equal(t, []string{"w", "x", "x", "y"}, sorted(m.Every()), "one on two streams is told twice")
	assert.ElementsMatch(t, []string{"s", "t"}, m.Streams())
	assert.True(t, m.On("s"))
	assert.False(t, m.On("u"))
	m.Remove("s", "x")
	assert.True(t, m.On("s"))
	m.Remove("s", "y")
	m.Remove("s", "y")
	m.Remove("u", "x")
	m.Remove("$all", "x")
	assert.False(t, m.On("s"))
	m.Remove("$all", "w")
	assert.False(t, m.None())
	m.Remove("t", "x")
	assert.True(t, m.None())
}

func TestMembersEveryStops(t *testing.T) {
	t.Parallel()
	m := NewMembers[string]("$all")
	m.Add("$all", "w")
	m.Add("s", "x")
	for range 2 {
		n := 0
		for range m.Every() {
			n++
			break
		}
		assert.Equal(t, 1, n)
		m.Remove("$all", "w")
	}
}

func TestMembersStarve(t *testing.T) {
	t.Parallel()
	m := NewMembers[string]("$all")
	assert.False(t, m.Starved(nil), "nothing was wrong")
	assert.True(t, m.Starved(errors.New("no database")))
	assert.True(t, m.Starved(errors.New("no database")), "some may have come since")
	assert.True(t, m.Starved(nil))
	assert.False(t, m.Starved(nil))
}
