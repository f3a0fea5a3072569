package archtest

import (
	"flag"
	"go/importer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files")

// TestPublicAPI: the exported names and signatures of the packages that users import are those of testdata/api. A change of the API changes a
// file there, so that it is seen in the review.
func TestPublicAPI(t *testing.T) {
	t.Parallel()
	const golden = "testdata/api"
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	watch(t, root)
	paths, err := listPublic(root)
	require.NoError(t, err)
	packages, err := check(root, paths...)
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.RemoveAll(golden))
	}
	want := map[string]bool{}
	for _, path := range paths {
		name := filepath.Join(golden, filepath.FromSlash(relative(path))+".txt")
		want[name] = true
		lines := publicAPI(packages[path].pkg)
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
			require.NoError(t, os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
		}
		file, err := os.ReadFile(name)
		require.NoError(t, err, "a new package? Run go test ./internal/archtest -update")
		before := strings.Split(strings.TrimSuffix(string(file), "\n"), "\n")
		var diff []string
		for _, line := range before {
			if !slices.Contains(lines, line) {
				diff = append(diff, "-"+line)
			}
		}
		for _, line := range lines {
			if !slices.Contains(before, line) {
				diff = append(diff, "+"+line)
			}
		}
		assert.Empty(t, strings.Join(diff, "\n"), "the API of %s has changed; if it should, run go test ./internal/archtest -update and add a line to CHANGELOG.md", path)
	}
	require.NoError(t, filepath.WalkDir(golden, func(path string, d fs.DirEntry, err error) error {
		assert.True(t, err != nil || d.IsDir() || want[path], "%s is of no package", path)
		return err
	}))
}

func TestPublicAPILines(t *testing.T) {
	t.Parallel()
	const text = `package small
import "context"
const Max, hidden = 3, 4
const Name T = "n"
var Err error
func F(ctx context.Context, f func(a, b int) (n int, err error), more ...string) (S, error) { panic(f) }
func G[V any](v V) V { return v }
func h() {}
type T string
func (t T) A() {}
func (t *T) B(n int) *T { return t }
func (t T) c() {}
type inner struct{}
func (inner) Up() {}
type Outer struct { X int }
func (Outer) Listed() {}
type S struct {
	N int
	n int
	inner
	Outer
}
type I interface { M(x int) error; private() }
type Func func(name string) I
type L[K comparable] []K
type Same = S
`
	pkg, err := checkFiles(token.NewFileSet(), "small", map[string]string{"small.go": text}, importer.Default())
	require.NoError(t, err)
	assert.Equal(t, []string{
		"const Max untyped int = 3",
		`const Name T = "n"`,
		"func F(context.Context, func(int, int) (int, error), ...string) (S, error)",
		"func G[V any](v V) V",
		"method (*T) B(int) *T",
		"method (Outer) Listed()",
		"method (S) Up()",
		"method (T) A()",
		"type Func func(string) I",
		"type I interface",
		"type I interface, M(int) error",
		"type I interface, unexported methods",
		"type L []K",
		"type L[K comparable]",
		"type Outer struct",
		"type Outer struct, X int",
		"type S struct",
		"type S struct, N int",
		"type S struct, embedded Outer",
		"type Same = S",
		"type T string",
		"var Err error",
	}, publicAPI(pkg.pkg))
}
