package conformance

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/eventstore-go/eventstore/store"
)

// TestJudge judges the one column of the matrices that no case can reach: a stream that exists and is empty. Nothing
// that this API does leaves one behind, but an import could.
func TestJudge(t *testing.T) {
	empty := store.State{Exists: true}
	for name, c := range map[string]struct {
		expected store.Expected
		conflict bool
	}{
		"any":            {store.Any, false},
		"no stream":      {store.NoStream, false},
		"stream exists":  {store.StreamExists, false},
		"version 0":      {store.Version(0), false},
		"version 1":      {store.Version(1), true},
		"negative":       {store.Version(-1), true},
		"higher version": {store.Version(9), true},
	} {
		t.Run(name, func(t *testing.T) {
			for what, err := range map[string]error{
				"write":       c.expected.Judge("s", empty),
				"soft delete": c.expected.JudgeDelete("s", empty, store.SoftDelete),
				"hard delete": c.expected.JudgeDelete("s", empty, store.HardDelete),
			} {
				if c.conflict {
					assert.ErrorIs(t, err, store.ErrWrongExpectedVersion, what)
				} else {
					assert.NoError(t, err, what)
				}
			}
			disabled := store.DeleteRequest{Stream: "s", Expected: c.expected, Kind: store.HardDelete, Disabled: true}.Judge(empty)
			if c.conflict {
				assert.ErrorIs(t, disabled, store.ErrWrongExpectedVersion)
			} else {
				assert.ErrorIs(t, disabled, store.ErrHardDeleteDisabled)
			}
		})
	}
	deleted := store.State{Exists: true, Deleted: true}
	for _, e := range []store.Expected{store.Any, store.NoStream, store.StreamExists, store.Version(0), store.Version(4)} {
		assert.ErrorIs(t, e.Judge("s", deleted), store.ErrStreamDeleted, e)
		assert.ErrorIs(t, e.JudgeDelete("s", deleted, store.SoftDelete), store.ErrStreamDeleted, e)
	}
}
