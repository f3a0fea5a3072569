package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// BatchHandler applies events to a read model through tx. What it writes is committed together with the checkpoint, or
// not at all. It must not end tx, and write nothing to the database on another connection. The context ends when
// Project's does, and when the lease of the partition is lost.
type BatchHandler func(ctx context.Context, tx *sql.Tx, events []Recorded) error

// Defaults of [ProjectOptions].
const (
	DefaultBatchSize = 1000
	DefaultBatchTime = time.Second
)

// ProjectOptions of a projection. The zero value of each field is its default. Stream, Start, Partitions, and whether
// there is a PartitionBy, count when the projection is created.
type ProjectOptions struct {
	// Stream is the stream that is projected. Default: All.
	Stream string
	// Filter chooses events in the database. Default: all.
	Filter EventFilter
	// Start is where the projection begins. Default: StartOrigin.
	Start Start
	// Partitions is how many partitions a new projection has, at most MaxPartitions; later [Store.Repartition] changes it.
	// Each is run by one process at a time, and in a transaction of its own, so a process needs a connection for
	// each that it runs. Default: 1.
	Partitions int
	// PartitionBy gives an event its partition key, which must always be the same. The events of a key are applied in
	// order, and parked together. Default: the name of the event's stream.
	PartitionBy func(Recorded) string
	// BatchSize is how many events are applied in a transaction at most. Default: DefaultBatchSize.
	BatchSize int
	// BatchTime is how long a transaction should take: batches get smaller where one takes longer. Default:
	// DefaultBatchTime.
	BatchTime time.Duration
	// OnError decides about an event that the handler failed on, alone in its batch, for the attempt-th time in a row
	// from 1; or for which PartitionBy panicked, which can't be parked. It is not asked about errors that say nothing
	// of the event, as when the handler's connection broke, or the database ended one of two transactions that waited for each
	// other: after these the batch is tried again. Any other error of the handler is its own, whatever SQLSTATE it has. While the
	// database can't write what OnError has decided, the handler is called again, and OnError is asked again. Default: Retry, for
	// ever. See [RetryThen]. While an event is retried the new events of its partition wait, whatever their key, so park what does
	// not succeed: then only its key waits.
	OnError func(e Recorded, err error, attempt int) Decision
	// MinBackoff and MaxBackoff bound the wait before a batch is tried again. It grows from one to the other, with some
	// chance in it. Default: 100 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// RetryInterval and Timeout are those of [SubscribeOptions].
	RetryInterval, Timeout time.Duration
	// OnState is called when a partition that runs in this Store has changed its state. See [SubscribeOptions].
	OnState func(partition int, state SubscriptionState)
}

// checked returns the options with their defaults, or what is wrong with them.
func (o *ProjectOptions) checked() (ProjectOptions, error) {
	var c ProjectOptions
	if o != nil {
		c = *o
	}
	for _, f := range []struct {
		name        string
		value       *int
		most, other int
	}{
		{"Partitions", &c.Partitions, MaxPartitions, 1},
		{"BatchSize", &c.BatchSize, MaxPageSize, DefaultBatchSize},
	} {
		switch {
		case *f.value == 0:
			*f.value = f.other
		case *f.value < 1 || *f.value > f.most:
			return c, &InvalidError{Field: f.name, Reason: fmt.Sprintf("is %d, must be from 1 to %d", *f.value, f.most)}
		}
	}
	if c.BatchTime < 0 || c.MinBackoff < 0 || c.MaxBackoff < 0 {
		return c, &InvalidError{Field: "BatchTime, MinBackoff, MaxBackoff", Reason: "must not be negative"}
	}
	if c.BatchTime == 0 {
		c.BatchTime = DefaultBatchTime
	}
	c.MinBackoff, c.MaxBackoff = backoffs(c.MinBackoff, c.MaxBackoff)
	if c.Stream == "" {
		c.Stream = All
	}
	if c.Stream != All {
		if err := checkStream(c.Stream); err != nil {
			return c, err
		}
	}
	sub, err := c.subscribeOptions().checked()
	if err != nil {
		return c, err
	}
	c.Filter, c.RetryInterval, c.Timeout = sub.Filter, sub.RetryInterval, sub.Timeout
	return c, nil
}

// subscribeOptions are those of a partition, but for what depends on the partition.
func (o *ProjectOptions) subscribeOptions() *SubscribeOptions {
	return &SubscribeOptions{
		Start: o.Start, BufferSize: o.BatchSize, Filter: o.Filter, RetryInterval: o.RetryInterval, Timeout: o.Timeout,
	}
}

// projection is what Project was called with, which its partitions share.
type projection struct {
	hub     *hub
	storage ProjectionStorage
	name    string
	handler BatchHandler
	opts    ProjectOptions
}
