package store_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestIndex: each exported name of the package, and each method of Store, stands once in the lists of "For applications" and "For backends",
// with which the package comment begins.
func TestIndex(t *testing.T) {
	t.Parallel()
	pkg, _ := documented(t)
	headings := regexp.MustCompile(`(?m)^# (.*)$`).FindAllStringSubmatch(pkg.Doc, 2)
	require.Len(t, headings, 2)
	assert.Equal(t, "For applications", headings[0][1])
	assert.Equal(t, "For backends", headings[1][1])

	places := map[string]int{}
	for _, list := range []string{"For applications", "For backends"} {
		for _, name := range listed(t, pkg.Doc, list) {
			places[name]++
		}
	}
	var names []string
	values := func(list []*doc.Value) {
		for _, v := range list {
			names = append(names, v.Names...)
		}
	}
	funcs := func(list []*doc.Func) {
		for _, f := range list {
			names = append(names, f.Name)
		}
	}
	values(pkg.Consts)
	values(pkg.Vars)
	funcs(pkg.Funcs)
	for _, typ := range pkg.Types {
		names = append(names, typ.Name)
		values(typ.Consts)
		values(typ.Vars)
		funcs(typ.Funcs)
		if typ.Name == "Store" {
			for _, m := range typ.Methods {
				names = append(names, "Store."+m.Name)
			}
		}
	}
	require.Greater(t, len(names), 200)
	for _, name := range names {
		assert.Equal(t, 1, places[name], "how often %s is listed in doc.go", name)
		delete(places, name)
	}
	assert.Empty(t, places, "these are listed in doc.go, but not exported")
}

// TestContractFiles: what only backends need is marked as such, and is declared in the files of the contract.
func TestContractFiles(t *testing.T) {
	t.Parallel()
	pkg, set := documented(t)
	backends := listed(t, pkg.Doc, "For backends")
	contract := func(file string) bool {
		return strings.HasPrefix(file, "storage") || slices.Contains([]string{"serializer.go", "notifier.go", "observer.go"}, file)
	}
	for _, typ := range pkg.Types {
		file := set.Position(typ.Decl.Pos()).Filename
		_, isInterface := typ.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.InterfaceType)
		first := pkg.Synopsis(typ.Doc)
		words := strings.Join(strings.Fields(typ.Doc), " ")
		_, after, _ := strings.Cut(words, ". ")
		marked := strings.HasPrefix(after, "For backends.")
		switch {
		case !slices.Contains(backends, typ.Name):
			assert.False(t, marked, "%s: the comment says that it is for backends, but doc.go does not list it there", typ.Name)
			assert.False(t, isInterface, "%s: an interface is not for applications", typ.Name)
		case isInterface:
			assert.True(t, contract(file), "%s: the interface is declared in %s", typ.Name, file)
			if strings.HasPrefix(file, "storage") {
				assert.Regexp(t, `is implemented by a|is what a backend implements`, first, "the first sentence of the comment")
			}
		case strings.HasPrefix(file, "storage") || typ.Name == "State":
			assert.True(t, marked, `%s: "For backends." is the second sentence of the comment`, typ.Name)
		default:
			assert.True(t, contract(file), "%s: it is declared in %s", typ.Name, file)
		}
	}
}

// documented returns the package as go doc sees it. File names are without their directory.
func documented(t *testing.T) (*doc.Package, *token.FileSet) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		file, err := parser.ParseFile(set, name, text, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	pkg, err := doc.NewFromFiles(set, files, "github.com/eventstore-go/eventstore/store")
	require.NoError(t, err)
	return pkg, set
}

// listed returns the names in brackets of the list items of a section: those before the first full stop of an item.
func listed(t *testing.T, text, heading string) (names []string) {
	t.Helper()
	_, section, found := strings.Cut(text, "\n# "+heading+"\n")
	require.True(t, found, heading)
	section, _, _ = strings.Cut(section, "\n# ")
	for _, part := range strings.Split(section, "\n  - ")[1:] {
		part, _, _ = strings.Cut(part, "\n\n")
		_, part, found := strings.Cut(part, ": ")
		require.True(t, found, part)
		part, _, _ = strings.Cut(strings.ReplaceAll(part, "\n", " ")+" ", ". ")
		for _, m := range regexp.MustCompile(`\[([A-Za-z.]+)\]`).FindAllStringSubmatch(part, -1) {
			names = append(names, m[1])
		}
	}
	require.NotEmpty(t, names)
	return names
}
