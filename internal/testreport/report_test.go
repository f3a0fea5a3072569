package main

import (
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
	for name, test := range map[string]struct {
		in   string
		ci   bool
		want bool
		has  []string
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
			has: []string{"    why\n", "1 passed, 1 failed"},
		},
		"a test binary that dies fails its open tests": {
			in: passes + `{"Action":"output","Package":"q","Test":"TestB","Output":"panic: dead\n"}
{"Action":"fail","Package":"q"}
`,
			has: []string{"panic: dead\n", "1 passed, 1 failed"},
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
			assert.Equal(t, test.want, r.finish(test.ci))
			for _, s := range test.has {
				assert.Contains(t, out.String(), s)
			}
			assert.NotContains(t, out.String(), "quiet")
			assert.NotContains(t, out.String(), "PASS")
		})
	}
}
