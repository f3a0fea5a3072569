package database

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
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

// Parse reads where a database is: a PostgreSQL URL (postgres:// or postgresql://), keys and values as libpq takes them
// (host=localhost dbname=shop), the path of a SQLite file, or sqlite:PATH. For PostgreSQL, PGHOST, PGUSER and the other
// variables of libpq fill in what the text leaves out. An empty text stands for the database in PGDATABASE or PGSERVICE.
func Parse(text string) (Location, error) {
	switch scheme, rest, found := strings.Cut(text, ":"); {
	case text == "" && os.Getenv("PGDATABASE") == "" && os.Getenv("PGSERVICE") == "":
		return Location{}, &LocationError{"no database is given: set --db, EVENTSTORE_DB or PGDATABASE; " + wanted}
	case text == "":
		return postgresAt(&url.URL{Scheme: "postgres", Path: "/"})
	case found && (scheme == "postgres" || scheme == "postgresql"):
		u, err := url.Parse(text)
		if err != nil { // its text would show the password
			return Location{}, &LocationError{"the URL of the database can't be parsed (write characters such as # in the password as %23); " + wanted}
		}
		return postgresAt(u)
	case isKeyValue(text):
		u, err := keyValueURL(text)
		if err != nil {
			return Location{}, err
		}
		return postgresAt(u)
	case found && scheme == "sqlite":
		rest = strings.TrimPrefix(rest, "//")
		if rest == "" {
			return Location{}, &LocationError{"the path of the SQLite file is missing; " + wanted}
		}
		return Location{Kind: SQLite, Path: rest}, nil
	case found && scheme == "file":
		path, _, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "?")
		return Location{}, &LocationError{fmt.Sprintf("%q is a SQLite URI; write the path alone: --db %s", text, path)}
	case text == ":memory:":
		return Location{}, &LocationError{"a SQLite database in memory ends with this command; name a file"}
	case found && strings.HasPrefix(rest, "//"):
		return Location{}, &LocationError{"this is neither a postgres:// URL nor a path; " + wanted}
	}
	return Location{Kind: SQLite, Path: text}, nil
}

// postgresAt checks that pgx takes the URL, and that it names a database.
func postgresAt(u *url.URL) (Location, error) {
	l := Location{Kind: PostgreSQL, URL: u}
	c, err := pgconn.ParseConfig(u.String())
	if err != nil {
		_, reason, _ := strings.Cut(err.Error(), "`: ") // what stands before has the text
		return Location{}, &LocationError{"the address of the database can't be used: " + l.Redact(reason)}
	}
	if c.Database == "" {
		return Location{}, &LocationError{"the URL names no database; " + wanted}
	}
	return l, nil
}

// config returns what pgx makes of the URL and the variables of libpq, or nil.
func (l Location) config() *pgconn.Config {
	if l.URL == nil {
		return nil
	}
	c, err := pgconn.ParseConfig(l.URL.String())
	if err != nil {
		return nil
	}
	return c
}

// databaseOf is the name in the URL, or in PGDATABASE.
func databaseOf(l Location) string {
	if name := strings.TrimPrefix(l.URL.Path, "/"); name != "" {
		return name
	}
	if c := l.config(); c != nil {
		return c.Database
	}
	return l.URL.Query().Get("dbname")
}

// Name is the name of the database: that of a PostgreSQL server, or a file's.
func (l Location) Name() string {
	if l.Kind == SQLite {
		return filepath.Base(l.Path)
	}
	return databaseOf(l)
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
	user, host := l.URL.User.Username(), l.URL.Host
	if c := l.config(); c != nil {
		user = c.User
		if host == "" && strings.HasPrefix(c.Host, "/") {
			return fmt.Sprintf("postgres://%s@/%s?host=%s", user, databaseOf(l), c.Host)
		}
		if host == "" {
			host = net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
		}
	}
	if user != "" {
		user += "@"
	}
	return fmt.Sprintf("postgres://%s%s/%s", user, host, databaseOf(l))
}

// Redact removes the password from a text, such as a driver's error.
func (l Location) Redact(text string) string {
	if l.URL == nil {
		return text
	}
	password, _ := l.URL.User.Password()
	secrets := []string{password, url.QueryEscape(password), url.PathEscape(password), l.URL.Query().Get("password"), l.URL.Query().Get("sslpassword")}
	if c := l.config(); c != nil {
		secrets = append(secrets, c.Password) // of PGPASSWORD or ~/.pgpass
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "xxxxx")
		}
	}
	return text
}
