package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inProse finds paths of this repository in backquotes.
var inProse = regexp.MustCompile("`((?:store|backend|conformance|internal|cmd|examples|serializer|migrate|scripts|docs)/[A-Za-z0-9_./-]+)`")

// TestPathsInProse: the files and folders that the documents name are there.
func TestPathsInProse(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	n := 0
	for _, document := range append(documents, "../../README.md", "../../CONTRIBUTING.md", "../../conformance/INDEX.md") {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		for _, m := range inProse.FindAllStringSubmatch(string(text), -1) {
			if path := m[1]; !strings.Contains(path, "...") {
				n++
				_, err := os.Stat(filepath.Join("../..", path))
				assert.NoError(t, err, "%s names %s", filepath.Base(document), path)
			}
		}
	}
	assert.Greater(t, n, 30)
}
