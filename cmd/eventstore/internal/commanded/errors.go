package commanded

import (
	"errors"
	"fmt"
	"strings"
)

// ReadError is an error of the server that a store of commanded/eventstore is read from, or of the way to it.
type ReadError struct {
	Where     string // without a password
	Statement string
	Err       error
}

func (e *ReadError) Error() string {
	return fmt.Sprintf("the store of commanded/eventstore at %s can't be read: %s: %s", e.Where, e.Statement, e.Err)
}

// Unwrap returns the server's error.
func (e *ReadError) Unwrap() error { return e.Err }

// NotFoundError says that a schema has no store of commanded/eventstore, or not all of it.
type NotFoundError struct {
	Where   string // without a password
	Schema  string
	Tables  []string // that are missing
	Columns []string // of the other tables that are missing, or have a type that is not known: table.column
}

func (e *NotFoundError) Error() string {
	var missing []string
	if len(e.Tables) > 0 {
		missing = append(missing, "tables "+strings.Join(e.Tables, ", "))
	}
	if len(e.Columns) > 0 {
		missing = append(missing, "columns "+strings.Join(e.Columns, ", "))
	}
	advice := "name the schema of its configuration with --commanded-schema"
	if len(e.Tables) == 0 {
		advice = "migrate it with `mix event_store.migrate` of version 1.4"
		for _, c := range e.Columns {
			if strings.HasPrefix(c, "schema_migrations.") {
				advice = "its table schema_migrations is another program's, so name the schema of the store's configuration with --commanded-schema, or " + advice
				break
			}
		}
	}
	return fmt.Sprintf("schema %q of %s has no whole store of commanded/eventstore; missing: %s; %s",
		e.Schema, e.Where, strings.Join(missing, ", and "), advice)
}

// RightsError says what a user may not read of a store of commanded/eventstore.
type RightsError struct {
	Where  string // without a password
	Schema string
	User   string
	Usage  bool     // the right to use the schema is missing
	Tables []string // that the user may not select from
}

func (e *RightsError) Error() string {
	var grants []string
	schema := quote(e.Schema)
	if e.Usage {
		grants = append(grants, fmt.Sprintf("grant usage on schema %s to %s", schema, quote(e.User)))
	}
	if len(e.Tables) > 0 {
		list := make([]string, len(e.Tables))
		for i, t := range e.Tables {
			list[i] = schema + "." + t
		}
		grants = append(grants, fmt.Sprintf("grant select on %s to %s", strings.Join(list, ", "), quote(e.User)))
	}
	return fmt.Sprintf("user %q may not read the store of commanded/eventstore at %s; its owner must run: %s", e.User, e.Where, strings.Join(grants, "; "))
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// VersionError says that a store's tables are not those of version 1 of commanded/eventstore.
type VersionError struct {
	Where   string // without a password
	Schema  string
	Version string // of the last migration
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("the tables of commanded/eventstore in schema %q of %s are of version %s, which is newer than this program knows: take a newer program",
		e.Schema, e.Where, e.Version)
}

// MappingError says what is wrong with a name that was to be changed or left out.
type MappingError struct{ Reason string }

func (e *MappingError) Error() string { return e.Reason }

// Name is a name that can't be kept.
type Name struct{ Kind, Text string }

// NamesError says which streams, types or subscriptions have names that the store refuses: see the limits of package
// store.
type NamesError struct {
	Where  string // without a password
	Schema string
	Names  []Name // the first of them
	Total  int64
}

func (e *NamesError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d names in schema %q of %s can't be kept (empty, too long, or starting with $): give streams, and what belongs to them, another name "+
		"with --rename OLD=NEW, or leave them out with --skip NAME; rename subscriptions in the source:", e.Total, e.Schema, e.Where)
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

// Is reports whether an error is of this package: it names its database by itself.
func Is(err error) bool {
	var read *ReadError
	var notFound *NotFoundError
	var rights *RightsError
	var version *VersionError
	var mapping *MappingError
	var names *NamesError
	return errors.As(err, &read) || errors.As(err, &notFound) || errors.As(err, &rights) || errors.As(err, &version) ||
		errors.As(err, &mapping) || errors.As(err, &names)
}
