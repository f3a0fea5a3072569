package archtest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mostLines is how long a file may be before it is split along its seam.
const mostLines = 400

// TestLengths: no Go file of the backends and the command line is longer than mostLines.
func TestLengths(t *testing.T) {
	t.Parallel()
	for _, root := range []string{"../../backend", "../../cmd"} {
		n := 0
		require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			n++
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.LessOrEqual(t, bytes.Count(text, []byte("\n")), mostLines, "%s: split it", path)
			return nil
		}))
		assert.Positive(t, n)
	}
}
