package store

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestErrorOverWhileWritten: an error that is over while it is being written is taken out of the list again, also if a checkpoint
// has passed its event: that may have been before it was there.
func TestErrorOverWhileWritten(t *testing.T) {
	t.Parallel()
	for name, written := range map[string]error{"written": nil, "perhaps not": errors.New("no answer")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tr trouble
			tr.note(5, "boom")
			p := tr.problem
			require.True(t, tr.write(p))
			require.True(t, tr.solve(0, math.MaxInt64, 5), "it is to be written that it is over")
			tr.written(p, written, 5)
			require.Equal(t, &problem{}, tr.problem)
			require.True(t, tr.write(tr.problem))
			tr.written(tr.problem, nil, 5)
			assert.Nil(t, tr.problem)
			assert.False(t, tr.noted)
		})
	}
}

// TestErrorOverBeforeItIsWritten: an error that is over before anybody could see it costs no write.
func TestErrorOverBeforeItIsWritten(t *testing.T) {
	t.Parallel()
	var tr trouble
	tr.note(5, "boom")
	p := tr.problem
	assert.False(t, tr.solve(5, 5, 4))
	assert.Nil(t, tr.problem)
	assert.False(t, tr.write(p), "it was about to be")
}

// TestErrorPassed: nothing is written for an error that a checkpoint has cleared. One that was noted when the checkpoint had passed its
// event already, as of a parked event, is not cleared by that.
func TestErrorPassed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		since, saved int64
		want         bool
	}{{3, 4, true}, {4, 4, true}, {4, 5, false}, {5, 5, true}, {6, 6, true}, {6, 7, false}} {
		var tr trouble
		tr.note(5, "boom")
		p := tr.problem
		require.True(t, tr.write(p))
		tr.written(p, nil, c.since)
		assert.Equal(t, c.want, tr.solve(5, 5, c.saved), "checkpoint %d, then %d", c.since, c.saved)
	}
}
