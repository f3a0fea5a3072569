package sqlite

import (
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/eventstore-go/eventstore/internal/queries"
	"github.com/eventstore-go/eventstore/store"
)

var (
	_ store.Storage        = (*Backend)(nil)
	_ store.Checker        = (*Backend)(nil)
	_ io.Closer            = (*Backend)(nil)
	_ store.ParallelReader = (*Backend)(nil)
	_ store.Recycler       = (*Backend)(nil)
)

// Options of a [Backend]. The zero value of each field is its default.
type Options struct {
	// Prefix goes before the names of all tables, triggers and views, so that several stores (tenants) share one
	// database and one *sql.DB, and the store's tables stand beside the application's of the same names. Letters, digits and
	// underscores, not starting with a digit or "sqlite_". SQLite ignores the case of names, so a prefix that differs from an
	// existing store's in case only is refused. To change it, export and import
	// the store: triggers and indexes of tables that are renamed keep their names. Default: none.
	Prefix string
	// VersionTable is the name of the table in which migrations note their version; the prefix goes before it, too. The
	// same rules as for Prefix. Default: "eventstore_migrations".
	VersionTable string
	// NoGroupCommit gives every write a commit of its own. By default those of this Backend that wait for the database's
	// lock at the same time share one, each with its own outcome.
	NoGroupCommit bool
	// Logger gets warnings that no call returns, such as that the tables are newer than this program. Default: [slog.Default].
	Logger *slog.Logger
}

// Backend is a [store.Storage] on SQLite. It is safe for concurrent use, unless WithTx made it: then it is as safe as
// the transaction.
type Backend struct {
	*shared
	tx  *sql.Tx     // nil, or where all statements run
	own atomic.Bool // tx is known to be of db, and can run what db has prepared

	// In the middle of a write, whose goroutine alone has this Backend:

	writing bool                 // see [Backend.steady]
	bound   map[string]*sql.Stmt // statements bound to tx
}

// shared is what a Backend has in common with those that WithTx makes of it.
type shared struct {
	db      *sql.DB
	opts    Options
	queries queries.Set
	err     error // what is wrong with the options
	writer  writer

	checked  atomic.Bool // settings and schema are good
	warned   atomic.Bool // that the tables are newer
	wal      atomic.Bool // readers and the writer do not wait for each other
	prepared atomic.Bool // all that is kept
	// correlations says that they were seen indexed.
	correlations atomic.Bool

	mu         sync.Mutex
	statements sync.Map    // name to *sql.Stmt; mu is held to add
	closed     atomic.Bool // set with mu held
}

//go:embed queries.sql
var queriesFile string

// New returns a Backend on db, which stays the caller's. It does not touch the database; [migrate.Up] creates the tables.
//
// [migrate.Up]: https://pkg.go.dev/github.com/eventstore-go/eventstore/migrate#Up
func New(db *sql.DB, opts *Options) *Backend {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.VersionTable == "" {
		o.VersionTable = "eventstore_migrations"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Backend{shared: &shared{
		db: db, opts: o, err: o.check(), queries: queries.Parse(queriesFile, o.replacements()...),
		writer: writer{turn: make(chan struct{}, 1), alone: o.NoGroupCommit},
	}}
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (o Options) check() error {
	invalid := func(field, value string) error {
		return &store.InvalidError{Field: "sqlite.Options." + field,
			Reason: fmt.Sprintf("%q is not made of letters, digits and underscores, or starts with a digit", value)}
	}
	switch {
	case o.Prefix != "" && !identifier.MatchString(o.Prefix):
		return invalid("Prefix", o.Prefix)
	case !identifier.MatchString(o.VersionTable):
		return invalid("VersionTable", o.VersionTable)
	case reserved(o.Prefix + streamsTable):
		return &store.InvalidError{Field: prefixField, Reason: fmt.Sprintf("%q: SQLite keeps names that start with sqlite_ for itself; choose another prefix", o.Prefix)}
	case reserved(o.Prefix + o.VersionTable):
		return &store.InvalidError{Field: versionTableField, Reason: fmt.Sprintf("%q, after the prefix %q: SQLite keeps names that start with sqlite_ for itself; choose another name", o.VersionTable, o.Prefix)}
	}
	return nil
}

const (
	streamsTable      = "streams"
	prefixField       = "sqlite.Options.Prefix"
	versionTableField = "sqlite.Options.VersionTable"
)

// reserved reports whether SQLite refuses to create a table of this name.
func reserved(table string) bool { return strings.HasPrefix(strings.ToLower(table), "sqlite_") }

// otherCase is the error for a table that is there under a name which differs from the options' in case only.
func (o Options) otherCase(found string) error {
	field, value := prefixField, o.Prefix
	if strings.EqualFold(found, o.Prefix+o.VersionTable) {
		field, value = versionTableField, o.VersionTable
	}
	return &store.InvalidError{Field: field, Reason: fmt.Sprintf(
		"%q: the database has the table %s, and SQLite ignores the case of names; write it in the same case, or choose a name that differs in more", value, found)}
}

// replacements are what stands for the placeholders in queries.sql and the migrations.
func (o Options) replacements() []string {
	return []string{
		"/*version_table*/eventstore_migrations", o.Prefix + o.VersionTable,
		"/*prefix*/", o.Prefix,
	}
}

// forWrite returns b, which is bound to a transaction, for the length of a write; end it with unbind.
func (b *Backend) forWrite() *Backend {
	in := &Backend{shared: b.shared, tx: b.tx, writing: true, bound: map[string]*sql.Stmt{}}
	in.own.Store(b.own.Load())
	return in
}

// DB returns the *sql.DB that the Backend was made on.
func (b *Backend) DB() *sql.DB { return b.db }

// Close closes the prepared statements, and every later call on the Backend, and on Stores over it, fails with [store.ErrClosed].
// Call it if the *sql.DB, which stays open, is to outlive the Backend. Closing a Store does not close its Backend.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed.Store(true)
	var errs []error
	b.statements.Range(func(name, stmt any) bool {
		errs = append(errs, stmt.(*sql.Stmt).Close())
		b.statements.Delete(name)
		return true
	})
	return errors.Join(errs...)
}
