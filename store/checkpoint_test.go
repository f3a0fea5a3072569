package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCommittedBeside: what a projection has committed by itself leaves no checkpoint to be written, and no timer for one.
func TestCommittedBeside(t *testing.T) {
	t.Parallel()
	s := newSubscription(&hub{}, SubscriptionID{Stream: All, Name: "p"}, SubscribeOptions{CheckpointAfter: time.Second, CheckpointThreshold: 100})
	s.lease.Epoch = 1
	s.mu.Lock()
	s.queue().Skip(1) // it was left out
	s.noteProgress()
	s.asked = true
	s.mu.Unlock()
	require.False(t, s.dirty.IsZero())
	s.committed(2)
	assert.Zero(t, s.dirty)
	assert.False(t, s.asked)

	// A write that hung meanwhile has failed: it is not missed.
	s.saving = true
	s.savedCheckpoint(CheckpointRequest{Epoch: 1, Checkpoint: 1}, assert.AnError)
	assert.NoError(t, s.refused)
	// And one that has not failed takes nothing back.
	s.saving = true
	s.savedCheckpoint(CheckpointRequest{Epoch: 1, Checkpoint: 1}, nil)
	assert.EqualValues(t, 2, s.saved)
}
