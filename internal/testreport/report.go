package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
)

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action, Package, Test, Output string
}

// report gathers events, in sections. Not safe for concurrent use.
type report struct {
	out      io.Writer
	output   map[string][]string // of tests that haven't ended, by package and test
	sections []*section          // the first is what comes before any heading
	*section                     // the last of them
}

func newReport(out io.Writer) *report {
	r := &report{out: out, output: map[string][]string{}}
	r.begin("")
	return r
}

// begin begins a section.
func (r *report) begin(name string) {
	r.section = &section{name: name}
	r.sections = append(r.sections, r.section)
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
	if name, found := strings.CutPrefix(e.Output, "== "); found && e.Package == "" {
		r.print("\n" + e.Output)
		r.begin(strings.TrimSpace(name))
		return
	}
	switch e.Action {
	case "output":
		r.note(e.Output)
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
		r.passed = append(r.passed, e.Test)
	case "fail":
		r.failed = append(r.failed, e.Package+" "+e.Test)
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
		r.failed = append(r.failed, strings.Replace(test, "\x00", " ", 1)+", which did not end")
		r.print(r.output[test]...)
		delete(r.output, test)
	}
}

// finish prints the totals of each section. It reports whether all is well: see [section.wrong].
func (r *report) finish(ci bool, wanted ...string) bool {
	if len(r.sections) > 1 && !r.sections[0].ran() && !r.sections[0].broken {
		r.sections = r.sections[1:]
	}
	for _, s := range r.sections {
		r.print(s.details()...)
	}
	r.print("\n")
	well := true
	for _, s := range r.sections {
		r.print(s.line())
		for _, what := range s.wrong(ci, wanted) {
			r.print("FAIL" + what + "\n")
			well = false
		}
	}
	return well
}

func (r *report) print(lines ...string) {
	for _, line := range lines {
		_, _ = io.WriteString(r.out, line) // nobody to tell
	}
}

// noise is what go test -json says about a package because it implies -v, and what the totals show.
func noise(line string) bool {
	return line == "PASS\n" || server.MatchString(line) || strings.HasPrefix(line, "?   ") || strings.HasPrefix(line, "testing: warning: no tests to run")
}
