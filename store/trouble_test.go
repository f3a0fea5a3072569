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
			require.True(t, tr.write(p, 4))
			require.True(t, tr.solve(0, math.MaxInt64, 5), "it is to be written that it is over")
			tr.written(p, written)
			require.Equal(t, &problem{}, tr.problem)
			require.True(t, tr.write(tr.problem, 4))
			tr.written(tr.problem, nil)
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
	assert.False(t, tr.write(p, 4), "it was about to be")
}

// TestErrorPassed: nothing is written for an error that a checkpoint has cleared.
func TestErrorPassed(t *testing.T) {
	t.Parallel()
	for saved, want := range map[int64]bool{4: true, 5: false} {
		var tr trouble
		tr.note(5, "boom")
		p := tr.problem
		require.True(t, tr.write(p, 4))
		tr.written(p, nil)
		assert.Equal(t, want, tr.solve(5, 5, saved), "checkpoint %d", saved)
	}
}

// TestErrorBehindCheckpoint: an error that was written when the checkpoint had passed its event already, as of a parked event that is
// replayed, is taken out of the list when it is over: the checkpoint may not have done so.
func TestErrorBehindCheckpoint(t *testing.T) {
	t.Parallel()
	var tr trouble
	tr.note(5, "boom")
	p := tr.problem
	require.True(t, tr.write(p, 7))
	tr.written(p, nil)
	require.True(t, tr.solve(5, 5, 8))
	assert.Equal(t, &problem{}, tr.problem)
}
