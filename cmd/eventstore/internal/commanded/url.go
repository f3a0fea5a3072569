package commanded

import (
	"errors"
	"net/url"
	"strings"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// Parse understands the URL in the configuration of commanded/eventstore: ecto://, postgres:// or postgresql://, with the parameters
// that are known there.
func Parse(text string) (database.Location, error) {
	if rest, ok := strings.CutPrefix(text, "ecto:"); ok {
		text = "postgres:" + rest
	}
	l, err := database.Parse(text)
	var wrong *database.LocationError
	if text == "" || errors.As(err, &wrong) || l.Kind != database.PostgreSQL {
		// Not in the words of the other database, and without the text, which may have a password.
		return l, &database.LocationError{Reason: "the URL of the store of commanded/eventstore can't be understood " +
			"(characters such as # in the password are written as %23); want a URL such as ecto://user@host:5432/database"}
	}
	if err != nil {
		return l, err
	}
	l.URL.RawQuery = parameters(l.URL.Query()).Encode()
	return l, nil
}

// parameters leaves out those of the pool, and says in the words of PostgreSQL whether the connection is encrypted.
func parameters(q url.Values) url.Values {
	for _, name := range []string{"pool_size", "queue_target", "queue_interval", "timeout"} {
		q.Del(name)
	}
	ssl := q.Get("ssl")
	q.Del("ssl")
	if q.Has("sslmode") {
		return q
	}
	switch ssl {
	case "true":
		q.Set("sslmode", "require")
	case "false":
		q.Set("sslmode", "disable")
	}
	return q
}
