package archtest

import (
	"cmp"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCeilings prints the figures of package store with -v. A figure above its ceiling fails the test.
func TestCeilings(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	watch(t, root)
	packages, err := check(root, "./store")
	require.NoError(t, err)
	s := packages[module+"/store"]

	t.Logf("package store has %d files, %d lines", len(s.files), s.lines())
	figures := s.figures()
	for _, c := range ceilings {
		n, ok := figures[c.figure]
		switch {
		case !ok:
			t.Logf("%4s %s: not there any more; remove the ceiling of %d", "", c.figure, c.most)
		case n > c.most:
			t.Errorf("%4d %s: above the ceiling of %d", n, c.figure, c.most)
		case n < c.most:
			t.Logf("%4d %s: lower the ceiling of %d", n, c.figure, c.most)
		default:
			t.Logf("%4d %s", n, c.figure)
		}
	}
	all := s.arrows()
	t.Logf("pairs of the engine:\n\t%s", strings.Join(all.within(ofEngine).pairs(), "\n\t"))
	shapes := s.shapes()
	largest := slices.SortedFunc(maps.Keys(shapes), func(a, b string) int { return cmp.Or(shapes[b].fields-shapes[a].fields, strings.Compare(a, b)) })
	for _, name := range largest[:min(12, len(largest))] {
		t.Logf("%s has %d fields, %d booleans, %d errors", name, shapes[name].fields, shapes[name].booleans, shapes[name].errors)
	}
	for _, from := range []room{base, engine} {
		for _, a := range s.up(from) {
			t.Logf("up from the %s: %s names in %s: %s", from, a.from, a.to, strings.Join(s.names(a), ", "))
		}
	}
	t.Logf("largest cycle:\n\t%s", strings.Join(all.cycle(), "\n\t"))
}

// small is a package of five files. a and b name each other; c, d and e lead to each other in a ring, of which a names one.
var small = map[string]string{
	"a.go": `package small; type A struct { b B; on, off bool; why error }; func (a A) F() { _ = c }`,
	"b.go": `package small; type B int; func (b B) G(a A) { a.F() }`,
	"c.go": `package small; var c = func() int { return d() }`,
	"d.go": `package small; func d() int { return E{}.n }`,
	"e.go": `package small; type E struct { n int; f func(a int) }; var e = func() { _ = c; var own int; _ = own }`,
}

func TestFigures(t *testing.T) {
	t.Parallel()
	s, err := checkFiles(token.NewFileSet(), "small", small, nil)
	require.NoError(t, err)
	all := s.arrows()
	assert.Equal(t, arrows{
		"a.go": {"b.go": true, "c.go": true}, "b.go": {"a.go": true}, "c.go": {"d.go": true}, "d.go": {"e.go": true}, "e.go": {"c.go": true},
	}, all)
	assert.Equal(t, 6, all.count())
	assert.Equal(t, []string{"a.go and b.go"}, all.pairs())
	assert.Equal(t, []string{"c.go", "d.go", "e.go"}, all.cycle())

	part := all.within(func(file string) bool { return file != "d.go" })
	assert.Equal(t, 4, part.count())
	assert.Equal(t, []string{"a.go", "b.go"}, part.cycle())
	delete(part["b.go"], "a.go")
	assert.Empty(t, part.pairs())
	assert.Nil(t, part.cycle(), "a file alone is no cycle")

	sh, ok := s.shape("A")
	assert.True(t, ok)
	assert.Equal(t, shape{fields: 4, booleans: 2, errors: 1}, sh)
	for _, name := range []string{"B", "c", "none"} {
		_, ok = s.shape(name)
		assert.False(t, ok, name)
	}
	assert.Equal(t, 5, s.lines())
}

func TestShapes(t *testing.T) {
	t.Parallel()
	s, err := checkFiles(token.NewFileSet(), "small", map[string]string{
		"feed.go":  `package small; type feed struct { a, b bool; c int }; type tally int; type FeedOptions struct { d bool }`,
		"event.go": `package small; type event struct { on bool }`,
	}, nil)
	require.NoError(t, err)
	assert.Equal(t, map[string]shape{"feed": {fields: 3, booleans: 2}}, s.shapes())
	assert.Equal(t, 3, s.figures()["fields of the largest struct of the engine"])
	assert.Equal(t, 2, s.figures()["booleans of all structs of the engine"])
	assert.Equal(t, 3, s.figures()["fields of feed"])
	assert.NotContains(t, s.figures(), "fields of hub")
}

func TestRooms(t *testing.T) {
	t.Parallel()
	s, err := checkFiles(token.NewFileSet(), "small", map[string]string{
		"event.go":         `package small; type Event int`,
		"storage_small.go": `package small; type Storage interface { Read() Event }; var Bad = worker{}`,
		"worker.go":        `package small; type worker struct { s *Store }; func (w worker) run() { w.s.Read(); w.s.hidden() }`,
		"hidden.go":        `package small; func (s *Store) hidden() {}; func Func() { _ = worker{} }`,
		"store.go":         `package small; type Store struct { Storage }`,
		"read.go":          `package small; func (s Store) Read() Event { worker{}.run(); return 0 }`,
	}, nil)
	require.NoError(t, err)
	for file, want := range map[string]room{
		"event.go": base, "storage_small.go": base, "worker.go": engine, "hidden.go": face, "store.go": face, "read.go": face,
	} {
		assert.Equal(t, want, s.room(file), file)
	}
	assert.Equal(t, []arrow{{"storage_small.go", "worker.go"}}, s.up(base))
	assert.Equal(t, []arrow{{"worker.go", "hidden.go"}, {"worker.go", "read.go"}, {"worker.go", "store.go"}}, s.up(engine))
	assert.Equal(t, []string{"Store"}, s.names(arrow{"worker.go", "store.go"}))
	assert.Empty(t, s.up(face))
}
