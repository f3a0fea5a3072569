package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// Defaults of [Options].
const (
	DefaultTopic    = "events"
	DefaultHandlers = 16
)

// Options of [Run]. The zero value of each field is its default.
type Options struct {
	// ConsumeOptions are those of the subscription, such as Start, Filter, OnError and MaxBackoff. Some have other defaults here: Handlers,
	// how many events are published at a time, is DefaultHandlers; PartitionBy, which gives an event the key whose order is kept, is the name
	// of the event's stream. With a PartitionBy that returns "" order is not kept. OnError retries for ever, which loses nothing.
	store.ConsumeOptions
	// Stream is the stream whose events are published. Default: store.All.
	Stream string
	// Topic returns the topic that an event is published to; it must not be empty. Leave events out by Filter or Selector. Default:
	// DefaultTopic for all.
	Topic func(e store.Recorded) string
	// Format makes a message of an event. Default: [Plain].
	Format Format
}

// To returns an [Options].Topic that is the same for all events.
func To(topic string) func(store.Recorded) string {
	return func(store.Recorded) string { return topic }
}

// ErrFormat is returned from a relay's handler if Format has failed, or Topic has returned none: trying again won't help. [Options].OnError
// finds it in a [FormatError].
var ErrFormat = errors.New("the event can't be made a message")

// FormatError says which event can't be made a message, and why. It is [ErrFormat].
type FormatError struct {
	ID   uuid.UUID
	Type string
	Err  error
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("relay: make a message of event %s of type %q: %v", e.ID, e.Type, e.Err)
}

// Is matches [ErrFormat].
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// Unwrap returns why.
func (e *FormatError) Unwrap() error { return e.Err }

// PublishError says that the publisher has failed. Its text does not hold what the event holds.
type PublishError struct {
	Topic string
	ID    uuid.UUID
	Err   error // the publisher's
}

func (e *PublishError) Error() string {
	return fmt.Sprintf("relay: publish event %s to %q: %v", e.ID, e.Topic, e.Err)
}

// Unwrap returns the publisher's error.
func (e *PublishError) Unwrap() error { return e.Err }

// Run publishes the events of a store, from the first one on or from where the subscription called name has come, until ctx ends. It is a
// call of [store.Store.Consume] whose handler publishes one event, and returns what Consume returns. opts may be nil.
//
// The publisher must be safe for concurrent use, and return only when the broker has the message: publishers that only queue it lose events
// in a crash. Run does not close it. The context of each message ends when ctx does, and when another process has taken the relay over.
func Run(ctx context.Context, es *store.Store, name string, publisher message.Publisher, opts *Options) error {
	if publisher == nil {
		return &store.InvalidError{Field: "publisher", Reason: "is nil"}
	}
	o := opts.withDefaults()
	handle := func(ctx context.Context, e store.Recorded) error {
		m, topic, err := o.message(e)
		if err != nil {
			return &FormatError{ID: e.ID, Type: e.Type, Err: err}
		}
		m.SetContext(ctx)
		if err := publisher.Publish(topic, m); err != nil {
			return &PublishError{Topic: topic, ID: e.ID, Err: err}
		}
		return nil
	}
	return es.Consume(ctx, o.Stream, name, handle, &o.ConsumeOptions)
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Stream == "" {
		c.Stream = store.All
	}
	if c.Topic == nil {
		c.Topic = To(DefaultTopic)
	}
	if c.Format == nil {
		c.Format = Plain
	}
	if c.Handlers == 0 {
		c.Handlers = DefaultHandlers
	}
	if c.PartitionBy == nil {
		c.PartitionBy = func(e store.Recorded) string { return e.Stream }
	}
	return c
}

// message returns the message of an event, and its topic.
func (o *Options) message(e store.Recorded) (*message.Message, string, error) {
	topic := o.Topic(e)
	if topic == "" {
		return nil, "", errors.New("the function Topic has returned an empty name")
	}
	m, err := o.Format(e)
	if err != nil {
		return nil, "", err
	}
	if m == nil {
		return nil, "", errors.New("Format has returned no message")
	}
	if m.Metadata == nil {
		m.Metadata = message.Metadata{}
	}
	if key := o.PartitionBy(e); key != "" {
		m.Metadata.Set(HeaderKey, key)
	}
	if o.Stream == store.All && m.Metadata.Get(HeaderPosition) == "" {
		m.Metadata.Set(HeaderPosition, fmt.Sprint(e.Number))
	}
	return m, topic, nil
}
