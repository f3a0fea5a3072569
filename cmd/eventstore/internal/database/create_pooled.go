package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eventstore-go/eventstore/internal/queries"
)

// databaseExists reports whether the server has a database that a pooler refuses. It asks through the pooler, in another database.
func databaseExists(ctx context.Context, l Location, refused error) (there bool, err error) {
	for _, other := range []string{"postgres", "template1"} {
		u := *l.URL
		u.Path = "/" + other
		q := u.Query()
		q.Del("dbname")
		q.Del("database")
		u.RawQuery = q.Encode()
		db, failed := OpenPostgres(&u)
		if failed == nil {
			failed = errors.Join(db.QueryRowContext(ctx, queries.Parse(adminFile).Get("database_exists"), l.Name()).Scan(&there), db.Close())
		}
		if failed == nil || ctx.Err() != nil {
			return there, failed
		}
	}
	return false, &BeyondPoolerError{l, refused}
}

// BeyondPoolerError says that a pooler refuses a database and reaches no other of the server, where it could be created.
type BeyondPoolerError struct {
	Location Location
	Err      error // why the pooler refused it
}

func (e *BeyondPoolerError) Error() string {
	reason := e.Err.Error()
	var pg *pgconn.PgError
	if errors.As(e.Err, &pg) {
		reason = pg.Message
	}
	return fmt.Sprintf("%s: the server, or the pooler before it, refuses the database (%s), and reaches neither postgres nor template1, where it could be created",
		e.Location, reason)
}

// poolerRetry is how long a pooler may take until it tries again to reach a database that was not there. pgbouncer's default of
// server_login_retry is 15 seconds.
const poolerRetry = 30 * time.Second

// awaitPooler waits until a pooler that has just refused a database finds it.
func awaitPooler(ctx context.Context, l Location) error {
	limit, cancel := context.WithTimeout(ctx, poolerRetry)
	defer cancel()
	for {
		db, err := OpenPostgres(l.URL)
		if err != nil {
			return err
		}
		err = errors.Join(db.PingContext(limit), db.Close())
		if err == nil {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-limit.Done():
			return fmt.Errorf("database %s was created, but the pooler does not find it; look at its list of databases, and run the command again: %w",
				strings.TrimSpace(l.Name()), err)
		}
	}
}
