package archtest

import (
	"go/types"
	"maps"
	"slices"
	"strings"
)

// A ceiling is the highest value that a figure of package store may have. Ceilings only fall: when a change makes a figure lower, lower its
// ceiling too.
type ceiling struct {
	figure string
	most   int
}

// ceilings come in the order in which TestCeilings prints them. What each figure counts stands at figures.
var ceilings = []ceiling{
	{"arrows between files", 580},
	{"pairs of files that name each other", 15},
	{"files in the largest cycle", 10},
	{"arrows between files of the engine", 211},
	{"pairs of files of the engine", 9},
	{"files in the largest cycle of the engine", 10},
	{"files in the largest cycle above the base", 10},
	{"arrows up from the base", 0},
	{"arrows up from the engine", 0},
	{"fields of the largest struct of the engine", 17},
	{"booleans of all structs of the engine", 17},
	{"fields of subscription", 17},
	{"booleans of subscription", 0},
	{"errors of subscription", 1},
	{"fields of Subscriber", 6},
	{"booleans of Subscriber", 2},
	{"fields of worker", 5},
	{"booleans of worker", 0},
	{"fields of projector", 9},
	{"booleans of projector", 1},
	{"fields of feed", 7},
	{"booleans of feed", 1},
	{"fields of leases", 7},
	{"booleans of leases", 1},
	{"fields of hub", 10},
	{"booleans of hub", 1},
}

// engineFiles is how the names of the files begin that run subscriptions and projections.
var engineFiles = []string{
	"aside", "callbacks", "checkpoints", "consume", "env", "feed", "handling", "hub", "leases", "parked", "poll.", "progress", "project", "retry", "subscri",
	"wait", "watch",
}

// ofEngine reports whether a file is part of the engine.
func ofEngine(file string) bool {
	return slices.ContainsFunc(engineFiles, func(prefix string) bool { return strings.HasPrefix(file, prefix) })
}

// figures counts what the ceilings are about. A struct that is gone has none.
func (s *source) figures() map[string]int {
	all := s.arrows()
	inside := all.within(ofEngine)
	figures := map[string]int{
		"arrows between files":                      all.count(),
		"pairs of files that name each other":       len(all.pairs()),
		"files in the largest cycle":                len(all.cycle()),
		"arrows between files of the engine":        inside.count(),
		"pairs of files of the engine":              len(inside.pairs()),
		"files in the largest cycle of the engine":  len(inside.cycle()),
		"files in the largest cycle above the base": len(all.within(func(file string) bool { return s.room(file) != base }).cycle()),
		"arrows up from the base":                   len(s.up(base)),
		"arrows up from the engine":                 len(s.up(engine)),
	}
	for _, sh := range s.shapes() {
		figures["fields of the largest struct of the engine"] = max(figures["fields of the largest struct of the engine"], sh.fields)
		figures["booleans of all structs of the engine"] += sh.booleans
	}
	for _, c := range ceilings {
		what, name, ok := strings.Cut(c.figure, " of ")
		if !ok {
			continue
		}
		if sh, ok := s.shape(name); ok {
			if n, ok := map[string]int{"fields": sh.fields, "booleans": sh.booleans, "errors": sh.errors}[what]; ok {
				figures[c.figure] = n
			}
		}
	}
	return figures
}

// An arrow leads from a file to one that it names.
type arrow struct{ from, to string }

// names returns what the first file of an arrow names in the second one, sorted.
func (s *source) names(a arrow) []string {
	names := map[string]bool{}
	for id, obj := range s.info.Uses {
		if obj.Pkg() == s.pkg && obj.Pos().IsValid() && s.file(id.Pos()) == a.from && s.file(obj.Pos()) == a.to {
			names[obj.Name()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// arrows maps each file of a package to the files that it names: those that declare a package-level identifier, a method or a field that it
// uses.
type arrows map[string]map[string]bool

// arrows returns the arrows between the files of s.
func (s *source) arrows() arrows {
	a := arrows{}
	for name := range s.files {
		a[name] = map[string]bool{}
	}
	for id, obj := range s.info.Uses {
		if obj.Pkg() != s.pkg || !obj.Pos().IsValid() {
			continue
		}
		if from, to := s.file(id.Pos()), s.file(obj.Pos()); from != to {
			a[from][to] = true
		}
	}
	return a
}

// within returns the arrows between the files for which keep returns true.
func (a arrows) within(keep func(file string) bool) arrows {
	kept := arrows{}
	for from, tos := range a {
		if !keep(from) {
			continue
		}
		kept[from] = map[string]bool{}
		for to := range tos {
			if keep(to) {
				kept[from][to] = true
			}
		}
	}
	return kept
}

// count returns the number of arrows.
func (a arrows) count() (n int) {
	for _, to := range a {
		n += len(to)
	}
	return n
}

// pairs returns the files that name each other, sorted.
func (a arrows) pairs() []string {
	var list []string
	for from, tos := range a {
		for to := range tos {
			if from < to && a[to][from] {
				list = append(list, from+" and "+to)
			}
		}
	}
	slices.Sort(list)
	return list
}

// cycle returns the largest set of files in which each file leads to each other one, sorted. It is nil if no set has two files. The algorithm
// is Tarjan's for strongly connected components.
func (a arrows) cycle() []string {
	var (
		index, low = map[string]int{}, map[string]int{}
		stack      []string
		largest    []string
		visit      func(file string)
	)
	visit = func(file string) {
		index[file] = len(index) + 1
		low[file] = index[file]
		stack = append(stack, file)
		for _, to := range slices.Sorted(maps.Keys(a[file])) {
			if index[to] == 0 {
				visit(to)
				low[file] = min(low[file], low[to])
			} else if slices.Contains(stack, to) {
				low[file] = min(low[file], index[to])
			}
		}
		if low[file] < index[file] {
			return
		}
		at := slices.Index(stack, file)
		if part := stack[at:]; len(part) > max(1, len(largest)) {
			largest = slices.Clone(part)
		}
		stack = stack[:at]
	}
	for _, file := range slices.Sorted(maps.Keys(a)) {
		if index[file] == 0 {
			visit(file)
		}
	}
	slices.Sort(largest)
	return largest
}

// shape counts the fields of a struct. An atomic.Bool is a boolean.
type shape struct{ fields, booleans, errors int }

// shape returns the shape of the struct called name, and whether there is one.
func (s *source) shape(name string) (sh shape, ok bool) {
	obj := s.pkg.Scope().Lookup(name)
	if obj == nil {
		return shape{}, false
	}
	str, ok := obj.Type().Underlying().(*types.Struct)
	if !ok {
		return shape{}, false
	}
	for f := range str.Fields() {
		sh.fields++
		switch types.TypeString(f.Type(), nil) {
		case "bool", "sync/atomic.Bool":
			sh.booleans++
		case "error":
			sh.errors++
		}
	}
	return sh, true
}

// shapes returns the shapes of the engine's structs, by name. Options and other exported structs are left out: users fill them in.
func (s *source) shapes() map[string]shape {
	all := map[string]shape{}
	for _, name := range s.pkg.Scope().Names() {
		obj := s.pkg.Scope().Lookup(name)
		if obj.Exported() && name != "Subscriber" || !ofEngine(s.file(obj.Pos())) {
			continue
		}
		if sh, ok := s.shape(name); ok {
			all[name] = sh
		}
	}
	return all
}

// lines returns the number of lines of all files.
func (s *source) lines() (n int) {
	for _, f := range s.files {
		n += s.set.File(f.FileStart).LineCount()
	}
	return n
}
