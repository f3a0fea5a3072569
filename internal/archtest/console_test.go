package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// operations are the packages of the program that return values, for the command line and any other front end. They do not print.
var operations = []string{
	"./cmd/eventstore/internal/doctor",
	"./cmd/eventstore/internal/readers",
	"./cmd/eventstore/internal/stats",
	"./cmd/eventstore/internal/verify",
}

// terminals are packages of a command line, each for itself and all below it.
var terminals = []string{
	"flag", "os/signal", "text/tabwriter", "golang.org/x/term", "golang.org/x/sys", "github.com/spf13", "./cmd/eventstore/internal/cli",
}

// TestOperations: the operations, and what they import of the program, import nothing of a command line. The operations do not print, and
// their texts name no flag and no command.
func TestOperations(t *testing.T) {
	t.Parallel()
	g := load(t)
	for _, root := range operations {
		require.NotEmpty(t, g[root], "%s: the rule names a package that does not exist", root)
		assert.Empty(t, strings.Join(terminalImports(g, root), "\n"))
		files, err := filepath.Glob(filepath.Join("../..", root, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			found, err := terminalWords(file, string(text))
			require.NoError(t, err)
			assert.Empty(t, strings.Join(found, "\n"))
		}
	}
}

func TestOperationsCanFail(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"flag", "github.com/spf13/cobra", "golang.org/x/term", "./cmd/eventstore/internal/cli"} {
		g := graph{
			"./cmd/eventstore/internal/doctor":   {"fmt", "./cmd/eventstore/internal/database", "./store"},
			"./cmd/eventstore/internal/database": {"os", to},
			"./store":                            {"flag"}, // other rules are about that
		}
		assert.Equal(t, []string{"./cmd/eventstore/internal/database imports " + to + ": ./cmd/eventstore/internal/doctor has no terminal"},
			terminalImports(g, "./cmd/eventstore/internal/doctor"))
	}
	for text, want := range map[string]string{
		`import "fmt"; func f() { fmt.Println() }`:                              "bad.go:2:26: fmt.Println prints",
		`import "os"; var out = os.Stdout`:                                      "os.Stdout is of a terminal",
		`import "io"; func F(w io.Writer) {}`:                                   "io.Writer: return values instead",
		`const advice = "set --schema"`:                                         `"set --schema" is of a command line`,
		"const advice = \"run `eventstore migrate`\"":                           "is of a command line",
		`const red = "\x1b[31m"`:                                                "is of a terminal",
		`import "fmt"; func f() string { return fmt.Sprint("a -- b", "x--y") }`: "",
	} {
		found, err := terminalWords("bad.go", "package bad\n"+text)
		require.NoError(t, err)
		if want == "" {
			assert.Empty(t, found)
		} else {
			assert.Contains(t, strings.Join(found, "\n"), want)
		}
	}
}

// terminalImports returns the imports of a command line that root has, itself or through packages of the program.
func terminalImports(g graph, root string) (found []string) {
	seen := map[string]bool{root: true}
	for list := []string{root}; len(list) > 0; list = list[1:] {
		for _, to := range g[list[0]] {
			switch {
			case within(to, terminals):
				found = append(found, fmt.Sprintf("%s imports %s: %s has no terminal", list[0], to, root))
			case within(to, programs) && !seen[to]:
				seen[to] = true
				list = append(list, to)
			}
		}
	}
	slices.Sort(found)
	return found
}

var (
	// selectors is what prints, or what is printed to.
	selectors = map[string]string{
		"fmt.Print": "prints", "fmt.Printf": "prints", "fmt.Println": "prints", "fmt.Fprint": "prints", "fmt.Fprintf": "prints", "fmt.Fprintln": "prints",
		"os.Stdin": "is of a terminal", "os.Stdout": "is of a terminal", "os.Stderr": "is of a terminal", "io.Writer": ": return values instead",
	}
	commandLine = regexp.MustCompile("(^|[^-\\w])--[a-z]|`eventstore ")
)

// terminalWords returns one line for each place of a file that prints, or whose text is for a terminal.
func terminalWords(name, text string) (found []string, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				of := x.Name + "." + n.Sel.Name
				if why := selectors[of]; why != "" {
					found = append(found, strings.ReplaceAll(fmt.Sprintf("%s: %s %s", set.Position(n.Pos()), of, why), " : ", ": "))
				}
			}
		case *ast.BasicLit:
			value, err := strconv.Unquote(n.Value)
			switch {
			case n.Kind != token.STRING || err != nil:
			case strings.Contains(value, "\x1b"):
				found = append(found, fmt.Sprintf("%s: %q is of a terminal", set.Position(n.Pos()), value))
			case commandLine.MatchString(value):
				found = append(found, fmt.Sprintf("%s: %q is of a command line", set.Position(n.Pos()), value))
			}
		}
		return true
	})
	return found, nil
}
