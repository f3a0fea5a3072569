package archtest

import (
	"cmp"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// A room is a layer of package store. A file names files of its own room and of the rooms below it.
type room int

const (
	base   room = iota // words (events, expected versions, errors) and the contract with backends
	engine             // what runs subscriptions and projections, and what it is made of
	face               // the methods of Store
)

func (r room) String() string { return [...]string{"base", "engine", "face"}[r] }

// baseFiles are the files of the room base. A name that ends in "_" or in no ".go" stands for all files that begin with it.
var baseFiles = []string{
	"doc.go", "errors.go", "event.go", "expected.go", "limits.go", "notifier.go", "observer.go", "same_json.go", "seen.go", "serializer.go", "state.go",
	"storage", "subscription_state.go",
}

// room returns the room of a file. A file with a method of Store, or with Store itself, is of the face.
func (s *source) room(file string) room {
	if slices.ContainsFunc(baseFiles, func(name string) bool {
		return file == name || !strings.HasSuffix(name, ".go") && strings.HasPrefix(file, name)
	}) {
		return base
	}
	for _, d := range s.files[file].Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv != nil && receiver(d.Recv.List[0].Type) == "Store" {
				return face
			}
		case *ast.GenDecl:
			if d.Tok == token.TYPE && slices.ContainsFunc(d.Specs, func(spec ast.Spec) bool { return spec.(*ast.TypeSpec).Name.Name == "Store" }) {
				return face
			}
		}
	}
	return engine
}

// receiver returns the name of the type of a receiver.
func receiver(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// up returns the arrows from a room to the rooms above it, sorted.
func (s *source) up(from room) []arrow {
	var list []arrow
	for file, tos := range s.arrows() {
		if s.room(file) != from {
			continue
		}
		for to := range tos {
			if s.room(to) > from {
				list = append(list, arrow{file, to})
			}
		}
	}
	slices.SortFunc(list, func(a, b arrow) int { return cmp.Or(strings.Compare(a.from, b.from), strings.Compare(a.to, b.to)) })
	return list
}
