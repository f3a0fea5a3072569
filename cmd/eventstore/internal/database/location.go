package database

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Kind is the kind of a database.
type Kind string

// Kinds of databases.
const (
	PostgreSQL Kind = "PostgreSQL"
	SQLite     Kind = "SQLite"
)

// Location says where a database is. Its String has no password, so that it may be shown.
type Location struct {
	Kind Kind
	// Path is the file of a SQLite database.
	Path string
	// URL is that of a PostgreSQL database, with its password. Never print it.
	URL *url.URL
}

// LocationError says what is wrong with the text that should say where a database is.
type LocationError struct{ Reason string }

func (e *LocationError) Error() string { return e.Reason }

const wanted = "want a URL such as postgres://user@host:5432/database, or the path of a SQLite file"

// Parse understands a PostgreSQL URL (postgres:// or postgresql://), the path of a SQLite file, or sqlite:PATH.
func Parse(text string) (Location, error) {
	switch scheme, rest, found := strings.Cut(text, ":"); {
	case text == "":
		return Location{}, &LocationError{"no database is given: set --db or EVENTSTORE_DB; " + wanted}
	case found && (scheme == "postgres" || scheme == "postgresql"):
		u, err := url.Parse(text)
		if err != nil { // its text would show the password
			return Location{}, &LocationError{"the URL of the database can't be understood (characters such as # in the password are written as %23); " + wanted}
		}
		if databaseOf(u) == "" {
			return Location{}, &LocationError{"the URL names no database; " + wanted}
		}
		return Location{Kind: PostgreSQL, URL: u}, nil
	case found && scheme == "sqlite":
		rest = strings.TrimPrefix(rest, "//")
		if rest == "" {
			return Location{}, &LocationError{"the path of the SQLite file is missing; " + wanted}
		}
		return Location{Kind: SQLite, Path: rest}, nil
	case found && strings.HasPrefix(rest, "//"), strings.Contains(text, "host=") && strings.Contains(text, "="):
		return Location{}, &LocationError{"this is neither a postgres:// URL nor a path; " + wanted}
	}
	return Location{Kind: SQLite, Path: text}, nil
}

// databaseOf is the name of a URL's database.
func databaseOf(u *url.URL) string {
	if name := strings.TrimPrefix(u.Path, "/"); name != "" {
		return name
	}
	return u.Query().Get("dbname")
}

// Name is the name of the database: that of a PostgreSQL server, or a file's.
func (l Location) Name() string {
	if l.Kind == SQLite {
		return filepath.Base(l.Path)
	}
	return databaseOf(l.URL)
}

// Exists reports whether a SQLite file is there. Of PostgreSQL, only the server knows.
func (l Location) Exists() bool {
	_, err := os.Stat(l.Path)
	return l.Kind != SQLite || err == nil
}

// String is where the database is, without a password.
func (l Location) String() string {
	if l.Kind == SQLite {
		return l.Path
	}
	user := ""
	if name := l.URL.User.Username(); name != "" {
		user = name + "@"
	}
	host := l.URL.Host
	if host == "" {
		host = l.URL.Query().Get("host")
	}
	return fmt.Sprintf("postgres://%s%s/%s", user, host, databaseOf(l.URL))
}

// Redact removes the password from a text, such as a driver's error.
func (l Location) Redact(text string) string {
	if l.URL == nil {
		return text
	}
	password, _ := l.URL.User.Password()
	for _, secret := range []string{password, url.QueryEscape(password), url.PathEscape(password), l.URL.Query().Get("password")} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "xxxxx")
		}
	}
	return text
}
