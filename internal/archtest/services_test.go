package archtest

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// services are the files of the goroutines that the subscriptions of a Store share, and of what these need. They see subscriptions and
// projections through interfaces of their own.
var services = []string{
	"checkpoints.go", "env.go", "env_replica.go", "feed.go", "feed_reader.go", "hints.go", "leases.go", "poll.go",
	"log.go", "observe.go", "pager.go",
}

// TestServices: the services name one another and what is below the engine, but no subscription, projection or hub.
func TestServices(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	watch(t, root)
	packages, err := check(root, "./store")
	require.NoError(t, err)
	s := packages[module+"/store"]
	all := s.arrows()
	for _, file := range services {
		require.Contains(t, s.files, file)
		for to := range all[file] {
			ok := s.room(to) == base || slices.Contains(services, to) || to == "subscribe_options.go" // for DefaultTimeout
			assert.True(t, ok, "%s names in %s: %v", file, to, s.names(arrow{file, to}))
		}
	}
}
