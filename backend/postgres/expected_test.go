package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestGroupImpossibleVersion: in a group, too, no stream is at a negative version.
func TestGroupImpossibleVersion(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "there", 1)
	c := gather(t, b)
	there := c.add(t.Context(), "there", store.Version(-1), happened()...)
	absent := c.add(t.Context(), "absent", store.Version(-1), happened()...)
	c.finish()
	require.ErrorIs(t, there.err, store.ErrWrongExpectedVersion)
	require.ErrorIs(t, absent.err, store.ErrWrongExpectedVersion)
	require.Equal(t, []string{"there@1"}, all(t, b))
}
