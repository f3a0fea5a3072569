package commanded

import (
	"fmt"
	"strings"
)

// NotFoundError says that a schema has no store of commanded/eventstore, or not all of it.
type NotFoundError struct {
	Schema string
	Tables []string // that are missing
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("schema %q has no store of commanded/eventstore (no %s): name the schema of its configuration, and check that the user may see it",
		e.Schema, strings.Join(e.Tables, ", "))
}

// VersionError says that a store's tables are not those of version 1 of commanded/eventstore.
type VersionError struct {
	Schema  string
	Version string   // of the last migration, if known
	Columns []string // that are missing, or have a type that is not known
}

func (e *VersionError) Error() string {
	what := "are newer than this program knows: take a newer program"
	if len(e.Columns) > 0 {
		what = fmt.Sprintf("lack %s: migrate them with `mix event_store.migrate` of version 1.4", strings.Join(e.Columns, ", "))
	}
	version := ""
	if e.Version != "" {
		version = " of version " + e.Version
	}
	return fmt.Sprintf("the tables of commanded/eventstore%s in schema %q %s", version, e.Schema, what)
}

// Name is a name that can't be kept.
type Name struct{ Kind, Text string }

// NamesError says which streams, types or subscriptions have names that the store refuses: see the limits of package
// store. Give them other names in the source, or delete them there.
type NamesError struct {
	Schema string
	Names  []Name // the first of them
	Total  int64
}

func (e *NamesError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d names in schema %q can't be kept (empty, too long, or starting with $): rename or delete these in the source first:", e.Total, e.Schema)
	for _, n := range e.Names {
		text := n.Text
		if len(text) > 60 {
			text = text[:60]
			fmt.Fprintf(&b, " %s %q… (%d bytes),", n.Kind, text, len(n.Text))
			continue
		}
		fmt.Fprintf(&b, " %s %q,", n.Kind, text)
	}
	text := strings.TrimSuffix(b.String(), ",")
	if more := e.Total - int64(len(e.Names)); more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}
