package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const module = "github.com/eventstore-go/eventstore"

// source is the type-checked source of one package, without its tests.
type source struct {
	set   *token.FileSet
	files map[string]*ast.File // by base name
	pkg   *types.Package
	info  *types.Info
}

// listed is a package as go list shows it.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles, Imports        []string
}

// list runs go list in root, the root of the module.
func list(root string, args ...string) ([]listed, error) {
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Export,GoFiles,Imports"}, args...)...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("archtest: go list: %w", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("archtest: go list: %w", err)
		}
		all = append(all, p)
	}
}

// ours reports whether a package is in this module.
func ours(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

// check type-checks the packages of this module that the patterns name, and those that they import, from their source. Of other modules and the
// standard library it reads what the compiler has exported, which the go command keeps in its cache. The result is by import path.
func check(root string, patterns ...string) (map[string]*source, error) {
	all, err := list(root, append([]string{"-deps"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p listed) bool { return !ours(p.ImportPath) })
	var others []string
	for _, p := range all {
		for _, path := range p.Imports {
			if !ours(path) && path != "unsafe" && path != "C" {
				others = append(others, path)
			}
		}
	}
	slices.Sort(others)
	compiled, err := list(root, append([]string{"-export"}, slices.Compact(others)...)...)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, p := range compiled {
		exports[p.ImportPath] = p.Export
	}
	set := token.NewFileSet()
	checked := map[string]*source{}
	exported := importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	imports := importFunc(func(path string) (*types.Package, error) {
		if s, ok := checked[path]; ok {
			return s.pkg, nil
		}
		return exported.Import(path)
	})
	for _, p := range all { // those that a package imports come before it
		texts := map[string]string{}
		for _, name := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				return nil, err
			}
			texts[name] = string(text)
		}
		if checked[p.ImportPath], err = checkFiles(set, p.ImportPath, texts, imports); err != nil {
			return nil, err
		}
	}
	return checked, nil
}

// checkFiles parses and type-checks a package whose files it is given by name.
func checkFiles(set *token.FileSet, path string, texts map[string]string, imports types.Importer) (*source, error) {
	s := &source{set: set, files: map[string]*ast.File{}, info: &types.Info{Uses: map[*ast.Ident]types.Object{}}}
	var files []*ast.File
	for name, text := range texts {
		file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.files[name], files = file, append(files, file)
	}
	var err error
	s.pkg, err = (&types.Config{Importer: imports}).Check(path, set, files, s.info)
	return s, err
}

// file returns the base name of the file that has the position.
func (s *source) file(pos token.Pos) string { return s.set.Position(pos).Filename }

type importFunc func(path string) (*types.Package, error)

func (f importFunc) Import(path string) (*types.Package, error) { return f(path) }
