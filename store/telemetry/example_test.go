package telemetry_test

import (
	"context"
	"fmt"
	"log"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/telemetry"
)

// A trace that begins with an append goes on in the handler of the event, and in what the handler appends.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	spans := tracetest.NewInMemoryExporter() // a program has one that sends them to a collector
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	es := store.New(memory.New(), &store.Options{Observer: telemetry.New(&telemetry.Options{
		TracerProvider: provider,
		Propagator:     propagation.TraceContext{},
	})})
	defer es.Close() //nolint:errcheck // an example

	if _, err := es.Append(ctx, "order-17", store.NoStream, store.Event{Type: "order.placed"}); err != nil {
		log.Fatal(err)
	}
	_ = es.Consume(ctx, store.All, "order-mails", func(ctx context.Context, e store.Recorded) error {
		defer cancel() // a program would go on
		_, err := es.Append(ctx, e.Stream, store.Version(1), store.Event{Type: "order.mailed"})
		return err
	}, nil)

	list := spans.GetSpans()
	for _, s := range list {
		fmt.Println(s.Name, s.SpanKind, s.SpanContext.TraceID() == list[0].SpanContext.TraceID())
	}
	// Output:
	// append producer true
	// append producer true
	// handle order-mails consumer true
}
