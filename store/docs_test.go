package store_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocsListings: the examples run what the pages show.
func TestDocsListings(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("example_docs_test.go")
	require.NoError(t, err)
	page, err := os.ReadFile("../docs/projections.md")
	require.NoError(t, err)
	for _, heading := range []string{"## Ten lines", "## One handler per type"} {
		_, section, found := strings.Cut(string(page), "\n"+heading+"\n")
		require.True(t, found, heading)
		section, _, _ = strings.Cut(section, "\n## ")
		_, listing, found := strings.Cut(section, "```go\n")
		require.True(t, found, heading)
		listing, _, _ = strings.Cut(listing, "```")
		require.Contains(t, unindented(string(source)), unindented(listing), heading)
	}
}

// unindented is a text without the white space at the beginning of its lines.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "\t")
	}
	return strings.Join(lines, "\n")
}
