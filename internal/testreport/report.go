package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action, Package, Test, Output string
}

// report gathers events. Not safe for concurrent use.
type report struct {
	out    io.Writer
	output map[string][]string // of tests that haven't ended, by package and test

	passed, failed, skipped int
	broken                  bool // a package failed, if by no test of its own
	unexcused               []string
	conformance             []string
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[string][]string{}}
}

// read takes all events of r and prints as they come. A line that is none is printed as it is.
func (r *report) read(from io.Reader) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				e = event{Action: "output", Output: string(line)}
			}
			r.add(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) add(e event) {
	test := e.Package + "\x00" + e.Test
	switch e.Action {
	case "output":
		r.noteConformance(e.Output)
		if e.Test != "" {
			r.output[test] = append(r.output[test], e.Output)
		} else if !noise(e.Output) {
			r.print(e.Output)
		}
	case "build-output":
		r.print(e.Output)
	case "build-fail":
		r.broken = true
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.broken = r.broken || e.Action == "fail"
			r.abandoned(e.Package)
			return
		}
		r.ended(e, r.output[test])
		delete(r.output, test)
	}
}

// ended counts a test.
func (r *report) ended(e event, output []string) {
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.print(output...)
	case "skip":
		r.skipped++
		if !strings.Contains(strings.Join(output, ""), "excused: ") {
			r.unexcused = append(r.unexcused, e.Package+" "+e.Test+"\n"+strings.Join(output, ""))
		}
	}
}

// abandoned counts the tests of a package that ended without a result, as when the test binary dies.
func (r *report) abandoned(pkg string) {
	var names []string
	for test := range r.output {
		if strings.HasPrefix(test, pkg+"\x00") {
			names = append(names, test)
		}
	}
	slices.Sort(names)
	for _, test := range names {
		r.failed++
		r.print(r.output[test]...)
		delete(r.output, test)
	}
}

// noteConformance keeps the line that the suite prints at the end of each run.
func (r *report) noteConformance(output string) {
	if _, line, found := strings.Cut(output, "conformance: "); found && strings.Contains(line, " cases, ") {
		r.conformance = append(r.conformance, "conformance: "+line)
	}
}

// finish prints the totals. It reports whether all is well.
func (r *report) finish(ci bool) bool {
	if len(r.conformance) > 0 {
		slices.Sort(r.conformance)
		r.print("\n")
		r.print(r.conformance...)
	}
	for _, skip := range r.unexcused {
		r.print("\nskipped without an excuse: " + skip)
	}
	r.print(fmt.Sprintf("\n%d passed, %d failed, %d skipped (%d of them excused)\n",
		r.passed, r.failed, r.skipped, r.skipped-len(r.unexcused)))
	switch {
	case r.failed > 0 || r.broken:
		r.print("FAIL\n")
	case r.passed == 0:
		r.print("FAIL: no test ran\n")
	case ci && len(r.unexcused) > 0:
		r.print("FAIL: where CI is set, each skip needs an excuse\n")
	default:
		return true
	}
	return false
}

func (r *report) print(lines ...string) {
	for _, line := range lines {
		_, _ = io.WriteString(r.out, line) // nobody to tell
	}
}

// noise is what go test -json says about a package because it implies -v.
func noise(line string) bool {
	return line == "PASS\n" || strings.HasPrefix(line, "?   ") || strings.HasPrefix(line, "testing: warning: no tests to run")
}
