package migrate

import (
	"context"
	"database/sql"
	"io/fs"
	"log/slog"
)

// Backend is what this package needs of a backend; those of this module have it. [Checker], [Placer], [Waiter] and [Logged] are optional.
type Backend interface {
	// DB is the database.
	DB() *sql.DB
	// Migrations has the files NNNN_what.up.sql and NNNN_what.down.sql at its root, complete. A file may hold several
	// statements and must not begin or end a transaction. A line "-- oldest program: N" in an up file says that programs that
	// have migrations up to N work with the tables that it makes; without one, only programs that have this migration do.
	Migrations() fs.FS
	// MigrationQuery returns a statement by its name, complete; it may consist of several. All but the first are run on one
	// connection:
	//
	//   - migrate_present: one row if the version table is there; must not fail if it is not
	//   - migrate_lock: begins a transaction, waits for every other migrator of this store, whatever timeouts the session has,
	//     and keeps others waiting. SQLite may give up with SQLITE_BUSY: see [Waiter]
	//   - migrate_taken: what is there already of the names in its argument, a JSON array of objects with kind ("table", "view",
	//     "index", "sequence", "function", "trigger", or "constraint": one that makes an index) and name; of functions with the
	//     types of their arguments, as "f(bigint, text)". A row has the kind and the name
	//   - migrate_prepare: creates the version table, and what it stands in, if missing
	//   - migrate_version: the version, and the oldest program that works with it; no row if there is none
	//   - migrate_clear_version: removes the version; then, unless no tables are left, migrate_set_version, with the
	//     version and the oldest program as its arguments
	//   - migrate_unlock commits what migrate_lock began, and migrate_rollback undoes it
	//   - migrate_script_guard and migrate_script_note, for [Script]: fails unless the tables are at version /*from*/0, and notes
	//     version /*version*/0 and oldest program /*oldest*/0
	MigrationQuery(name string) string
}

// Checker is implemented by a [Backend] that can't use every database. Up asks it before it changes anything.
type Checker interface {
	// Suitable returns why the database can't hold the tables, whatever their version.
	Suitable(ctx context.Context) error
}

// Placer is implemented by a [Backend] whose tables can stand elsewhere, for a [NameTakenError].
type Placer interface {
	// Place returns where the tables stand, such as `schema "shop"`, and what moves them elsewhere.
	Place() (where, advice string)
}

// Waiter is implemented by a [Backend] whose database may give up waiting for a lock before the context ends. Up tries again.
type Waiter interface {
	// Busy reports whether err says that another transaction has a lock.
	Busy(err error) bool
}

// Logged is implemented by a [Backend] with a logger. Default: [slog.Default].
type Logged interface {
	Logger() *slog.Logger
}

func logger(b Backend) *slog.Logger {
	if l, ok := b.(Logged); ok {
		return l.Logger()
	}
	return slog.Default()
}
