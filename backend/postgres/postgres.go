package postgres

import (
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/eventstore-go/eventstore/internal/queries"
	"github.com/eventstore-go/eventstore/store"
)

var (
	_ store.Storage        = (*Backend)(nil)
	_ store.Checker        = (*Backend)(nil)
	_ store.JSONOnly       = (*Backend)(nil)
	_ store.ParallelReader = (*Backend)(nil)
	_ store.Recycler       = (*Backend)(nil)
	_ store.Ticker         = (*Backend)(nil)
	_ store.Poller         = (*Backend)(nil)
)

// Options of a [Backend]. The zero value of each field is its default.
type Options struct {
	// Schema is the schema that holds the store's tables, so that many stores (tenants) share one database and one
	// *sql.DB. At most 52 bytes. migrate.Up creates it, if it is missing. The store's tables have short names such as "events":
	// give the store a schema without tables of the application. After `alter schema … rename`, run migrate.Up under the new name.
	// Default: "eventstore".
	Schema string
	// DataType is the type of the columns for data and metadata: "bytea", "jsonb" or "json". It counts when the schema is
	// created. jsonb and json take JSON only, and a Store with a serializer for anything else is refused; jsonb keeps the
	// value, not the text. Default: "bytea".
	DataType string
	// VersionTable is the name of the table, in Schema, in which migrations note their version. Default:
	// "eventstore_migrations".
	VersionTable string
	// NoPrepare sends every statement anew instead of preparing the frequent ones once per connection. A pooler does not need it:
	// the Backend prepares nothing by itself if the driver sends each statement in one round trip, as a pooler in transaction mode asks
	// for. See the package comment.
	NoPrepare bool
	// NoGroupCommit gives every append outside a transaction a statement and a commit of its own. By default those that
	// come while others of this Backend are under way share them, each with its own outcome.
	NoGroupCommit bool
	// Reads is where reads go that may lag: a streaming standby, or several behind one address. [store.Store.Primary] says which reads
	// those are; the *sql.DB given to New must still be on the primary. The store sends read-only statements there and gives
	// no positions. Reads that the standby cancels in favour of its replay are repeated. If the
	// standby can't be read, reads fail with [store.ErrReplica]; to have them go to the primary then, give it an address that falls
	// back to it, such as target_session_attrs=prefer-standby. The *sql.DB stays the caller's. Default: nil, everything is read from the
	// primary.
	Reads *sql.DB
	// Logger gets warnings that no call returns, such as that the tables are newer than this program, and at debug level each statement
	// that is sent again because its connection was dead. Default: [slog.Default].
	Logger *slog.Logger
}

// Backend is a [store.Storage] on PostgreSQL. It is safe for concurrent use, unless WithTx made it: then it is as safe
// as the transaction.
type Backend struct {
	*shared
	tx    transaction // nil, or where all statements run
	brief bool        // an append gives up if it waits for its stream; tx is nil
}

// shared is what a Backend has in common with those that WithTx makes of it.
type shared struct {
	db       *sql.DB
	opts     Options
	queries  queries.Set
	err      error // what is wrong with the options
	names    *names
	group    *group
	wire     *wire
	looked   atomic.Bool // at the wire, by this Backend
	streams  *gate       // for writes to streams
	sources  *gate       // for snapshots
	ticks    ticks
	settling settling
	replica  *replica               // or nil
	seen     atomic.Pointer[string] // the snapshot of this process's latest tick
	ready    atomic.Bool            // the schema was checked
	// jsonOnly says that the columns for data take JSON only. It is set before ready.
	jsonOnly atomic.Bool
	// jsonb says that they keep the value, not the text. It is set before ready.
	jsonb atomic.Bool
	// hex says that statements send bytes as text, and hexQueries are those statements. It is set before ready.
	hex        atomic.Bool
	hexQueries func() queries.Set
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
	if o.Schema == "" {
		o.Schema = "eventstore"
	}
	if o.DataType == "" {
		o.DataType = "bytea"
	}
	if o.VersionTable == "" {
		o.VersionTable = "eventstore_migrations"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	b := &Backend{shared: newShared(db, o)}
	if o.Reads != nil {
		b.replica = &replica{&Backend{shared: newShared(o.Reads, o)}}
	}
	return b
}

func newShared(db *sql.DB, o Options) *shared {
	streams := newGate()
	return &shared{
		db: db, opts: o, err: o.check(), queries: queries.Parse(queriesFile, o.replacements()...), names: newNames(), group: newGroup(streams), wire: wireOf(db),
		streams: streams, sources: newGate(),
		hexQueries: sync.OnceValue(func() queries.Set {
			return queries.Parse(queriesFile, append(o.replacements(), "/*out*/", quote(o.Schema)+".hex")...)
		}),
	}
}

const maxSchema = 52 // bytes; the notification channel is "eventstore." and the schema, at most 63 bytes

func (o Options) check() error {
	invalid := func(field, reason string) error {
		return &store.InvalidError{Field: "postgres.Options." + field, Reason: reason}
	}
	switch {
	case len(o.Schema) > maxSchema:
		return invalid("Schema", fmt.Sprintf("%q is longer than %d bytes", o.Schema, maxSchema))
	case len(o.VersionTable) > 63:
		return invalid("VersionTable", fmt.Sprintf("%q is longer than 63 bytes", o.VersionTable))
	case strings.ContainsAny(o.Schema+o.VersionTable, "\x00") || strings.Contains(o.Schema, "$body$"):
		return invalid("Schema", fmt.Sprintf("%q holds characters that no name may hold", o.Schema))
	case o.DataType != "bytea" && o.DataType != "jsonb" && o.DataType != "json":
		return invalid("DataType", fmt.Sprintf("%q is none of bytea, jsonb, json", o.DataType))
	}
	return nil
}

// replacements are what stands for the placeholders in queries.sql and the migrations.
func (o Options) replacements() []string {
	schema := quote(o.Schema)
	decode := "bytes"
	if o.DataType != "bytea" {
		decode = "convert_from(bytes, 'UTF8')::" + o.DataType
	}
	literal := strings.NewReplacer("'", "''")
	return []string{
		"'/*schema.*/", "'" + literal.Replace(schema) + ".",
		"/*schema.*/", schema + ".",
		"/*schema_quoted_text*/", literal.Replace(schema),
		"/*schema_text*/", literal.Replace(o.Schema),
		"/*schema*/", schema,
		"/*of*/", "_" + o.mark(),
		"/*channel*/", literal.Replace(o.channel()),
		"/*version_table_text*/", literal.Replace(schema + "." + quote(o.VersionTable)),
		"/*version_table*/", schema + "." + quote(o.VersionTable),
		"/*decode_data*/bytes", decode,
		"bytea/*data_type*/", o.DataType,
	}
}

// mark is a short hash of the schema's name. It is part of the names of the functions whose bodies name the schema.
func (o Options) mark() string {
	sum := sha256.Sum256([]byte(o.Schema))
	return hex.EncodeToString(sum[:5])
}

// channel is the notification channel on which a tick says that it placed something.
func (o Options) channel() string { return "eventstore." + o.Schema }

// Channel returns the notification channel on which a tick says that it placed something, and a subscription that its
// lease is free, for a notifier to listen on.
func (b *Backend) Channel() string { return b.opts.channel() }

// quote quotes an identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

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
	if b.replica != nil {
		errs = append(errs, b.replica.Close())
	}
	return errors.Join(errs...)
}
