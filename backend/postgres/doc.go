// Package postgres keeps events in PostgreSQL 14 or later, through database/sql and whatever driver the application
// uses: jackc/pgx/v5/stdlib and lib/pq are tested.
//
//	db, err := sql.Open("pgx", url)
//	...
//	backend := postgres.New(db, &postgres.Options{Schema: "tenant1"}) // or nil
//	err = migrate.Up(ctx, backend) // creates the tables, or brings them up to date
//	...
//	es := store.New(backend, nil)
//
// # Start here
//
//   - [New] returns a [Backend] on a *sql.DB.
//   - [Options] sets Schema, DataType, VersionTable, NoPrepare, NoGroupCommit, Reads and Logger.
//   - Packages pgxnotify and pqnotify, below this one, each have a [store.Notifier] that listens on [Backend.Channel]. Package pgxtx is for
//     programs that use pgx directly: it joins a pgx.Tx, and opens a store on a pgxpool.Pool.
//
// # What it implements
//
// [Backend] is a [store.Storage]. It also implements:
//   - [store.Transactional]: append and read in a transaction of the caller's
//   - [store.SubscriptionStorage]: persistent subscriptions
//   - [store.CheckpointBatcher]: save the checkpoints of several subscriptions in one statement
//   - [store.ProjectionStorage]: projections, in the transaction of the handler
//   - [store.ParkedStorage]: Consume parks events that fail
//   - [store.CorrelationStorage]: find the events of a correlation
//   - [store.MultiAppender]: append to several streams at once
//   - [store.PastStorage]: find the last position before a time
//   - [store.TypeStorage], [store.TypeIndex]: list event types, and find the events of rare ones
//   - [store.Checker], [store.WriteChecker]: check the server, the session and the tables, and whether the database takes writes
//   - [store.Replicated]: read from a standby
//   - [store.JSONOnly]: keep data as jsonb or json
//   - [store.Ticker]: assign positions after a commit
//   - [store.Poller]: look for new events in one round trip
//   - [store.ParallelReader], [store.Recycler]: read ahead, and reuse the memory of pages
//
// # How an append goes
//
// One statement, append_events in queries.sql (append_one for a single event): it compares and sets the row of the stream, draws a number from the
// sequence append_seq, and adds the events. It takes no lock but that of the stream's row, so appends to other streams go
// on beside it, also while a caller's transaction stays open.
//
// Appends outside a transaction that come while others of the same Backend are under way share a statement and a commit,
// append_group, each with its own outcome: see group.go and [Options].NoGroupCommit. So many writers have more to gain
// from one Backend than from many.
//
// An append that has to wait for its stream, because a transaction holds it, waits at the server. Others of the same Backend to that
// stream, and links and deletes of it, wait behind it in the process, without a connection: see gate.go. Writes in a caller's
// transaction wait at the server, on the connection that they have.
//
// An append to several streams, append_all, locks their rows in the order of their names. It gives up after 100 ms of waiting for one of
// them. It then waits for them one after the other while it holds none, and begins again: see append_all.go.
//
// # How events get their order
//
// A position is given after the commit: the function tick (in the migrations, with the reasons why it is right) copies
// the appends that are committed into the table log, in the order of their numbers. A number that was drawn but is not
// committed is a hole; it blocks nobody and is looked at again until its events appear or its owner is known to have
// ended. Whoever reads all events at the end of the log ticks first, so it sees all that was committed before.
//
// # What it asks of the database
//
// A role that appends and reads needs USAGE on the schema; SELECT, INSERT, UPDATE and DELETE on its tables; USAGE,
// SELECT and UPDATE on its sequences; and EXECUTE on its functions, where that is revoked from PUBLIC. With SELECT on tables and sequences
// and EXECUTE alone a role reads, and sees of all events those that others have placed in the log; so do sessions on a standby.
// docs/operations.md lists less for each kind of program. A store on a standby alone reads and watches; what writes, such as Consume and
// Project, returns [store.ErrReadOnly]. To spread reads over standbys see [Options].Reads.
//
// The database must be encoded in UTF8, and so must what sessions send (client_encoding), since drivers would not agree on names. The
// first call, [Backend.Check] and migrate.Up return a [store.InvalidError] for anything else, and for these settings of a session:
// session_replication_role = replica, which turns off the triggers that guard recorded events; a search_path that finds a function, an
// operator or a type of another schema before PostgreSQL's own; a DateStyle that the driver can't read, as pgx can only ISO where answers
// are sent as text. Other settings, such as array_nulls or bytea_output, change nothing, with any driver and protocol.
//
// # Connections that die
//
// When the context of a call ends, its connection may die, and a pool that is full hands that connection to another call. The backend
// then sends the statement of the other call again while the context of that call is alive: at most 100 times. It does so outside
// transactions, and for the begin of one, and only if the driver says that the server has not received the statement. A statement that
// only reads is also sent again if the connection is lost with its answer: at most 10 times. A write is not sent again then: its error
// leaves open whether it was done. To find out, send an append again with the same event ids. [Options].Logger gets a line for each
// statement that is sent again, at debug level.
//
// The tables stand in one schema and can be read with plain SQL; see migrations/0001_init.up.sql. The view recorded shows events with the
// names of their streams and data as text, and the function recorded_from those from a position on:
//
//	select * from eventstore.recorded where stream = 'order-17' order by version
//	select * from eventstore.recorded_from(-10)
//
// Nothing depends on the search path or on the state of a session. Appends are as durable as synchronous_commit says; places in the
// log are always durable.
//
// # Poolers
//
// A pooler in transaction mode works if the driver sends each statement in one round trip. In the connection string of pgx:
// default_query_exec_mode=exec, simple_protocol or cache_describe. In that of lib/pq: binary_parameters=yes. The Backend then prepares
// nothing by itself. The first use of a *sql.DB looks at the driver and at the sessions that two connections have, and Check and every
// operation return a [PoolerError] if the pooler would lose the driver's statements. Without a second connection the look may miss
// a pooler; then the errors of lost and mixed-up statements are a PoolerError, too.
package postgres
