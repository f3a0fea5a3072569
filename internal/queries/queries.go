// Package queries reads files of SQL: blocks that start with a line "-- name: append_events", each one
// statement. Placeholders stand in comments, so that the file stays valid SQL for the default schema and types.
package queries

import (
	"fmt"
	"strings"
)

// Set maps names to statements.
type Set map[string]string

// Parse reads the blocks of file. Each pair of old and new in replace is replaced in all of them. It panics on a
// malformed file: that is a mistake in this module, not of its user.
func Parse(file string, replace ...string) Set {
	replacer := strings.NewReplacer(replace...)
	set := Set{}
	name := ""
	var body []string
	flush := func() {
		if name == "" {
			return
		}
		if _, twice := set[name]; twice {
			panic(fmt.Sprintf("queries: %s is there twice", name))
		}
		set[name] = replacer.Replace(strings.TrimSuffix(strings.TrimSpace(strings.Join(body, "\n")), ";"))
	}
	for line := range strings.Lines(file) {
		line = strings.TrimRight(line, "\r\n")
		if after, ok := strings.CutPrefix(line, "-- name: "); ok {
			flush()
			name, body = strings.TrimSpace(after), nil
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(line), "--") {
			continue // comments are for the reader of the file, not for the server
		}
		body = append(body, line)
	}
	flush()
	return set
}

// Get returns the statement called name. It panics if there is none.
func (s Set) Get(name string) string {
	q, ok := s[name]
	if !ok {
		panic("queries: no statement is called " + name)
	}
	return q
}
