package store

import "context"

// Observer is told what a [Store] does, for traces and metrics. Package store/telemetry is one for OpenTelemetry. Its
// methods may be called concurrently and must not block. A Store without one does nothing in their place.
type Observer interface {
	// Begin is called when an operation begins, and end once, when it has ended. The operation goes on in the context that
	// Begin returns, which must be ctx or come from it.
	Begin(ctx context.Context, op Operation) (_ context.Context, end func(Outcome))
	// Headers returns what the events of an append carry in their metadata, such as a trace context, or nil. It is called
	// with the context that Begin returned for [OpAppend].
	//
	// Headers are added to metadata that is a JSON object when encoded, or a map[string]any or map[string]string in
	// another format, or absent: then the headers are the metadata. What can't carry them stays as it is, and so does
	// what has a field of one of these names already. They never make an append fail.
	Headers(ctx context.Context) map[string]string
}

// OperationKind says what an [Operation] is.
type OperationKind string

// Kinds of operations. New ones may come; an [Observer] leaves alone what it does not know.
const (
	OpAppend   OperationKind = "append"   // by Append or AppendAll
	OpLink     OperationKind = "link"     // by Link
	OpDelete   OperationKind = "delete"   // by Delete
	OpUndelete OperationKind = "undelete" // by Undelete
	OpRead     OperationKind = "read"     // a page, by Stream, All or Page

	OpHandle  OperationKind = "handle"  // a handler of Consume is called with one event
	OpProject OperationKind = "project" // a projection is called with a batch of events
	OpSkip    OperationKind = "skip"    // events that a handler failed on are left out; it ends at once
	OpPark    OperationKind = "park"    // events that a handler failed on are set aside; it ends at once

	OpFetch      OperationKind = "fetch"      // a page, for subscriptions
	OpTick       OperationKind = "tick"       // committed events get their positions
	OpAcquire    OperationKind = "acquire"    // a lease is asked for; ErrLeaseHeld if another Store has it
	OpRenew      OperationKind = "renew"      // all leases of a Store are renewed
	OpCheckpoint OperationKind = "checkpoint" // checkpoints are written
)

// Operation is something that a [Store] does. Fields that don't fit its kind are zero.
type Operation struct {
	Kind OperationKind
	// Stream is written to, read or subscribed to; [All] among them. It is empty for an [OpAppend] of several streams.
	Stream string
	// Streams are those that AppendAll appends to.
	Streams []string
	// Subscription is the name of the subscription, or of the projection.
	Subscription string
	// Partition is that of a projection, from 0.
	Partition int
	// Count is how many events are to be appended or linked, or checkpoints to be written.
	Count int
	// Events are handed to a handler or projection, skipped or parked. They must not be kept after the end.
	Events []Recorded
	// Attempt is how often these events have been handed to it by now, from 1, as far as this process knows.
	Attempt int
}

// Outcome is how an [Operation] has ended.
type Outcome struct {
	// Err is why it failed, or for [OpSkip] and [OpPark] why its handler did, or nil.
	Err error
	// Count is how many there were: events appended, linked, read, fetched or handled, positions given, leases renewed,
	// checkpoints written.
	Count int
	// Lost is how many leases turned out to be lost, by [OpRenew] or [OpCheckpoint].
	Lost int
	// Retried says that an append had been made before.
	Retried bool
}
