package store

import (
	"context"

	"github.com/google/uuid"
)

// causeKey is the key of a cause in a context.
type causeKey struct{}

type cause struct{ causation, correlation uuid.UUID }

// WithCause returns a context in which appended events say that e has caused them: where they have no CausationID it is
// e's ID, and where they have no CorrelationID it is e's, or e's ID if it has none. Handlers of [Store.Consume] get such a
// context.
func WithCause(ctx context.Context, e Recorded) context.Context {
	c := cause{causation: e.ID, correlation: e.CorrelationID}
	if c.correlation == uuid.Nil {
		c.correlation = e.ID
	}
	return context.WithValue(ctx, causeKey{}, c)
}

// WithCorrelation returns a context in which appended events have the CorrelationID where they have none: that of a
// request, for instance, that begins a conversation. They say no more what caused them.
func WithCorrelation(ctx context.Context, correlationID uuid.UUID) context.Context {
	return context.WithValue(ctx, causeKey{}, cause{correlation: correlationID})
}

// inherit gives the event what the context says of its cause.
func (n *NewEvent) inherit(c cause) {
	if n.CausationID == uuid.Nil {
		n.CausationID = c.causation
	}
	if n.CorrelationID == uuid.Nil {
		n.CorrelationID = c.correlation
	}
}
