package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	t.Parallel()
	const passes = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`
	const sub = `{"Action":"pass","Package":"p","Test":"TestSuite/pgx/append"}` + "\n"
	on := func(version string) string {
		return `{"Action":"output","Package":"p","Output":"pgtest: PostgreSQL ` + version + `\n"}` + "\n"
	}
	suite := func(cases int) string {
		return fmt.Sprintf(`{"Action":"output","Package":"p","Output":"h.go:3: conformance: memory: %d cases, 0 excused\n"}`+"\n", cases)
	}
	for name, test := range map[string]struct {
		in     string
		ci     bool
		wanted []string // tests
		want   bool
		has    []string
	}{
		"all pass": {
			in: passes, ci: true, want: true,
			has: []string{"ok  \tp\t0.1s\n", "1 passed, 0 failed, 0 skipped"},
		},
		"conformance is counted": {
			in: `{"Action":"output","Package":"p","Test":"TestC","Output":"    h.go:3: conformance: memory: 12 cases, 1 excused\n"}
{"Action":"pass","Package":"p","Test":"TestC"}
`, want: true,
			has: []string{"\nconformance: memory: 12 cases, 1 excused\n"},
		},
		"a failure shows its output": {
			in: passes + `{"Action":"output","Package":"p","Test":"TestB","Output":"    why\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
`,
			has: []string{"    why\n", "\nfailed:\n\tp TestB\n", "1 passed, 1 failed"},
		},
		"a test binary that dies fails its open tests": {
			in: passes + `{"Action":"output","Package":"q","Test":"TestB","Output":"panic: dead\n"}
{"Action":"fail","Package":"q"}
`,
			has: []string{"panic: dead\n", "\tq TestB, which did not end\n", "1 passed, 1 failed"},
		},
		"a build fails": {
			in: passes + `{"Action":"build-output","ImportPath":"q","Output":"q.go:1: no\n"}
{"Action":"build-fail","ImportPath":"q"}
`,
			has: []string{"q.go:1: no\n", "FAIL\n"},
		},
		"a package fails after its tests": {
			in:  passes + `{"Action":"fail","Package":"q"}` + "\n",
			has: []string{"1 passed, 0 failed", "FAIL\n"},
		},
		"an excused skip": {
			in: passes + `{"Action":"output","Package":"p","Test":"TestS","Output":"    x.go:1: excused: one writer\n"}
{"Action":"skip","Package":"p","Test":"TestS"}
`, ci: true, want: true,
			has: []string{"1 skipped (1 of them excused)"},
		},
		"a skip": {
			in: passes + `{"Action":"output","Package":"p","Test":"TestS","Output":"    x.go:1: no PostgreSQL\n"}
{"Action":"skip","Package":"p","Test":"TestS"}
`, want: true,
			has: []string{"skipped without an excuse: p TestS\n    x.go:1: no PostgreSQL\n", "1 skipped (0 of them excused)"},
		},
		"a skip in CI": {
			in: passes + `{"Action":"skip","Package":"p","Test":"TestS"}` + "\n", ci: true,
			has: []string{"FAIL: where CI is set"},
		},
		"nothing ran": {
			has: []string{"FAIL: no test ran"},
		},
		"a wanted test": {
			in: passes + sub, wanted: []string{"TestA", "TestSuite/pgx"}, want: true,
		},
		"a wanted test did not run": {
			in: passes + sub, wanted: []string{"TestA", "TestSuite/pg", "TestGone"},
			has: []string{"FAIL: TestSuite/pg did not run\n", "FAIL: TestGone did not run\n"},
		},
		"a wanted test was skipped": {
			in: passes + `{"Action":"skip","Package":"p","Test":"TestS"}` + "\n", wanted: []string{"TestS"},
			has: []string{"FAIL: TestS did not run\n"},
		},
		"sections": {
			in: "== PostgreSQL 14\n" + on("14.23") + suite(12) + suite(30) + passes + "== PostgreSQL 18\n" + on("18.4") + suite(41) + passes, want: true,
			wanted: []string{"TestA"},
			has: []string{
				"\nPostgreSQL 14 (14.23)\nconformance: memory: 12 cases, 0 excused\nconformance: memory: 30 cases, 0 excused\n",
				"PostgreSQL 14 (14.23): 42 cases of the suite; tests: 1 passed, 0 failed, 0 skipped",
				"PostgreSQL 18 (18.4): 41 cases of the suite; tests: 1 passed, 0 failed, 0 skipped",
			},
		},
		"a failure in one section": {
			in:  "== a\n" + passes + `{"Action":"fail","Package":"p","Test":"TestB"}` + "\n== b\n" + passes,
			has: []string{"a: 0 cases of the suite; tests: 1 passed, 1 failed, 0 skipped (0 of them excused)\nFAIL\nb: "},
		},
		"a section without tests": {
			in:  "== a\n" + passes + "== b\n",
			has: []string{"FAIL: no test ran\n"},
		},
		"a wanted test ran in one section only": {
			in: "== a\n" + passes + sub + "== b\n" + passes, wanted: []string{"TestSuite/pgx"},
			has: []string{"b: 0 cases of the suite; tests: 1 passed, 0 failed, 0 skipped (0 of them excused)\nFAIL: TestSuite/pgx did not run\n"},
		},
		"a failure before the first section": {
			in:  `{"Action":"build-fail","ImportPath":"q"}` + "\n== a\n" + passes,
			has: []string{"FAIL\n"},
		},
		"a server of another version": {
			in:  "== PostgreSQL 14\n" + on("14.23") + on("140.1") + passes,
			has: []string{"FAIL: the server was PostgreSQL 140.1\n"},
		},
		"no server": {
			in:  "== PostgreSQL 14\n" + passes,
			has: []string{"FAIL: no test asked for a server\n"},
		},
		"the version without sections": {
			in: on("15.18") + suite(3) + passes, want: true,
			has: []string{"\nPostgreSQL (15.18)\nconformance: memory: 3 cases", "on PostgreSQL (15.18): 1 passed, 0 failed"},
		},
		"what is no event is shown": {
			in: passes + "go: warning\n", want: true,
			has: []string{"go: warning\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			r := newReport(&out)
			require.NoError(t, r.read(strings.NewReader(test.in)))
			assert.Equal(t, test.want, r.finish(test.ci, test.wanted...), out.String())
			for _, s := range test.has {
				assert.Contains(t, out.String(), s)
			}
			assert.NotContains(t, out.String(), "quiet")
			assert.NotContains(t, out.String(), "PASS")
		})
	}
}
