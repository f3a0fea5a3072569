package sqlkeys

import (
	"context"
	"database/sql"

	"github.com/eventstore-go/eventstore/serializer/encryption"
)

// Forget deletes all keys of a subject, for good, as [Keys.Forget] does, but needs no master key: for tools of those who run a program.
// prefix is [Options].Prefix. It returns how many keys the subject ever had, and how many of them it has deleted now. Programs that
// have a key in memory use it until their [encryption.Options].CacheFor is over.
//
// Errors: [encryption.SubjectError], one that is [store.ErrInvalid], ctx's, or the database's.
func Forget(ctx context.Context, db *sql.DB, prefix, subject string) (had, deleted int64, err error) {
	if err := CheckPrefix(prefix); err != nil {
		return 0, 0, err
	}
	if err := encryption.CheckSubject(subject); err != nil {
		return 0, 0, err
	}
	queries := parse(prefix)
	result, err := db.ExecContext(ctx, queries["forget"], subject)
	if err != nil {
		return 0, 0, wrapped(ctx, "forget", err)
	}
	if deleted, err = result.RowsAffected(); err != nil {
		return 0, 0, wrapped(ctx, "forget", err)
	}
	err = db.QueryRowContext(ctx, queries["count"], subject).Scan(&had)
	return had, deleted, wrapped(ctx, "count", err)
}
