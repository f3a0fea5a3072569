package archtest

import (
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// listPublic returns the import paths of the packages that users import.
func listPublic(root string) ([]string, error) {
	all, err := list(root, "./...")
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, p := range all {
		private := func(part string) bool { return part == "internal" || part == "cmd" || part == "examples" }
		if !slices.ContainsFunc(strings.Split(p.ImportPath, "/"), private) {
			paths = append(paths, p.ImportPath)
		}
	}
	return paths, nil
}

// publicAPI returns one line for each exported name of a package, with its type, sorted. Constants have their values; fields and methods have lines
// of their own. Comments and names of parameters are left out: a change of these breaks no program.
func publicAPI(pkg *types.Package) []string {
	a := api{pkg: pkg}
	scope := pkg.Scope()
	for _, name := range scope.Names() {
		obj := scope.Lookup(name)
		if !obj.Exported() {
			continue
		}
		switch obj := obj.(type) {
		case *types.Const:
			value := obj.Val().ExactString()
			if obj.Val().Kind() == constant.Float {
				value = obj.Val().String()
			}
			a.add("const %s %s = %s", name, a.typ(obj.Type()), value)
		case *types.Var:
			a.add("var %s %s", name, a.typ(obj.Type()))
		case *types.Func:
			a.add("func %s%s", name, strings.TrimPrefix(a.typ(obj.Type()), "func"))
		case *types.TypeName:
			a.addType(obj)
		}
	}
	slices.Sort(a.lines)
	return a.lines
}

// api collects the lines of a package.
type api struct {
	pkg   *types.Package
	lines []string
}

func (a *api) add(format string, args ...any) {
	a.lines = append(a.lines, fmt.Sprintf(format, args...))
}

func (a *api) addType(obj *types.TypeName) {
	name := obj.Name()
	if obj.IsAlias() {
		a.add("type %s = %s", name, a.typ(types.Unalias(obj.Type())))
		return
	}
	named := obj.Type().(*types.Named)
	if params := named.TypeParams(); params.Len() > 0 {
		var list []string
		for p := range params.TypeParams() {
			list = append(list, p.Obj().Name()+" "+a.typ(p.Constraint()))
		}
		a.add("type %s[%s]", name, strings.Join(list, ", "))
	}
	switch u := named.Underlying().(type) {
	case *types.Struct:
		a.add("type %s struct", name)
		for f := range u.Fields() {
			if f.Embedded() && f.Exported() {
				a.add("type %s struct, embedded %s", name, a.typ(f.Type()))
			} else if f.Exported() {
				a.add("type %s struct, %s %s", name, f.Name(), a.typ(f.Type()))
			}
		}
	case *types.Interface:
		a.add("type %s interface", name)
		for m := range u.Methods() {
			if m.Exported() {
				a.add("type %s interface, %s%s", name, m.Name(), strings.TrimPrefix(a.typ(m.Type()), "func"))
			} else {
				a.add("type %s interface, unexported methods", name)
			}
		}
	default:
		a.add("type %s %s", name, a.typ(u))
	}
	if types.IsInterface(named) {
		return
	}
	direct := types.NewMethodSet(named)
	for s := range types.NewMethodSet(types.NewPointer(named)).Methods() {
		m, ok := s.Obj().(*types.Func)
		if !ok || !m.Exported() || promoted(named, s.Index()) {
			continue
		}
		receiver := name
		if direct.Lookup(m.Pkg(), m.Name()) == nil {
			receiver = "*" + name
		}
		a.add("method (%s) %s%s", receiver, m.Name(), strings.TrimPrefix(a.typ(m.Type()), "func"))
	}
}

// promoted reports whether a method, found by the index of a selection, is that of an exported type which a struct embeds: it is listed there.
func promoted(t types.Type, index []int) bool {
	str, ok := t.Underlying().(*types.Struct)
	return ok && len(index) > 1 && str.Field(index[0]).Exported()
}

// typ returns a type as the package's own source writes it, without the names of parameters and results.
func (a *api) typ(t types.Type) string {
	return types.TypeString(unnamed(t), func(p *types.Package) string {
		if p == a.pkg {
			return ""
		}
		return p.Name()
	})
}

// unnamed returns the type without the names of parameters and results, where it is a function.
func unnamed(t types.Type) types.Type {
	f, ok := t.(*types.Signature)
	if !ok {
		return t
	}
	if f.TypeParams().Len() > 0 { // they belong to f alone
		return f
	}
	tuple := func(t *types.Tuple) *types.Tuple {
		var list []*types.Var
		for v := range t.Variables() {
			list = append(list, types.NewParam(token.NoPos, v.Pkg(), "", unnamed(v.Type())))
		}
		return types.NewTuple(list...)
	}
	return types.NewSignatureType(nil, nil, nil, tuple(f.Params()), tuple(f.Results()), f.Variadic())
}
