// Package sqlite keeps events in a SQLite database, through database/sql and whatever driver the application uses.
// It needs SQLite 3.38 or later and imports no driver. This is the embedded default:
//
//	import _ "modernc.org/sqlite" // pure Go
//
//	db, err := sql.Open("sqlite", sqlite.DSN("events.db"))
//	...
//	backend := sqlite.New(db, &sqlite.Options{Prefix: "tenant1_"}) // or nil
//	err = migrate.Up(ctx, backend) // creates the tables, or brings them up to date
//	...
//	es := store.New(backend, nil)
//
// # Start here
//
//   - [DSN] and [Memory] return data source names for modernc.org/sqlite; see Settings for other drivers.
//   - [New] returns a [Backend] on a *sql.DB.
//   - [Options] sets Prefix, VersionTable, NoGroupCommit and Logger.
//
// # What it implements
//
// [Backend] is a [store.Storage]. It also implements:
//   - [store.Transactional]: append and read in a transaction of the caller's
//   - [store.SubscriptionStorage]: persistent subscriptions
//   - [store.CheckpointBatcher]: save the checkpoints of several subscriptions in one commit
//   - [store.ProjectionStorage]: projections, in the transaction of the handler
//   - [store.DeadlockDetector]: report a handler that waits for its own transaction
//   - [store.ParkedStorage]: Consume parks events that fail
//   - [store.CorrelationStorage]: find the events of a correlation
//   - [store.MultiAppender]: append to several streams at once
//   - [store.PastStorage]: find the last position before a time
//   - [store.TypeStorage], [store.TypeIndex]: list event types, and find the events of rare ones
//   - [store.Checker]: check the SQLite version, the settings and the tables
//   - [store.ParallelReader], [store.Recycler]: read ahead, and reuse the memory of pages
//
// # Tables
//
// The tables streams, events, links and head live beside the application's own, which can be changed in the same
// transaction as the events. [Options].Prefix goes before their names; several stores share a database that way. The
// view recorded shows events as people write them, with ids, times and data as text:
//
//	select * from recorded order by position desc limit 10
//
// # Settings
//
// [DSN] and [Memory] set what the backend needs in modernc's terms. With another driver, or a DSN of your own: set
// busy_timeout (a [PragmaError] says if it is missing), journal_mode WAL, so that readers and the writer do not wait
// for each other, and synchronous FULL, without which SQLite in WAL mode may lose the last commits in a power failure.
// A database in UTF-16, which one can choose when it is created, is refused with a [PragmaError]: names are compared byte by byte.
//
// The same settings in the words of other drivers:
//
//	mattn/go-sqlite3    file:events.db?_busy_timeout=10000&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&_txlock=immediate
//	ncruces/go-sqlite3  file:events.db?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate
//
// # One SQLite library per file and process
//
// A process must open a file with one SQLite library only. Each driver brings its own: do not open a file with two drivers in one
// process, nor with a driver and a C extension. SQLite locks a file with POSIX locks, and the operating system drops all
// locks that a process has on a file as soon as the process closes any descriptor of it. One library knows which of its descriptors
// it must keep open, and nothing of another's. When one closes a connection, the other one loses its locks in the middle of a transaction,
// two writers write at once, and events are lost. Other processes may use other drivers.
//
// # One writer
//
// A SQLite database has one writer at a time, over all processes. So an append numbers its events itself, and
// positions are gapless from the start. An open transaction that wrote anything keeps every other writer waiting, not
// only those of the same stream as in PostgreSQL; readers go on, in WAL mode. Keep such transactions short.
//
// Appends outside a transaction wait for the writer for as long as their context lets them. Those of one process
// queue up in Go and are committed together, each with its own outcome.
//
// The handler of a projection runs in a transaction that has the write lock. A write beside it, through the *sql.DB or the Store that is
// not bound to the handler's tx, would wait for the handler's own transaction: [store.Store.Project] ends with
// [store.ErrSelfDeadlock].
//
// In a transaction of the caller's, which may be one of another *sql.DB on the same file, begin with [store.Store.InTx] or set _txlock=immediate, as [DSN] does: then it
// has the write lock from the start. A deferred transaction that has read before it writes may find that somebody else
// wrote in between; SQLite can't let it go on, and the error is [store.ErrRetryTx].
//
// What is written in one transaction is seen by later reads in it, with its final position, also in [store.All].
//
// # Clock
//
// SQLite runs in the process and has no clock of its own: the default of CreatedAt is the process's, in microseconds.
package sqlite
