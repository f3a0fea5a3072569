package database

import (
	"net/url"
	"slices"
	"strings"
)

// keywords are those of libpq that a connection string may begin with.
var keywords = []string{
	"host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service", "servicefile", "options", "application_name",
	"connect_timeout", "target_session_attrs", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslpassword", "sslsni", "gssencmode",
}

// isKeyValue reports whether a text begins as a connection string of keys and values does: host=… A file of that name is
// sqlite:host=…
func isKeyValue(text string) bool {
	key, _, found := strings.Cut(text, "=")
	return found && slices.Contains(keywords, strings.TrimSpace(key))
}

// keyValueURL returns the URL that stands for a connection string of keys and values. Values may be quoted as in libpq: 'it\'s'.
func keyValueURL(text string) (*url.URL, error) {
	const space = " \t\r\n"
	settings := url.Values{}
	for text = strings.Trim(text, space); text != ""; text = strings.TrimLeft(text, space) {
		key, rest, found := strings.Cut(text, "=")
		if key = strings.TrimSpace(key); !found || key == "" || strings.ContainsAny(key, space+"'") {
			return nil, &LocationError{"the connection string can't be parsed: want KEY=VALUE pairs, such as host=localhost dbname=shop"}
		}
		var value string
		var whole bool
		if value, text, whole = cutValue(strings.TrimLeft(rest, space)); !whole {
			return nil, &LocationError{"the connection string can't be parsed: the quote of " + key + " is not closed"}
		}
		settings.Set(key, value)
	}
	// As in a URL of libpq's, a plus sign is no space.
	return &url.URL{Scheme: "postgres", Path: "/", RawQuery: strings.ReplaceAll(settings.Encode(), "+", "%20")}, nil
}

// cutValue returns the value that a text begins with, and what is left. whole is false if a quote is open.
func cutValue(text string) (value, rest string, whole bool) {
	var b strings.Builder
	quoted := strings.HasPrefix(text, "'")
	if quoted {
		text = text[1:]
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case quoted && c == '\'':
			return b.String(), text[i+1:], true
		case !quoted && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			return b.String(), text[i:], true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", !quoted
}
