package archtest

import (
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBackendDocs: the package comment of a backend opens with a program, its constructor, its options with all their fields, and every
// interface of package store that it implements, because go doc shows the comment first.
func TestBackendDocs(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	watch(t, root)
	packages, err := check(root, backends...)
	require.NoError(t, err)
	api := packages[module+"/store"]
	require.NotNil(t, api)
	for _, backend := range backends {
		b := packages[module+strings.TrimPrefix(backend, ".")]
		require.NotNil(t, b, backend)
		assert.Empty(t, undocumented(commentOf(t, filepath.Join(root, backend)), declared(t, b), implemented(b, api)), backend)
	}
}

// TestBackendDocsCanFail takes one thing at a time out of a good comment.
func TestBackendDocsCanFail(t *testing.T) {
	t.Parallel()
	const good = `Package b keeps events.

	b.New(db, nil)

# Start here

  - [New] returns a [Backend].
  - [Options] sets Schema and Logger.

# What it implements

[Backend] is a [store.Storage]. It also implements:
  - [store.Recycler], [store.Checker]: check

# How
`
	names, interfaces := []string{"New", "Options", "Schema", "Logger"}, []string{"Checker", "Recycler", "Storage"}
	require.Empty(t, undocumented(good, names, interfaces))
	for _, bad := range []struct{ old, new, want string }{
		{"b.New", "c.New", "no program with New comes first"},
		{"[New]", "It", `"Start here" lacks New`},
		{" and Logger", "", `"Start here" lacks Logger`},
		{"# Start here", "# Later", "the first headings are not"},
		{"[store.Checker]", "store.Checker", `"What it implements" has Recycler Storage, the backend implements Checker Recycler Storage`},
		{"[store.Checker]", "[store.Checker], [store.Ticker]", `"What it implements" has Checker Recycler Storage Ticker`},
	} {
		assert.Contains(t, strings.Join(undocumented(strings.Replace(good, bad.old, bad.new, 1), names, interfaces), "\n"), bad.want)
	}
}

var (
	headings   = regexp.MustCompile(`(?m)^# (.+)$`)
	interfaces = regexp.MustCompile(`\[store\.([A-Z]\w*)\]`)
)

// undocumented returns what the opening of a backend's package comment lacks.
func undocumented(comment string, names, implemented []string) (found []string) {
	at := headings.FindAllStringSubmatchIndex(comment, 3)
	title := func(i int) string { return comment[at[i][2]:at[i][3]] }
	if len(at) < 2 || title(0) != "Start here" || title(1) != "What it implements" {
		return []string{`the first headings are not "Start here" and "What it implements"`}
	}
	end := len(comment)
	if len(at) > 2 {
		end = at[2][0]
	}
	program, start, list := comment[:at[0][0]], comment[at[0][0]:at[1][0]], comment[at[1][0]:end]
	if name, _, _ := strings.Cut(strings.TrimPrefix(program, "Package "), " "); !strings.Contains(program, name+".New(") {
		found = append(found, "no program with New comes first")
	}
	for _, name := range names {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(start) {
			found = append(found, `"Start here" lacks `+name)
		}
	}
	var has []string
	for _, match := range interfaces.FindAllStringSubmatch(list, -1) {
		has = append(has, match[1])
	}
	slices.Sort(has)
	if !slices.Equal(has, implemented) {
		found = append(found, `"What it implements" has `+strings.Join(has, " ")+", the backend implements "+strings.Join(implemented, " "))
	}
	return found
}

// commentOf returns the package comment of a folder.
func commentOf(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		require.NoError(t, err)
		if f.Doc != nil {
			return f.Doc.Text()
		}
	}
	return ""
}

// declared returns New and, if there are options, Options with its fields.
func declared(t *testing.T, s *source) []string {
	t.Helper()
	names := []string{"New"}
	require.NotNil(t, s.pkg.Scope().Lookup("New"))
	options := s.pkg.Scope().Lookup("Options")
	if options == nil {
		return names
	}
	fields := options.Type().Underlying().(*types.Struct)
	names = append(names, "Options")
	for i := range fields.NumFields() {
		names = append(names, fields.Field(i).Name())
	}
	return names
}

// implemented returns the names of the interfaces of package store that *Backend implements, sorted.
func implemented(backend, api *source) (names []string) {
	b := types.NewPointer(backend.pkg.Scope().Lookup("Backend").Type())
	for _, name := range api.pkg.Scope().Names() {
		typ, ok := api.pkg.Scope().Lookup(name).(*types.TypeName)
		if !ok || !typ.Exported() {
			continue
		}
		if i, ok := typ.Type().Underlying().(*types.Interface); ok && types.Implements(b, i) {
			names = append(names, name)
		}
	}
	return names
}
