package store

import (
	"context"
	"time"
)

// Handler handles an event. While it returns an error, the event is handled again.
type Handler func(ctx context.Context, e Recorded) error

// ConsumeOptions of [Store.Consume]. The zero value of each field is its default.
type ConsumeOptions struct {
	SubscribeOptions
	// Handlers is how many events are handled at a time. Default: 1. ConcurrencyLimit is at least this. Each handler is a
	// subscriber of its own. It takes one event at a time, or events of one partition key, so that all handlers are busy whenever
	// there are as many keys, or events without a key. While a handler is idle, a slow one delays only the events of its key: the
	// idle one also handles retries that are due, and replays parked events of other keys.
	//
	// With one handler and no PartitionBy, events are handled in order, and a retry delays all events behind it. Otherwise events are
	// in order only within a partition key: until a retry is due, its handler goes on with other keys and with events without a key. A
	// handler with BufferSize retries takes no new events. A parked event whose replay has failed delays only its key.
	Handlers int
	// OnError decides about an event whose handler failed, for the attempt-th time in a row from 1, or whose callback did. An
	// event is parked under its partition key, without PartitionBy under its stream's name. A later event of the key is
	// parked behind it without being handled, unless it has been tried before. Default: Retry, for ever. See [RetryThen].
	OnError func(e Recorded, err error, attempt int) Decision
	// MinBackoff and MaxBackoff bound the wait before an event is handled again. It grows from one to the other, with
	// some chance in it. Default: 100 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
}

// checked returns the options with their defaults, or what is wrong with them. Subscribe checks the others.
func (o *ConsumeOptions) checked() (c ConsumeOptions, err error) {
	if o != nil {
		c = *o
	}
	switch {
	case c.Handlers < 0:
		return c, &InvalidError{Field: "Handlers", Reason: "is negative"}
	case c.MinBackoff < 0 || c.MaxBackoff < 0:
		return c, &InvalidError{Field: "MinBackoff, MaxBackoff", Reason: "must not be negative"}
	}
	c.Handlers = max(c.Handlers, 1)
	c.handlers = c.Handlers
	c.MinBackoff, c.MaxBackoff = backoffs(c.MinBackoff, c.MaxBackoff)
	return c, nil
}

// unordered reports whether events of other keys, or without a key, may be handled while one waits to be handled again.
func (o *ConsumeOptions) unordered() bool { return o.Handlers > 1 || o.PartitionBy != nil }
