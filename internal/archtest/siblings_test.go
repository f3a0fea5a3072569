package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outline maps each file of a backend to the names that it declares, in order: "Backend.Append", "New". The file named after the
// package is called backend.go. queries.sql declares its statements. Test files are left out.
type outline map[string][]string

// Files that only one of the two SQL backends has, each with its reason.
var (
	onlyPostgres = map[string]string{
		"activity.go":     "many stores share a database",
		"adopt.go":        "function bodies name the schema, and a schema can be renamed",
		"append_group.go": "a group of appends is one statement with one argument per column; SQLite runs them one by one in a transaction",
		"batch.go":        "the events of an append travel as one argument per column, because a statement costs a round trip",
		"convert.go":      "the column type for data is an option",
		"gate.go":         "writes to different streams run at the same time; those to one stream wait in the process",
		"jsonb.go":        "jsonb rejects some JSON",
		"large.go":        "large values are fetched separately, to bound the memory of an answer",
		"log.go":          "a position is a row of the table log; in SQLite it is a column of the event",
		"lost.go":         "connections to a server break",
		"names.go":        "stream names are cached, to keep plans simple",
		"pooler.go":       "a pooler may stand before the server",
		"poolererror.go":  "a pooler may stand before the server",
		"replica.go":      "reads may go to a standby",
		"tick.go":         "positions are assigned after the commit",
	}
	onlySQLite = map[string]string{
		"dsn.go": "the backend's settings are part of the data source name",
	}
)

// TestSiblings: both SQL backends have the same files, and the declarations that both have come in the same file and order.
func TestSiblings(t *testing.T) {
	t.Parallel()
	postgres, sqlite := outlineOf(t, "../../backend/postgres"), outlineOf(t, "../../backend/sqlite")
	assert.Empty(t, strings.Join(unlike(postgres, sqlite, onlyPostgres, onlySQLite), "\n"))
	both := 0
	for _, names := range filesOf(postgres) {
		both += len(names)
	}
	assert.Greater(t, both, 300, "declarations of backend/postgres")
}

// TestMemoryIsASibling: what the backend in memory exports stands in the file of the same name as in the others.
func TestMemoryIsASibling(t *testing.T) {
	t.Parallel()
	here, there := filesOf(outlineOf(t, "../../backend/memory")), filesOf(outlineOf(t, "../../backend/sqlite"))
	n := 0
	for name, file := range here {
		if _, method, ok := strings.Cut(name, "."); ok && token.IsExported(method) && there[name] != "" {
			n++
			assert.Equal(t, there[name], file, name)
		}
	}
	assert.Greater(t, n, 20)
}

// TestSiblingsCanFail changes one of two backends that are alike.
func TestSiblingsCanFail(t *testing.T) {
	t.Parallel()
	one := func() outline {
		return outline{"backend.go": {"Options", "New", "Backend.Close"}, "read.go": {"Backend.ReadAll", "page", "Backend.Head"}}
	}
	same := one()
	same["read.go"] = []string{"Backend.ReadAll", "other", "Backend.Head"}
	require.Empty(t, unlike(one(), same, nil, nil), "a declaration that only one has is allowed")
	for _, bad := range []struct {
		change func(o outline)
		want   string
	}{
		{func(o outline) { o["tick.go"] = []string{"tick"} }, "only backend/sqlite has tick.go"},
		{func(o outline) { delete(o, "gone.go") }, "gone.go is listed, but is not a file of backend/postgres alone"},
		{func(o outline) { o["gone.go"] = nil }, "gone.go is listed, but is not a file of backend/postgres alone"},
		{func(o outline) { slices.Reverse(o["read.go"]) }, "read.go: backend/sqlite has Backend.Head before Backend.ReadAll"},
		{func(o outline) {
			o["read.go"] = o["read.go"][1:]
			o["backend.go"] = append(o["backend.go"], "Backend.ReadAll")
		}, "Backend.ReadAll stands in read.go of backend/postgres, in backend.go of backend/sqlite"},
	} {
		other := one()
		bad.change(other)
		assert.Contains(t, strings.Join(unlike(one(), other, map[string]string{"gone.go": "it was"}, nil), "\n"), bad.want)
	}
}

// unlike returns one line per difference between the backends. Listed files are excused.
func unlike(postgres, sqlite outline, onlyPostgres, onlySQLite map[string]string) (found []string) {
	alone := func(name string, mine, others outline, excused map[string]string) {
		for _, file := range slices.Sorted(maps.Keys(mine)) {
			if _, both := others[file]; !both && excused[file] == "" {
				found = append(found, "only "+name+" has "+file+": use the same file name in both, or list the file with a reason")
			}
		}
		for _, file := range slices.Sorted(maps.Keys(excused)) {
			_, here := mine[file]
			if _, there := others[file]; !here || there {
				found = append(found, file+" is listed, but is not a file of "+name+" alone")
			}
		}
	}
	alone("backend/postgres", postgres, sqlite, onlyPostgres)
	alone("backend/sqlite", sqlite, postgres, onlySQLite)
	in, other := filesOf(postgres), filesOf(sqlite)
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if file, both := other[name]; both && file != in[name] {
			found = append(found, name+" stands in "+in[name]+" of backend/postgres, in "+file+" of backend/sqlite")
		}
	}
	for _, file := range slices.Sorted(maps.Keys(postgres)) {
		shared := func(o, than outline) []string {
			return slices.DeleteFunc(slices.Clone(o[file]), func(name string) bool { return !slices.Contains(than[file], name) })
		}
		a, b := shared(postgres, sqlite), shared(sqlite, postgres)
		for i := range a {
			if a[i] != b[i] {
				found = append(found, file+": backend/sqlite has "+b[i]+" before "+a[i]+", backend/postgres has it after")
				break
			}
		}
	}
	return found
}

// filesOf maps each name to its file.
func filesOf(o outline) map[string]string {
	in := map[string]string{}
	for file, names := range o {
		for _, name := range names {
			in[name] = file
		}
	}
	return in
}

// outlineOf reads a folder.
func outlineOf(t *testing.T, folder string) outline {
	t.Helper()
	o := outline{}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		switch {
		case strings.HasSuffix(path, "_test.go"):
		case e.Name() == filepath.Base(folder)+".go":
			o["backend.go"] = goNames(t, path)
		case strings.HasSuffix(path, ".go"):
			o[e.Name()] = goNames(t, path)
		case strings.HasSuffix(path, ".sql"):
			o[e.Name()] = sqlNames(t, path)
		}
	}
	return o
}

// goNames returns what a Go file declares at its top.
func goNames(t *testing.T, path string) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = append(names, receiverName(d)+d.Name.Name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "_" || name == "init" })
}

// receiverName returns the type of a method and a dot, or nothing for a function.
func receiverName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	of := d.Recv.List[0].Type
	for {
		switch x := of.(type) {
		case *ast.StarExpr:
			of = x.X
		case *ast.IndexExpr:
			of = x.X
		case *ast.Ident:
			return x.Name + "."
		default:
			return ""
		}
	}
}

// sqlNames returns the names of the statements of a file of queries.
func sqlNames(t *testing.T, path string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "-- name: "); ok {
			names = append(names, "statement "+strings.TrimSpace(name))
		}
	}
	return names
}
