package trouble

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
			var l List
			l.Note(5, "boom")
			p := l.pending
			require.True(t, l.Write(p))
			require.True(t, l.Solve(0, math.MaxInt64, 5), "it is to be written that it is over")
			l.Written(p, written, 5)
			require.Equal(t, &Problem{}, l.pending)
			require.True(t, l.Write(l.pending))
			l.Written(l.pending, nil, 5)
			assert.Nil(t, l.pending)
			assert.False(t, l.noted)
		})
	}
}

// TestErrorOverBeforeItIsWritten: an error that is over before anybody could see it costs no write.
func TestErrorOverBeforeItIsWritten(t *testing.T) {
	t.Parallel()
	var l List
	l.Note(5, "boom")
	p := l.pending
	assert.False(t, l.Solve(5, 5, 4))
	assert.Nil(t, l.pending)
	assert.False(t, l.Write(p), "it was about to be")
}

// TestErrorPassed: nothing is written for an error that a checkpoint has cleared. One that was noted when the checkpoint had passed its
// event already, as of a parked event, is not cleared by that.
func TestErrorPassed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		since, saved int64
		want         bool
	}{{3, 4, true}, {4, 4, true}, {4, 5, false}, {5, 5, true}, {6, 6, true}, {6, 7, false}} {
		var l List
		l.Note(5, "boom")
		p := l.pending
		require.True(t, l.Write(p))
		l.Written(p, nil, c.since)
		assert.Equal(t, c.want, l.Solve(5, 5, c.saved), "checkpoint %d, then %d", c.since, c.saved)
	}
}
