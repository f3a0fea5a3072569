package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGroupingIsStill: the machine of group commit computes only, as those of package store do.
func TestGroupingIsStill(t *testing.T) {
	t.Parallel()
	const folder = "./backend/postgres/internal/grouping"
	imports := load(t)[folder]
	require.NotEmpty(t, imports)
	for _, to := range imports {
		assert.True(t, within(to, computes), "%s imports %s", folder, to)
	}
	files, err := filepath.Glob(filepath.Join("../..", folder, "*.go"))
	require.NoError(t, err)
	n := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		n++
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		found, err := impurities(file, string(text))
		require.NoError(t, err)
		assert.Empty(t, strings.Join(found, "\n"))
	}
	assert.Positive(t, n)
}
