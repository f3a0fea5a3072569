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

// exports maps the path of a package to the file of its export data, which the go command keeps in its cache.
type exports map[string]string

// listExports makes the go command compile the packages and everything they import, where its cache lacks them.
func listExports(root string, patterns ...string) (exports, error) {
	cmd := exec.Command("go", append([]string{"list", "-deps", "-export", "-json=ImportPath,Export"}, patterns...)...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("archtest: go list: %w", err)
	}
	all := exports{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath, Export string }
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("archtest: go list: %w", err)
		}
		all[p.ImportPath] = p.Export
	}
}

// importer returns an importer that reads export data.
func (e exports) importer(set *token.FileSet) types.Importer {
	return importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) {
		file, ok := e[path]
		if !ok || file == "" {
			return nil, fmt.Errorf("archtest: no export data of %s", path)
		}
		return os.Open(file)
	})
}

// check parses and type-checks the package in root/dir.
func (e exports) check(root, dir string) (*source, error) {
	names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		texts[filepath.Base(name)] = string(text)
	}
	set := token.NewFileSet()
	return checkFiles(set, module+"/"+dir, texts, e.importer(set))
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
