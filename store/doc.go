// Package store is an event store: it appends events to named streams, reads one stream or all of them in one global
// order, and takes part in the caller's own database/sql transactions. A backend keeps the events: PostgreSQL, SQLite
// or memory.
//
//	es := store.New(backend, nil)
//	_, err := es.Append(ctx, "order-17", store.NoStream, store.Event{Type: "order.placed", Data: order})
//	for e, err := range es.Stream(ctx, "order-17", nil) { ... }
//	for e, err := range es.All(ctx, nil) { ... }
//
// A stream is an ordered list of events. An event has a version there: 1, 2, 3, and so on. In the stream of all events,
// [All], it has a position: 1, 2, 3, and so on. [Store.Link] adds recorded events to another stream, in which they get
// a version, too; in All they stay where they are.
//
// # For applications
//
// The exported names and the methods of [Store], each under one task.
//
//   - Open a store: [New], [Store], [Options], [DefaultPageBytes], [DefaultPollInterval], [DefaultLeaseTTL], [Store.Check],
//     [Store.Primary], [Store.Close].
//   - Append and link: [Store.Append], [Store.AppendAll], [StreamAppend], [To], [Store.Link], [Event], [IDs], [AppendResult],
//     [WithCause], [WithCorrelation].
//   - Say what version to expect: [Expected], [Any], [NoStream], [StreamExists], [Version].
//   - Read: [Store.Stream], [Store.All], [Store.Page], [Store.Event], [Store.Correlation], [Collect], [All], [Recorded],
//     [ReadOptions], [EventFilter], [End], [Seen], [DefaultPageSize], [Store.Types], [TypeInfo].
//   - Find a position: [Store.Head], [Store.PositionAt], [Store.VersionAt].
//   - Decode: [Decode], [As], [JSON], [IsJSON].
//   - Delete and list streams: [Store.Delete], [Store.Undelete], [DeleteKind], [SoftDelete], [HardDelete], [Store.StreamInfo],
//     [StreamInfo], [StreamStatus], [Active], [Deleted], [Store.Streams], [ListOptions], [StreamFilter], [SortBy], [SortID], [SortName],
//     [SortVersion], [SortCreated], [SortDeleted], [StreamPage].
//   - Keep snapshots: [Store.RecordSnapshot], [Store.ReadSnapshot], [Store.DeleteSnapshot], [Snapshot], [RecordedSnapshot].
//   - Use transactions: [Store.WithTx], [Store.InTx], [Store.Committed].
//   - Subscribe: [Store.Subscribe], [Subscriber], [SubscribeOptions], [DefaultBufferSize], [DefaultCheckpointThreshold],
//     [DefaultCheckpointAfter], [DefaultRetryInterval], [DefaultTimeout], [Forever], [Start], [StartOrigin], [StartCurrent], [StartAfter],
//     [SubscriptionState], [Phase], [Waiting], [CatchingUp], [Live], [Stopped].
//   - Consume with a handler: [Store.Consume], [ConsumeOptions], [Handler], [Router], [NewRouter], [On], [Decision], [Retry], [Skip],
//     [Stop], [Park], [RetryThen].
//   - Watch: [Store.Watch], [Watcher], [WatchOptions], [DefaultWatchSize].
//   - Project to a read model: [Store.Project], [ProjectOptions], [BatchHandler], [TxFrom], [DefaultBatchSize], [DefaultBatchTime],
//     [Store.WaitFor], [Store.WaitForPosition].
//   - Operate subscriptions: [Store.Subscriptions], [Store.Subscription], [SubscriptionInfo], [SubscriptionID], [SeenEvent], [Store.Owner],
//     [Store.Unsubscribe], [Store.ResetSubscription], [Store.DeleteSubscription].
//   - Operate projections: [Store.Projections], [Store.Projection], [ProjectionInfo], [PartitionInfo], [Store.Repartition],
//     [Store.ResetProjection], [Store.ReplaceProjection], [ReplaceOptions], [Store.DeleteProjection].
//   - Handle parked events: [Store.Parked], [ParkedFilter], [ParkedEvent], [Store.ReplayParked], [Store.DiscardParked].
//   - Stay within limits: [MaxAppends], [MaxStreamName], [MaxType], [MaxData], [MaxMetadata], [MaxContentType], [MaxPageSize], [MaxSubscriptionName],
//     [MaxProjectionName], [MaxPartitions], [MaxName].
//   - Errors of arguments and writes: [ErrInvalid], [InvalidError], [ErrReservedStream], [ErrWrongExpectedVersion],
//     [WrongExpectedVersionError], [ErrStreamExists], [ErrDuplicateEvent], [DuplicateEventError], [ErrEventNotFound],
//     [EventNotFoundError], [ErrHardDeleteDisabled], [ErrSnapshotConflict], [SnapshotConflictError], [ErrImporting], [ErrReadOnly].
//   - Errors of streams and reads: [StreamError], [ErrStreamNotFound], [ErrStreamDeleted], [ErrStreamNotDeleted], [ErrStreamReplaced],
//     [ErrSnapshotNotFound], [SnapshotNotFoundError], [ErrNotIndexed], [ErrTimeout], [ErrReplica], [ReplicaLagError].
//   - Errors of types and decoding: [ErrDecode], [DecodeError], [ErrUnknownType], [ErrUnknownVersion], [ErrUnregisteredType],
//     [UnregisteredTypeError], [ErrContentType], [ContentTypeError], [ErrSplit], [ErrForgotten].
//   - Errors of transactions: [ErrNoTransactions], [ErrRetryTx], [ErrSelfDeadlock], [ErrIsolation].
//   - Errors of subscriptions and projections: [SubscriptionError], [ErrSubscriptionNotFound], [ErrLeaseHeld], [ErrLeaseLost],
//     [CheckpointLostError], [ErrPositionLost], [PositionLostError], [ErrTooManySubscribers], [ErrSubscriberClosed], [ErrUnexpectedAck],
//     [UnexpectedAckError], [ErrTooSlow], [CallbackError], [ProjectionError], [ErrProjectionNotFound], [ErrProjectionReplaced],
//     [ErrProjectionRuns], [ErrParked], [ParkedError], [ErrNoParking].
//   - Errors of the database and the Store: [ErrSchema], [SchemaError], [ErrUnsupportedDatabase], [ErrNoNotifications], [ErrClosed].
//
// # For backends
//
// A backend implements [Storage], and the interfaces below for what else it can do: the Store looks for them. Package conformance has a
// case for every duty; its INDEX.md lists the cases by promise.
//
//   - Events, streams and snapshots: [Storage], [NewEvent], [AppendRequest], [LinkRequest], [State], [DeleteRequest], [UndeleteRequest],
//     [ReadRequest], [Part], [StreamPart], [ListRequest], [SnapshotRequest].
//   - Appends to several streams: [MultiAppender]. Without it, [Store.AppendAll] makes a transaction of its own, or fails with
//     [errors.ErrUnsupported].
//   - Where All, or a stream, ended in the past: [PastStorage]. Without it, [Store.PositionAt] and [Store.VersionAt] fail with
//     [errors.ErrUnsupported].
//   - Transactions: [Transactional]; [Store.Bind] for those that are no *sql.Tx. Without it, [Store.WithTx] and [Store.InTx] fail
//     with [ErrNoTransactions].
//   - Subscriptions: [SubscriptionStorage], [LeaseRequest], [Lease], [CheckpointRequest], [CheckpointState], [Behind], [Arrivals]. Without
//     it, calls that need it fail with [errors.ErrUnsupported], and reads with a filter fetch all events.
//   - Many checkpoints at the price of one: [CheckpointBatcher]. Without it, the Store saves one checkpoint after the other.
//   - Events that Consume parks: [ParkedStorage], [ParkedChange], [ParkedRequest]. Without it, a decision to park ends Consume with
//     [ErrNoParking].
//   - Projections: [ProjectionStorage], [ProjectionRecord], [PartitionKey], [AdvanceRequest], [Place], [FailedStep], [StepHandler],
//     [StepStorage], [StepCommit]. Without it, calls that need it fail with [ErrNoTransactions].
//   - Handlers that wait for their own transaction: [DeadlockDetector]. Without it, such a handler waits until its context ends.
//   - Correlations: [CorrelationStorage], [CorrelationRequest], [CorrelationPart]. Without it, [Store.Correlation] fails with
//     [errors.ErrUnsupported].
//   - Event types: [TypeStorage]. Without it, [Store.Types] reads all events.
//   - Events of rare types: [TypeIndex], [TypedRequest], [TypedPart]. Without it, a read with a filter looks at all events.
//   - Positions that are given after the commit: [Ticker]. Without it, events have positions when they are committed.
//   - One round trip to see that nothing is new: [Poller]. Without it, the Store reads an empty page.
//   - Several pages at a time: [ParallelReader]. Without it, the Store reads one page after the other.
//   - Memory of old pages for new ones: [Recycler]. Without it, the Store drops old pages.
//   - A check before use: [Checker]. Without it, [Store.Check] looks at the serializers only.
//   - A database that may take no writes: [WriteChecker]. Without it, [Store.Check] does not ask.
//   - A replica for reads that may lag: [Replicated]. Without it, all reads are of the database that is written.
//   - A database that takes JSON only: [JSONOnly], [NotJSON]. Without it, a serializer may write any bytes.
//
// A Store also takes parts from its [Options] that other packages implement:
//
//   - Serializers: [Serializer], [ContentTyper], [TypeNamer], [TypeChecker], [Upcaster], [Opener]. A Store looks for the last five.
//   - Hints between processes: [Notifier].
//   - Traces and metrics: [Observer], [Operation], [OperationKind], [OpAppend], [OpLink], [OpDelete], [OpUndelete], [OpRead], [OpHandle],
//     [OpProject], [OpSkip], [OpPark], [OpFetch], [OpTick], [OpAcquire], [OpRenew], [OpCheckpoint], [Outcome].
//
// # Promises
//
// Each is kept by every backend. In brackets stand the cases of package conformance that show it; most of them run a
// second time inside a caller's transaction.
//
// P1, atomic and durable. An append or link is all or nothing, and one that returned without an error is as durable as
// the database makes a commit; memory keeps nothing beyond the process (append/all-or-nothing,
// append/large-all-or-nothing, append/visible-at-once, link/unknown, cancel/under-way, tx/rollback). So is an append to several
// streams (append-all/conflict, append-all/known-id, append-all/large, concurrent/append-all-transfers, tx/append-all). Of writes that
// expect the same version of a stream exactly one wins (concurrent/append-version, concurrent/append-no-stream,
// concurrent/append-all-version, concurrent/link-version, concurrent/delete-version, open-tx/same-stream).
//
// P2, versions. The versions of a stream are 1, 2, 3, without gaps (append/versions, append/large,
// concurrent/append-many-streams). Only a hard delete leaves some unused: those of links to the events it removed
// (link/source-hard-deleted). So a stream may end with numbers that can't be read: take the version to expect from
// [ReadOptions].Seen, not from the last event (read/seen, read/seen-backward, between/seen). A read returns events of one
// stream, even if the stream is hard deleted and created again during the read (read/replaced, read/pinned,
// between/pages-replaced, open-tx/replaced).
//
// P3, positions. Positions are 1, 2, 3, without gaps but for events that were hard deleted (all/positions,
// all/hard-deleted, all/hard-deleted-stretch). A position never changes and never goes to another event (all/stable,
// all/hard-deleted-tail, all/hard-deleted-whole).
//
// P4, nothing is missed. Once a reader has seen position p, no event appears at or below p any more, whatever was
// uncommitted, rolled back or slow at that time (concurrent/never-miss, open-tx/late-commit, open-tx/any-order). So a
// reader that notes the last position it has dealt with, and goes on with [ReadOptions].After, sees every event
// (read/after).
//
// P5, order. In All, the events of a stream come in the order of their versions, those of one append are adjacent, and
// an append that was begun after another was committed comes after it (all/order, tx/order, open-tx/several-appends,
// concurrent/append-many-streams). The appends of one [Store.AppendAll] come in the order of the call (append-all/order). A reader of
// All sees every append that was committed before it began to read (concurrent/read-own-append).
//
// P6, slow transactions. A transaction that appended and stays open delays only writes to the streams that it wrote to;
// other appends go on, and readers see their events. Its own get their positions when it commits (open-tx/others-go-on,
// open-tx/readers-go-on, open-tx/not-seen). Of all writes of a backend that wait for the same stream, one waits in the
// database. The others wait in the process, without a connection, in the order they came, so that the connections of a
// pool are not used up (open-tx/many-wait). An append to several streams that waits for one of them delays appends to its other streams
// for no more than a moment (open-tx/append-all-waits), and calls with the same streams do not wait for each other in a circle
// (concurrent/append-all-new, open-tx/append-all-crosses). A write in a caller's transaction waits in the database, on the connection of
// that transaction. SQLite has one writer at a time: there an open transaction that wrote keeps every other writer waiting,
// while readers go on.
//
// P7, at least once. A persistent subscription delivers every event at least once and in order, across crashes, restarts
// and takeover by another process (sub/catch-up-all, sub/many, sub/crash, sub/takeover-crash, sub/close-flushes). One
// process runs it at a time: whoever has lost the lease writes nothing any more, and its subscribers are told
// (sub/one-runs, sub/late-write, sub/lease-lost, lease/stale, lease/concurrent, checkpoint/forward-only).
//
// P8, exactly once. A projection in a transaction applies each event exactly once, and the events of a partition key in
// order, whatever crashes when, however many processes run it, and while the number of its partitions changes
// (project/once, project/crash, project/commit-unknown, project/fenced, project/partitions, project/repartition,
// project/random, advance/fence). What it puts aside is not lost (project/park, project/replay).
//
// P9, other servers. All of this still holds in a copy of the database, made by dump and restore or by replication.
// If a copy lacks events that a reader has handled, as after a failover to a standby that lagged, a subscription or projection
// ends with [ErrPositionLost], however far the copy has gone on since: the database refuses a checkpoint whose last event is not in
// its place (checkpoint/seen, checkpoint/above-end, checkpoint/known, advance/seen, filter/ends). Call Consume or Project again: a
// subscription goes on behind the last checkpoint that the copy has, and delivers every event of the new history. A projection needs
// no reset, since its read model went back with the database. A read with After compares only the position, so it fails while the
// copy ends before that position (read/after-lost).
//
// # Expected versions
//
// Every write says what it believes of the stream: [Version](n), [NoStream], [StreamExists], or [Any], which claims
// nothing. The belief is judged under the stream's lock, together with the write (matrix/append, matrix/link,
// matrix/soft-delete, matrix/hard-delete, matrix/undelete). Any and StreamExists never conflict on a version, however many write at the
// same time (concurrent/append-any, concurrent/append-stream-exists).
//
// An append that is sent again as it was, with the same event ids, succeeds and returns the first result (retry/same,
// retry/batch, append-all/retry, concurrent/append-retry), however its data are encoded this time (retry/encoded-anew). Any other use of a known id
// is [ErrDuplicateEvent], also with other types or data in the same places (retry/other-content, retry/not-the-same,
// append/known-id).
//
// # Transactions
//
// [Store.WithTx] returns the Store over a *sql.Tx of the caller's; WithTx of package backend/postgres/pgxtx does over a pgx.Tx. Its events and the caller's tables are committed or
// rolled back together (tx/commit, tx/rollback). Code in a transaction sees what it wrote to a stream
// (tx/read-own-writes). The Store never ends that transaction, retries in it, changes its session, or uses another
// connection beside it.
//
// A conflict, a duplicate id or an unknown one is an answer, not a failed statement: the transaction can be used on
// (tx/usable-after-error, open-tx/lost-race). [ErrRetryTx] means that it can't: at REPEATABLE READ and above PostgreSQL
// ends a transaction that meets another's newer write, at any level it ends one of two that wait for each other, and
// SQLite refuses to let a deferred transaction write that has read before somebody else wrote.
//
// No rows are open while the caller's code runs, so that a loop over [Store.Stream] may use the same transaction, or a
// pool of one connection (tx/calls-while-reading, read/calls-while-reading).
//
// # Subscriptions
//
// [Store.Subscribe] returns a [Subscriber] to a named, durable subscription: [Subscriber.Next], then [Subscriber.Ack].
// [Store.Consume] is a loop around it that calls a handler. [Store.Watch] shows new events and remembers nothing. A
// subscription reads pages until it has caught up; from then on one reader per Store hands new events to all its
// subscriptions. What is in flight and what is queued is bounded (sub/buffer-size, sub/max-size), and a slow subscriber
// holds up no other subscription (sub/slow-one). Several subscribers share one subscription in turns (sub/round-robin, sub/turns), by
// partition key if need be: then a key's events are never unacknowledged at two of them (sub/partition,
// sub/partition-closes). An event that hangs or fails delays only events of its key (sub/consume-hangs, sub/consume-poison,
// sub/poison-key), and Consume keeps all its handlers busy while there are keys (sub/consume-busy).
//
// An event that its handler fails on is tried again by Consume, left out, or parked with all behind it of the same key, as the
// program decides (sub/consume-retries, sub/consume-skips, sub/park, sub/park-keys). [Store.ReplayParked] has it handled again, in order
// (sub/park-again, sub/park-takeover); a crash loses nothing that is parked (sub/park-crash, sub/park-epoch). At an event of a version that
// the program does not know, [ErrUnknownVersion], a subscription or projection waits, see [RetryThen].
//
// New events are found by hints: of this Store's own commits, and of other processes' where [Options].Notifier carries
// them. A hint may be lost: a Store with subscribers also looks by itself (sub/hint-lost, sub/hint-late).
//
// [Store.Subscriptions] and [Store.Projections] show from any process what goes wrong: which process runs a reader, by the Name
// in its options (lease/owner); the last error, with its event and time (checkpoint/error-event), until that event or one behind
// it is dealt with (checkpoint/error-over, advance/error); and since when a reader that has something to do has not moved
// (arrivals/all, arrivals/stream). What no call returns goes to [Options].Logger.
//
// # Projections
//
// [Store.Project] keeps a read model in the same database: its handler gets a transaction, and what it writes there is
// committed together with the checkpoint and the proof that nobody else has taken over. Processes share the partitions of
// a projection by themselves (project/share). An event that fails is found by halving its batch, and tried again, left
// out, or parked with all behind it of the same key, as the program decides (project/halves, project/skip, project/stop,
// project/park). What is parked is replayed key by key: no key waits for another (project/replay-beside, project/replay-retried).
// [Store.WaitFor] waits until a read model has what was just written (project/wait-for);
// [Store.ResetProjection] builds it again (project/reset), and [Store.ReplaceProjection] puts a new one in its place
// (project/replace). For a read model elsewhere there is Consume: at least once.
//
// # Replicas
//
// A backend may be given a replica of its database to read from, such as a streaming standby (postgres.Options.Reads). Reads then lag, and
// [Store.Primary] reads without a lag. The promises hold, except that a read does not see every append that was committed before it:
//   - Once a reader has seen a position of the replica, no event appears at or below it.
//   - Subscriptions and projections read events there and write checkpoints, leases and read models at the primary, in the same transactions
//     as ever. They hand on no event before the primary shows it, too. The primary alone decides that events are lost: a replica that lags
//     makes a subscription wait, also one that another process ran before, with a replica that was ahead.
//   - Events that were hard deleted may be handed on until the replica has replayed that.
//   - A replica that can't be read, stops, or follows another primary is reported as [ErrReplica]. The primary is not read in its place.
//
// # Errors
//
// Errors are told apart by errors.Is with the sentinels of this package, and carry more for errors.As. An argument that
// breaks a limit is [ErrInvalid], and nothing was written (limits/stream, limits/type). When ctx has ended, errors.Is
// finds ctx.Err() (cancel/before, cancel/under-way). A read that fails yields its error once, last, and never ends as
// if the stream did (cancel/between-pages). Errors of the database can be unwrapped.
//
// # Concurrency
//
// A [Store] may be used by any number of goroutines, and any number of Stores, in any number of processes, may share a
// database. What WithTx returns is as good as the transaction: one goroutine at a time. A Store starts goroutines for
// subscribers, and with a Notifier; [Store.Close] ends them.
package store
