package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/eventstore-go/eventstore/internal/queries"
	"github.com/eventstore-go/eventstore/store"
)

// StatementError says which statement of the user's failed, or was refused.
type StatementError struct {
	Statement string
	Err       error
}

func (e *StatementError) Error() string { return fmt.Sprintf("%q: %v", e.Statement, e.Err) }

// Unwrap returns the database's error.
func (e *StatementError) Unwrap() error { return e.Err }

// errEndsTransaction is returned before anything was done.
var errEndsTransaction = errors.New("begins or ends a transaction, or changes what can't be changed in one")

// ExecIn runs statements of the user's in a transaction, which no statement can end: PostgreSQL refuses that in a function, and for
// SQLite it is refused here. The error is a StatementError, and store.ErrRetryTx if the transaction may be run again.
func (d *Database) ExecIn(ctx context.Context, tx *sql.Tx, statements []string) error {
	for _, s := range statements {
		if err := d.execIn(ctx, tx, s); err != nil {
			return &StatementError{s, err}
		}
	}
	return nil
}

func (d *Database) execIn(ctx context.Context, tx *sql.Tx, statement string) error {
	q := queries.Parse(adminFile)
	if d.Kind == SQLite {
		if endsTransaction(statement) {
			return errEndsTransaction
		}
		_, err := tx.ExecContext(ctx, statement)
		return err
	}
	_, err := tx.ExecContext(ctx, q.Get("set_statement"), statement)
	if err == nil {
		_, err = tx.ExecContext(ctx, q.Get("run_statement"))
	}
	if state := stateOf(err); state == "40001" || state == "40P01" {
		return fmt.Errorf("%w: %w", store.ErrRetryTx, err)
	}
	return err
}

// endsTransaction reports whether a text of SQLite's SQL has a statement that begins or ends a transaction, or that works in none.
func endsTransaction(text string) bool {
	for _, statement := range strings.Split(bare(text), ";") {
		words := strings.Fields(statement)
		if len(words) > 0 && slices.Contains([]string{
			"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH", "PRAGMA", "VACUUM",
		}, strings.ToUpper(words[0])) {
			return true
		}
	}
	return false
}

// bare is a text of SQLite's SQL with a blank in place of each comment, string and quoted name.
func bare(text string) string {
	closing := map[string]string{"--": "\n", "/*": "*/", "'": "'", `"`: `"`, "`": "`", "[": "]"}
	var b strings.Builder
	for text != "" {
		opening := ""
		for o := range closing {
			if strings.HasPrefix(text, o) {
				opening = o
			}
		}
		if opening == "" {
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		_, text, _ = strings.Cut(text[len(opening):], closing[opening]) // a doubled quote is two strings
		b.WriteByte(' ')
	}
	return b.String()
}
