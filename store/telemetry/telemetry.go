// Package telemetry shows what a Store does as OpenTelemetry traces and metrics, and lets a trace go on from an append to
// the handlers of its events.
//
//	es := store.New(backend, &store.Options{Observer: telemetry.New(nil)})
//
// Appends, links, deletes and pages that are read are spans, and so is each call of a handler or projection. What goes
// on behind subscriptions (ticks, leases, checkpoints, pages fetched for them) is counted and timed, without spans. Names
// and units are those of OpenTelemetry's semantic conventions for messaging, as of version 1.43, or begin with
// "eventstore."; docs/telemetry.md lists them all.
//
// # Traces through events
//
// The context of an append's span, and its baggage, are put into the metadata of each of its events, by the Propagator:
// mostly as "traceparent", "tracestate" and "baggage". They are stored with the event for good, so give a
// propagation.TraceContext alone if baggage is nobody else's business. [store.Observer] says which metadata can carry
// them: absent metadata, maps, and all that is a JSON object when encoded, for example a struct. Other metadata, and
// those that have a trace context already, are left alone.
//
// The span of a handler is a child of the span that appended the event, and linked to it. What the handler appends
// belongs to that trace, too. The span of a projection's batch is linked to those that appended its events.
package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/eventstore-go/eventstore/store"
)

// Options of [New]. The zero value of each field is its default.
type Options struct {
	// TracerProvider makes the spans. Default: OpenTelemetry's global one.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the instruments. Default: OpenTelemetry's global one.
	MeterProvider metric.MeterProvider
	// Propagator puts the trace context into metadata and gets it out again. Default: OpenTelemetry's global one, which
	// does nothing unless the program has set it by otel.SetTextMapPropagator.
	Propagator propagation.TextMapPropagator
	// Template makes of a stream's name what many streams have in common, "order-{id}" of "order-17" for instance. It
	// becomes part of span names, and an attribute of metrics; there must be few. Default: neither tells the stream.
	Template func(stream string) string
	// NewTraces lets the span of a handler begin a trace of its own, which is linked to the append's but not part of it.
	// That suits handlers that run long after the append. Default: it belongs to the trace of the append.
	NewTraces bool
}

// scope names the tracer and the meter.
const scope = "github.com/eventstore-go/eventstore/store/telemetry"

// New returns an observer for the options of any number of Stores. It is safe for concurrent use.
func New(opts *Options) store.Observer {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	if o.Propagator == nil {
		o.Propagator = otel.GetTextMapPropagator()
	}
	return &observer{
		spans: spans{
			tracer:     o.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
			propagator: o.Propagator,
			template:   o.Template,
			newTraces:  o.NewTraces,
		},
		metrics: newMetrics(o.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)), o.Template),
	}
}

type observer struct {
	spans   spans
	metrics *metrics
}

var _ store.Observer = (*observer)(nil)

// Begin implements [store.Observer].
func (o *observer) Begin(ctx context.Context, op store.Operation) (context.Context, func(store.Outcome)) {
	start := time.Now()
	ctx, span := o.spans.begin(ctx, &op, start)
	o.metrics.begin(ctx, &op, start)
	return ctx, func(out store.Outcome) {
		end := time.Now()
		class := ""
		if out.Err != nil {
			class = errorType(out.Err)
		}
		// Before the span ends, so that it can be an exemplar. Both tell the same duration.
		o.metrics.end(ctx, &op, &out, class, end.Sub(start))
		if span != nil {
			o.spans.end(span, &op, &out, class, end)
		}
	}
}

// Headers implements [store.Observer].
func (o *observer) Headers(ctx context.Context) map[string]string {
	headers := propagation.MapCarrier{}
	o.spans.propagator.Inject(ctx, headers)
	return headers
}
