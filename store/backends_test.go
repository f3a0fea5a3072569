package store_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestInterfacesAreDocumented: "For backends" in doc.go names every exported interface, and the Store looks for no other ones.
func TestInterfacesAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "// # For backends\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "// # ")
	section, _, _ = strings.Cut(section, "\npackage store")
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	set := token.NewFileSet()
	parsed := map[string]*ast.File{}
	for _, name := range files {
		if !strings.HasSuffix(name, "_test.go") {
			parsed[name], err = parser.ParseFile(set, name, nil, 0)
			require.NoError(t, err)
		}
	}
	interfaces := map[string]bool{}
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if _, ok := spec.Type.(*ast.InterfaceType); ok {
					interfaces[spec.Name.Name] = true
				}
			}
			return true
		})
	}
	require.Greater(t, len(interfaces), 10)
	for name := range interfaces {
		if ast.IsExported(name) {
			assert.Contains(t, section, "["+name+"]", "the section names it")
		}
	}
	asserted := 0
	for name, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			var types []ast.Expr
			switch n := n.(type) {
			case *ast.TypeAssertExpr:
				types = append(types, n.Type)
			case *ast.CaseClause:
				types = n.List
			}
			for _, typ := range types {
				for _, part := range namesOf(typ) {
					if part == "" || interfaces[part] && !ast.IsExported(part) {
						t.Errorf("%s: %s looks for an interface that has no exported name", set.Position(typ.Pos()), name)
					}
					asserted++
				}
			}
			return true
		})
	}
	require.Greater(t, asserted, 15)
}

// namesOf returns the name of a type, or the names of what an interface is made of, "" for a method.
func namesOf(typ ast.Expr) []string {
	switch typ := typ.(type) {
	case *ast.Ident:
		return []string{typ.Name}
	case *ast.InterfaceType:
		var names []string
		for _, f := range typ.Methods.List {
			if id, ok := f.Type.(*ast.Ident); ok {
				names = append(names, id.Name)
			} else {
				names = append(names, "")
			}
		}
		return names
	}
	return nil
}
