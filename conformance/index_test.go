package conformance

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestIndex: INDEX.md lists the cases by promise and by topic.
func TestIndex(t *testing.T) {
	text := index(t)
	if *update {
		require.NoError(t, os.WriteFile("INDEX.md", []byte(text), 0o644))
	}
	have, err := os.ReadFile("INDEX.md")
	require.NoError(t, err)
	require.True(t, string(have) == text, "INDEX.md is not up to date: run go test ./conformance -run TestIndex -update")
}

// index returns INDEX.md.
func index(t *testing.T) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	all := cases()
	files := map[string]string{} // by case
	for _, c := range all {
		files[c.name] = sourceFile(c)
	}
	link := func(name string) string { return fmt.Sprintf("[%s](%s)", name, files[name]) }

	line(`# The cases of the suite

This page is made from the cases: `+"`go test ./conformance -run TestIndex -update`"+`. It has %d cases: first by the promises in the documentation
of package store, then all by topic. A name leads to the file of the case. A case prints its reason when it fails. To run some of them only,
set `+"`Harness.Only`"+` to prefixes of their names.

The column "transactions" says how a case uses them:

| word | meaning |
|---|---|`, len(all))
	for _, u := range txUses {
		line("| %s | %s |", u.word, u.meaning)
	}

	line("\n## By promise\n\n| promise | cases that show it |\n|---|---|")
	for _, p := range promises(t) {
		links := make([]string, len(p.cases))
		for i, name := range p.cases {
			links[i] = link(name)
		}
		require.NotEmpty(t, links, p.title)
		line("| %s | %s |", p.title, strings.Join(links, ", "))
	}

	line("\n## By topic\n")
	for _, topic := range topics() {
		line("- [%s](#%s): %d", topic.title, anchor(topic.title), len(topic.cases))
	}
	for _, topic := range topics() {
		line("\n### %s\n\n| case | why | transactions |\n|---|---|---|", topic.title)
		for _, c := range topic.cases {
			line("| %s | %s | %s |", link(c.name), strings.ReplaceAll(c.why, "|", `\|`), txUses[c.tx].word)
		}
	}
	return b.String()
}

// txUses explains each txUse.
var txUses = []struct{ word, meaning string }{
	oneTx:           {"twice", "it runs as it is, and again inside one transaction of the caller"},
	manyTx:          {"twice, each call", "it runs as it is, and again with a transaction of the caller for each call"},
	noTx:            {"none", "it runs as it is only"},
	ownTx:           {"own", "it needs a backend with transactions, and makes its own, one at a time"},
	besideTx:        {"own, reads beside", "the same, and other connections read while one is open, or write while one reads"},
	writersBesideTx: {"own, writes beside", "the same, and other connections write"},
	onlyWithoutTx:   {"without", "it runs only on a backend without transactions"},
}

// promise is a promise, or another section, of the documentation of package store, with the cases that show it.
type promise struct {
	title string
	cases []string
}

// promises returns the promises P1, P2 and so on, and then the other sections that name cases. A case shows a promise if the
// documentation names it there, or if its reason begins with the promise's number.
func promises(t *testing.T) []promise {
	text, err := os.ReadFile("../store/doc.go")
	require.NoError(t, err)
	doc, _, found := strings.Cut(string(text), "\npackage store")
	require.True(t, found)
	doc = strings.ReplaceAll(strings.ReplaceAll(doc, "\n// ", "\n"), "\n//\n", "\n\n")
	named := caseNames(t)
	order := map[string]int{}
	for i, c := range cases() {
		order[c.name] = i
	}
	var list []promise
	known := map[string]bool{}
	for section := range strings.SplitSeq(doc, "\n# ") {
		title, body, _ := strings.Cut(section, "\n")
		parts := map[string]string{title: body}
		titles := []string{title}
		inPromises := title == "Promises"
		if inPromises {
			parts, titles = map[string]string{}, nil
			for paragraph := range strings.SplitSeq(body, "\n\n") {
				if m := numbered.FindStringSubmatch(paragraph); m != nil {
					titles, parts[m[1]+", "+m[2]] = append(titles, m[1]+", "+m[2]), paragraph
				}
			}
		}
		for _, title := range titles {
			number, _, _ := strings.Cut(title, ", ")
			known[number] = inPromises
			shown := map[string]bool{}
			for _, name := range named.FindAllString(parts[title], -1) {
				shown[name] = true
			}
			for _, c := range cases() {
				if inPromises && slices.Contains(promisesOf(c), number) {
					shown[c.name] = true
				}
			}
			if inPromises || len(shown) > 0 {
				sorted := slices.SortedFunc(maps.Keys(shown), func(a, b string) int { return order[a] - order[b] })
				list = append(list, promise{title, sorted})
			}
		}
	}
	for _, c := range cases() {
		for _, number := range promisesOf(c) {
			assert.True(t, known[number], "%s: the documentation of package store has no promise %s", c.name, number)
		}
	}
	return list
}

var (
	numbered = regexp.MustCompile(`^(P\d+), ([^.]+)\.`)
	leading  = regexp.MustCompile(`^(P\d+(?:, P\d+)*): `)
)

// promisesOf returns the numbers of the promises with which the reason of a case begins.
func promisesOf(c testCase) []string {
	m := leading.FindStringSubmatch(c.why)
	if m == nil {
		return nil
	}
	return strings.Split(m[1], ", ")
}

// sourceFile returns the name of the file that has the function of a case.
func sourceFile(c testCase) string {
	f := runtime.FuncForPC(reflect.ValueOf(c.run).Pointer())
	file, _ := f.FileLine(f.Entry())
	return filepath.Base(file)
}

// anchor returns the name that GitHub gives to a heading.
func anchor(title string) string {
	return strings.NewReplacer(" ", "-", ":", "", ",", "").Replace(strings.ToLower(title))
}

// caseNames returns an expression for what may be the name of a case.
func caseNames(t *testing.T) *regexp.Regexp {
	t.Helper()
	var groups []string
	for _, c := range cases() {
		group, _, found := strings.Cut(c.name, "/")
		require.True(t, found, c.name)
		groups = append(groups, group)
	}
	slices.Sort(groups)
	return regexp.MustCompile(`\b(` + strings.Join(slices.Compact(groups), "|") + `)/[a-z-]+`)
}
