package store

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestIsEnd: a page is the end only if it is contiguous, and nothing but the end of the store has ended it.
func TestIsEnd(t *testing.T) {
	t.Parallel()
	page := func(n int) []Recorded { return make([]Recorded, n) }
	r := ReadRequest{From: 10, Limit: 100, Bytes: 4000, Overlap: true}
	assert.True(t, isEnd(r, page(2), 12))
	assert.True(t, isEnd(r, page(50), 60))
	assert.False(t, isEnd(r, page(51), 61), "it may be a full page")
	assert.False(t, isEnd(r, page(2), 13), "something was hard deleted: the page may have ended before the store")
	assert.False(t, isEnd(r, page(1), 11), "nothing is new: hard deleted events may follow")
	large := page(2)
	large[1].Data = make([]byte, 2000)
	assert.False(t, isEnd(r, large, 12), "the bytes may have ended it")
	first := ReadRequest{From: 1, Limit: 100, Bytes: 4000}
	assert.True(t, isEnd(first, page(1), 2))
	assert.False(t, isEnd(first, nil, 1))
}
