package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// section counts the tests below one heading, a line "== PostgreSQL 14", or before the first.
type section struct {
	name string

	passed      []string // names
	failed      []string // packages and names
	skipped     int
	broken      bool // a package failed, if by no test of its own
	unexcused   []string
	conformance []string
	servers     []string // versions of PostgreSQL that tests ran on
}

// server is the line that internal/pgserver prints.
var server = regexp.MustCompile(`pgtest: PostgreSQL (\S+)`)

// note keeps the line that the suite prints at the end of each run, and the versions of servers.
func (s *section) note(output string) {
	if _, line, found := strings.Cut(output, "conformance: "); found && strings.Contains(line, " cases, ") {
		s.conformance = append(s.conformance, "conformance: "+line)
	}
	if found := server.FindStringSubmatch(output); found != nil && !slices.Contains(s.servers, found[1]) {
		s.servers = append(s.servers, found[1])
	}
}

func (s *section) ran() bool { return len(s.passed)+len(s.failed)+s.skipped > 0 }

// details are the lines that tell more than numbers.
func (s *section) details() (lines []string) {
	if len(s.conformance) > 0 {
		slices.Sort(s.conformance)
		lines = append(lines, "\n"+s.title()+"\n")
		lines = append(lines, s.conformance...)
	}
	for _, skip := range s.unexcused {
		lines = append(lines, "\nskipped without an excuse: "+skip)
	}
	if len(s.failed) > 0 {
		lines = append(lines, "\nfailed:\n")
	}
	for _, name := range s.failed {
		lines = append(lines, "\t"+name+"\n")
	}
	return lines
}

// title is the section's name, and the versions of its servers.
func (s *section) title() string {
	if len(s.servers) == 0 {
		return s.name
	}
	name := s.name
	if name == "" {
		name = "PostgreSQL"
	}
	return name + " (" + strings.Join(s.servers, ", ") + ")"
}

// cases returns how many cases of the suite ran.
func (s *section) cases() (n int) {
	for _, line := range s.conformance {
		var cases int
		_, after, _ := strings.Cut(strings.TrimPrefix(line, "conformance: "), ": ")
		if _, err := fmt.Sscanf(after, "%d cases", &cases); err == nil {
			n += cases
		}
	}
	return n
}

// line says how many tests there were.
func (s *section) line() string {
	line := fmt.Sprintf("%d passed, %d failed, %d skipped (%d of them excused)\n",
		len(s.passed), len(s.failed), s.skipped, s.skipped-len(s.unexcused))
	switch {
	case s.name != "":
		return fmt.Sprintf("%s: %d cases of the suite; tests: %s", s.title(), s.cases(), line)
	case len(s.servers) > 0:
		return "on " + s.title() + ": " + line
	}
	return line
}

// wrong returns what keeps the section from being all right: a failure, no test at all, a skip without an excuse in CI, none passed
// of the tests that are wanted, or a server of another version than the section's name has.
func (s *section) wrong(ci bool, wanted []string) (found []string) {
	switch {
	case len(s.failed) > 0 || s.broken:
		found = append(found, "")
	case len(s.passed) == 0:
		found = append(found, ": no test ran")
	}
	if ci && len(s.unexcused) > 0 {
		found = append(found, ": where CI is set, each skip needs an excuse")
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(s.passed, func(passed string) bool { return passed == name || strings.HasPrefix(passed, name+"/") }) {
			found = append(found, ": "+name+" did not run")
		}
	}
	if major, named := strings.CutPrefix(s.name, "PostgreSQL "); named {
		if len(s.servers) == 0 {
			found = append(found, ": no test asked for a server")
		}
		for _, version := range s.servers {
			if version != major && !strings.HasPrefix(version, major+".") {
				found = append(found, ": the server was PostgreSQL "+version)
			}
		}
	}
	return found
}
