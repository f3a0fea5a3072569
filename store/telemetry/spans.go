package telemetry

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/eventstore-go/eventstore/store"
)

// Attributes of spans that the conventions don't have.
const (
	eventType    = attribute.Key("eventstore.event.type")
	eventStream  = attribute.Key("eventstore.event.stream")
	eventVersion = attribute.Key("eventstore.event.version")
	eventNumber  = attribute.Key("eventstore.event.number")
	attempt      = attribute.Key("eventstore.attempt")
	retried      = attribute.Key("eventstore.append.retried")
	streams      = attribute.Key("eventstore.append.streams")
)

var system = semconv.MessagingSystemKey.String("eventstore")

// kinds are the operations that have spans.
var kinds = map[store.OperationKind]struct {
	span      trace.SpanKind
	operation attribute.KeyValue // messaging.operation.type, or none
}{
	store.OpAppend:   {trace.SpanKindProducer, semconv.MessagingOperationTypeSend},
	store.OpLink:     {trace.SpanKindClient, attribute.KeyValue{}},
	store.OpDelete:   {trace.SpanKindClient, attribute.KeyValue{}},
	store.OpUndelete: {trace.SpanKindClient, attribute.KeyValue{}},
	store.OpRead:     {trace.SpanKindClient, semconv.MessagingOperationTypeReceive},
	store.OpHandle:   {trace.SpanKindConsumer, semconv.MessagingOperationTypeProcess},
	store.OpProject:  {trace.SpanKindConsumer, semconv.MessagingOperationTypeProcess},
}

type spans struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	template   func(stream string) string
	newTraces  bool
}

// begin begins the span of an operation, or returns nil for one that has none.
func (s *spans) begin(ctx context.Context, op *store.Operation, start time.Time) (context.Context, trace.Span) {
	kind, ok := kinds[op.Kind]
	if !ok {
		return ctx, nil
	}
	name := string(op.Kind)
	attributes := make([]attribute.KeyValue, 0, 16)
	attributes = append(attributes, system, semconv.MessagingOperationName(name))
	if kind.operation.Valid() {
		attributes = append(attributes, kind.operation)
	}
	template := templateOf(s.template, op.Stream)
	if template != "" {
		attributes = append(attributes, semconv.MessagingDestinationTemplate(template))
	}
	if len(op.Streams) > 0 {
		attributes = append(attributes, streams.StringSlice(op.Streams))
	}
	if op.Stream != "" {
		attributes = append(attributes, semconv.MessagingDestinationName(op.Stream))
	}
	switch {
	case op.Subscription != "":
		attributes = append(attributes, semconv.MessagingDestinationSubscriptionName(op.Subscription))
		name += " " + op.Subscription
	case template != "":
		name += " " + template
	case op.Stream == store.All:
		name += " " + store.All
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(kind.span), trace.WithTimestamp(start)}
	switch op.Kind {
	case store.OpAppend, store.OpLink:
		attributes = append(attributes, count(op.Count)...)
	case store.OpHandle:
		e := &op.Events[0]
		attributes = append(attributes, about(e)...)
		if op.Attempt > 1 {
			attributes = append(attributes, attempt.Int(op.Attempt))
		}
		var producer trace.SpanContext
		ctx, producer = s.producer(ctx, e)
		if s.newTraces {
			options = append(options, trace.WithNewRoot())
		}
		if producer.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: producer}))
		}
	case store.OpProject:
		attributes = append(attributes, semconv.MessagingBatchMessageCount(len(op.Events)),
			semconv.MessagingDestinationPartitionID(strconv.Itoa(op.Partition)))
		if op.Attempt > 1 {
			attributes = append(attributes, attempt.Int(op.Attempt))
		}
	default:
	}
	ctx, span := s.tracer.Start(ctx, name, append(options, trace.WithAttributes(attributes...))...)
	if op.Kind == store.OpProject && span.IsRecording() { // only then: it has to decode metadata
		s.link(span, op.Events)
	}
	return ctx, span
}

// end ends a span.
func (s *spans) end(span trace.Span, op *store.Operation, out *store.Outcome, class string, end time.Time) {
	if out.Err != nil {
		span.SetAttributes(semconv.ErrorTypeKey.String(class))
		span.SetStatus(codes.Error, out.Err.Error())
	}
	if op.Kind == store.OpRead && out.Err == nil {
		span.SetAttributes(semconv.MessagingBatchMessageCount(out.Count))
	}
	if out.Retried {
		span.SetAttributes(retried.Bool(true))
	}
	span.End(trace.WithTimestamp(end))
}

// count says how many messages there are if it isn't one.
func count(n int) []attribute.KeyValue {
	if n == 1 {
		return nil
	}
	return []attribute.KeyValue{semconv.MessagingBatchMessageCount(n)}
}

// about tells an event.
func about(e *store.Recorded) []attribute.KeyValue {
	list := []attribute.KeyValue{
		semconv.MessagingMessageID(e.ID.String()),
		eventType.String(e.Type), eventStream.String(e.Stream), eventVersion.Int64(e.Version), eventNumber.Int64(e.Number),
	}
	if e.CorrelationID != uuid.Nil {
		list = append(list, semconv.MessagingMessageConversationID(e.CorrelationID.String()))
	}
	return list
}

// producer returns the context of the span that appended e, if it is known, also as the remote parent in a context that
// has the baggage of e, too.
func (s *spans) producer(ctx context.Context, e *store.Recorded) (context.Context, trace.SpanContext) {
	before := trace.SpanContextFromContext(ctx)
	ctx = s.propagator.Extract(ctx, &carrier{event: e})
	if now := trace.SpanContextFromContext(ctx); !now.Equal(before) {
		return ctx, now
	}
	return ctx, trace.SpanContext{}
}

// mostLinks is how many links a span has at most; the SDK's default limit is the same.
const mostLinks = 128

// link links a span to those that appended the events.
func (s *spans) link(span trace.Span, events []store.Recorded) {
	type id struct {
		trace trace.TraceID
		span  trace.SpanID
	}
	linked := map[id]bool{}
	for i := range events {
		_, producer := s.producer(context.Background(), &events[i])
		this := id{producer.TraceID(), producer.SpanID()}
		if !producer.IsValid() || linked[this] {
			continue
		}
		if len(linked) == mostLinks {
			return
		}
		linked[this] = true
		span.AddLink(trace.Link{SpanContext: producer})
	}
}

func templateOf(template func(string) string, stream string) string {
	if template == nil || stream == "" || stream == store.All {
		return ""
	}
	return template(stream)
}
