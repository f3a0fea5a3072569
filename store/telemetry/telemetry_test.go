package telemetry_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/telemetry"
)

// backplane is what a program has of OpenTelemetry.
type backplane struct {
	spans  *tracetest.SpanRecorder
	tracer trace.Tracer
	reader *metric.ManualReader
	opts   *telemetry.Options
}

func newBackplane(t *testing.T) *backplane {
	t.Helper()
	b := &backplane{spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	traces := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(b.spans))
	meters := metric.NewMeterProvider(metric.WithReader(b.reader))
	t.Cleanup(func() {
		assert.NoError(t, traces.Shutdown(context.WithoutCancel(t.Context())))
		assert.NoError(t, meters.Shutdown(context.WithoutCancel(t.Context())))
	})
	b.tracer = traces.Tracer("test")
	b.opts = &telemetry.Options{
		TracerProvider: traces, MeterProvider: meters,
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}
	return b
}

// open returns a Store over SQLite.
func (b *backplane) open(t *testing.T) *store.Store {
	t.Helper()
	db, err := sql.Open("sqlite", sqlite.Memory())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	backend := sqlite.New(db, nil)
	require.NoError(t, migrate.Up(t.Context(), backend))
	es := store.New(backend, &store.Options{Observer: telemetry.New(b.opts)})
	t.Cleanup(func() { assert.NoError(t, es.Close()) })
	return es
}

// named returns the ended spans of a name.
func (b *backplane) named(name string) (list []sdktrace.ReadOnlySpan) {
	for _, s := range b.spans.Ended() {
		if s.Name() == name {
			list = append(list, s)
		}
	}
	return list
}

// points returns the measurements of a metric, each as its attributes and its sum and count, and its unit.
func (b *backplane) points(t *testing.T, name string) (points []string, unit string) {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, b.reader.Collect(t.Context(), &all))
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			unit = m.Unit
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					points = append(points, fmt.Sprintf("%s: %d", p.Attributes.Encoded(attribute.DefaultEncoder()), p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					assert.GreaterOrEqual(t, p.Sum, 0.0)
					points = append(points, fmt.Sprintf("%s: %d times", p.Attributes.Encoded(attribute.DefaultEncoder()), p.Count))
				}
			}
		}
	}
	slices.Sort(points)
	return points, unit
}

func attributesOf(s sdktrace.ReadOnlySpan) map[string]any {
	m := map[string]any{}
	for _, a := range s.Attributes() {
		m[string(a.Key)] = a.Value.AsInterface()
	}
	return m
}

type who struct {
	User string `json:"user"`
}

// consume handles the first n events.
func consume(t *testing.T, es *store.Store, n int, handler store.Handler) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := es.Consume(ctx, store.All, "mails", func(ctx context.Context, e store.Recorded) error {
		err := handler(ctx, e)
		if err == nil && e.Number == int64(n) {
			cancel()
		}
		return err
	}, &store.ConsumeOptions{MinBackoff: 1})
	require.ErrorIs(t, err, context.Canceled)
}

// TestTrace follows a trace from an append to the handlers, and to what they append.
func TestTrace(t *testing.T) {
	t.Parallel()
	b := newBackplane(t)
	es := b.open(t)

	ctx, request := b.tracer.Start(t.Context(), "request")
	member, err := baggage.NewMember("tenant", "t-1")
	require.NoError(t, err)
	bag, err := baggage.New(member)
	require.NoError(t, err)
	conversation := uuid.New()
	_, err = es.Append(baggage.ContextWithBaggage(ctx, bag), "order-17", store.NoStream, store.Event{
		Type: "order.placed", Metadata: who{"u-1"}, CorrelationID: conversation,
	})
	require.NoError(t, err)
	request.End()

	failed := false
	consume(t, es, 2, func(ctx context.Context, e store.Recorded) error {
		assert.Equal(t, "t-1", baggage.FromContext(ctx).Member("tenant").Value())
		assert.Equal(t, request.SpanContext().TraceID(), trace.SpanContextFromContext(ctx).TraceID())
		if e.Number == 2 {
			return nil
		}
		var m who
		require.NoError(t, e.DecodeMetadata(&m))
		assert.Equal(t, "u-1", m.User)
		if !failed {
			failed = true
			return errors.New("not yet")
		}
		_, err := es.Append(ctx, "order-17", store.Version(1), store.Event{Type: "order.mailed"})
		return err
	})

	appends, handles := b.named("append"), b.named("handle mails")
	require.Len(t, appends, 2)
	require.Len(t, handles, 3)
	first, second := appends[0], appends[1]
	failure, success, last := handles[0], handles[1], handles[2]
	for _, s := range slices.Concat(appends, handles) {
		assert.Equal(t, request.SpanContext().TraceID(), s.SpanContext().TraceID())
	}

	assert.Equal(t, request.SpanContext().SpanID(), first.Parent().SpanID())
	assert.Equal(t, trace.SpanKindProducer, first.SpanKind())
	assert.Equal(t, map[string]any{
		"messaging.system": "eventstore", "messaging.operation.name": "append", "messaging.operation.type": "send",
		"messaging.destination.name": "order-17",
	}, attributesOf(first))

	for i, s := range []sdktrace.ReadOnlySpan{failure, success} {
		assert.Equal(t, first.SpanContext().SpanID(), s.Parent().SpanID())
		assert.True(t, s.Parent().IsRemote())
		require.Len(t, s.Links(), 1)
		assert.Equal(t, first.SpanContext().SpanID(), s.Links()[0].SpanContext.SpanID())
		assert.Equal(t, trace.SpanKindConsumer, s.SpanKind())
		got := attributesOf(s)
		id := got["messaging.message.id"]
		assert.NoError(t, uuid.Validate(id.(string)))
		want := map[string]any{
			"messaging.system": "eventstore", "messaging.operation.name": "handle", "messaging.operation.type": "process",
			"messaging.destination.name": "$all", "messaging.destination.subscription.name": "mails",
			"messaging.message.id": id, "messaging.message.conversation_id": conversation.String(),
			"eventstore.event.type": "order.placed", "eventstore.event.stream": "order-17",
			"eventstore.event.version": int64(1), "eventstore.event.number": int64(1),
		}
		if i == 0 {
			want["error.type"] = "*errors.errorString"
		} else {
			want["eventstore.attempt"] = int64(2)
		}
		assert.Equal(t, want, got)
	}
	assert.Equal(t, sdktrace.Status{Code: codes.Error, Description: "not yet"}, failure.Status())
	assert.Equal(t, codes.Unset, success.Status().Code)

	assert.Equal(t, success.SpanContext().SpanID(), second.Parent().SpanID(), "what a handler appends goes on with the trace")
	assert.Equal(t, second.SpanContext().SpanID(), last.Parent().SpanID())
}

func TestNewTraces(t *testing.T) {
	t.Parallel()
	b := newBackplane(t)
	b.opts.NewTraces = true
	es := b.open(t)
	_, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "happened"})
	require.NoError(t, err)
	consume(t, es, 1, func(context.Context, store.Recorded) error { return nil })
	appended, handled := b.named("append")[0], b.named("handle mails")[0]
	assert.False(t, handled.Parent().IsValid())
	assert.NotEqual(t, appended.SpanContext().TraceID(), handled.SpanContext().TraceID())
	require.Len(t, handled.Links(), 1)
	assert.Equal(t, appended.SpanContext().SpanID(), handled.Links()[0].SpanContext.SpanID())
}

// TestProjection: a batch is linked to those that appended its events, each once, and no more than may be.
func TestProjection(t *testing.T) {
	t.Parallel()
	b := newBackplane(t)
	es := b.open(t)
	two := []store.Event{{Type: "happened"}, {Type: "happened"}}
	for range 130 {
		_, err := es.Append(t.Context(), "a", store.Any, two...)
		require.NoError(t, err)
	}
	events, err := es.Page(t.Context(), store.All, nil)
	require.NoError(t, err)
	require.Len(t, events, 260)
	project := func(events []store.Recorded, err error) {
		_, end := telemetry.New(b.opts).Begin(t.Context(), store.Operation{
			Kind: store.OpProject, Stream: store.All, Subscription: "totals", Partition: 3, Events: events, Attempt: 1,
		})
		end(store.Outcome{Err: err, Count: len(events)})
	}
	project(events[:4], nil)
	project(events, context.DeadlineExceeded)
	spans := b.named("project totals")
	require.Len(t, spans, 2)
	require.Len(t, spans[0].Links(), 2)
	for i, link := range spans[0].Links() {
		assert.Equal(t, b.named("append")[i].SpanContext().SpanID(), link.SpanContext.SpanID())
	}
	assert.False(t, spans[0].Parent().IsValid())
	assert.Equal(t, map[string]any{
		"messaging.system": "eventstore", "messaging.operation.name": "project", "messaging.operation.type": "process",
		"messaging.destination.name": "$all", "messaging.destination.subscription.name": "totals",
		"messaging.destination.partition.id": "3", "messaging.batch.message_count": int64(4),
	}, attributesOf(spans[0]))
	assert.Len(t, spans[1].Links(), 128)
	assert.Equal(t, "deadline_exceeded", attributesOf(spans[1])["error.type"])
	lag, _ := b.points(t, "eventstore.delivery.lag")
	require.Len(t, lag, 1)
	assert.Contains(t, lag[0], ": 264 times")
}

// TestMetrics lists what is measured.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBackplane(t)
	b.opts.Template = func(stream string) string {
		kind, _, _ := strings.Cut(stream, "-")
		return kind + "-{id}"
	}
	es := b.open(t)
	ctx := t.Context()
	two := []store.Event{{Type: "order.placed"}, {Type: "order.paid"}}
	for range 2 { // the second one is a conflict
		_, err := es.Append(ctx, "order-17", store.NoStream, two...)
		if err != nil {
			require.ErrorIs(t, err, store.ErrWrongExpectedVersion)
		}
	}
	_, err := es.Append(ctx, "", store.NoStream, two...)
	require.ErrorIs(t, err, store.ErrInvalid)
	events, err := es.Page(ctx, "order-17", nil)
	require.NoError(t, err)
	_, err = es.Link(ctx, "customer-1", store.Any, store.IDs(events...)...)
	require.NoError(t, err)
	failed := false
	consume(t, es, 2, func(context.Context, store.Recorded) error {
		if !failed {
			failed = true
			return fmt.Errorf("append: %w", store.ErrWrongExpectedVersion)
		}
		return nil
	})

	const append, link = "messaging.operation.name=append,messaging.operation.type=send,messaging.system=eventstore", "messaging.operation.name=link,messaging.system=eventstore"
	const read = "messaging.operation.name=read,messaging.operation.type=receive,messaging.system=eventstore"
	const order, customer = "messaging.destination.template=order-{id},", "messaging.destination.template=customer-{id},"
	const handle = "messaging.destination.name=$all,messaging.destination.subscription.name=mails,messaging.operation.name=handle,messaging.operation.type=process,messaging.system=eventstore"
	const conflict = "error.type=wrong_expected_version,"
	for _, m := range []struct {
		name, unit string
		points     []string // nil: at least one
	}{
		{"messaging.client.operation.duration", "s", []string{
			order + append + ": 1 times", customer + link + ": 1 times", order + read + ": 1 times",
			conflict + order + append + ": 1 times", "error.type=invalid," + append + ": 1 times",
		}},
		{"messaging.client.sent.messages", "{message}", []string{order + append + ": 2", conflict + order + append + ": 2"}},
		{"messaging.client.consumed.messages", "{message}", []string{order + read + ": 2", handle + ": 1", conflict + handle + ": 1"}},
		{"messaging.process.duration", "s", []string{handle + ": 2 times", conflict + handle + ": 1 times"}},
		{"eventstore.delivery.lag", "s", []string{handle + ": 2 times"}},
		{"eventstore.delivery.retries", "{event}", []string{handle + ": 1"}},
		{"eventstore.fetch.duration", "s", nil},
		{"eventstore.fetch.events", "{event}", nil},
		{"eventstore.lease.duration", "s", []string{"eventstore.lease.operation=acquire,messaging.destination.name=$all,messaging.destination.subscription.name=mails: 1 times"}},
	} {
		points, unit := b.points(t, m.name)
		assert.Equal(t, m.unit, unit, m.name)
		assert.NotEmpty(t, points, m.name)
		if m.points != nil {
			assert.ElementsMatch(t, m.points, points, m.name)
		}
	}

	// What SQLite doesn't do, or not so soon.
	o := telemetry.New(b.opts)
	for _, c := range []struct {
		op                     store.Operation
		out                    store.Outcome
		metric, unit, contains string
	}{
		{store.Operation{Kind: store.OpTick}, store.Outcome{Count: 7}, "eventstore.tick.positions", "{position}", ": 7"},
		{store.Operation{Kind: store.OpTick}, store.Outcome{}, "eventstore.tick.duration", "s", ": 2 times"},
		{store.Operation{Kind: store.OpCheckpoint, Count: 5}, store.Outcome{Count: 4, Lost: 1}, "eventstore.checkpoint.written", "{checkpoint}", ": 4"},
		{store.Operation{Kind: store.OpCheckpoint, Count: 1}, store.Outcome{Count: 1}, "eventstore.checkpoint.duration", "s", ": 2 times"},
		{store.Operation{Kind: store.OpRenew}, store.Outcome{Count: 2, Lost: 2}, "eventstore.lease.lost", "{lease}", ": 3"},
		{store.Operation{Kind: store.OpSkip, Events: events, Subscription: "mails"}, store.Outcome{Err: errors.ErrUnsupported}, "eventstore.delivery.skipped", "{event}", "mails: 2"},
		{store.Operation{Kind: store.OpPark, Events: events}, store.Outcome{Err: errors.ErrUnsupported}, "eventstore.delivery.parked", "{event}", ": 2"},
		{store.Operation{Kind: "new"}, store.Outcome{}, "eventstore.delivery.parked", "{event}", ": 2"},
	} {
		before := len(b.spans.Started())
		_, end := o.Begin(ctx, c.op)
		end(c.out)
		assert.Len(t, b.spans.Started(), before, "%s has no span", c.op.Kind)
		points, unit := b.points(t, c.metric)
		assert.Equal(t, c.unit, unit, c.metric)
		assert.Contains(t, strings.Join(points, "\n"), c.contains, c.metric)
	}
	assert.NotEmpty(t, b.named("append order-{id}"))
	assert.NotEmpty(t, b.named("link customer-{id}"))
}

// TestMetadata: a trace goes through the metadata of any serializer that can carry it.
func TestMetadata(t *testing.T) {
	t.Parallel()
	b := newBackplane(t)
	pack := serializer.New(msgpack.Format{}, nil)
	for _, c := range []struct {
		name       string
		serializer store.Serializer
		metadata   any
		same       bool
	}{
		{"none", nil, nil, true},
		{"a map", nil, map[string]any{"user": "u-1", "n": 1}, true},
		{"a list", nil, []int{1}, false},
		{"not a trace context", nil, map[string]any{"traceparent": 1}, false},
		{"msgpack, none", pack, nil, true},
		{"msgpack, a map", pack, map[string]any{"user": "u-1", "n": 1}, true},
		{"msgpack, a struct", pack, who{"u-1"}, false},
	} {
		es := store.New(memory.New(), &store.Options{MetadataSerializer: c.serializer, Observer: telemetry.New(b.opts)})
		ctx, request := b.tracer.Start(t.Context(), "request")
		_, err := es.Append(ctx, "a", store.Any, store.Event{Type: "happened", Metadata: c.metadata})
		require.NoError(t, err, c.name)
		consume(t, es, 1, func(ctx context.Context, _ store.Recorded) error {
			same := trace.SpanContextFromContext(ctx).TraceID() == request.SpanContext().TraceID()
			assert.Equal(t, c.same, same, c.name)
			return nil
		})
		require.NoError(t, es.Close())
	}
}

// TestDefaults: with nothing set up, nothing is told and nothing added.
func TestDefaults(t *testing.T) {
	t.Parallel()
	es := store.New(memory.New(), &store.Options{Observer: telemetry.New(nil)})
	defer es.Close() //nolint:errcheck // the test's
	_, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "happened"})
	require.NoError(t, err)
	consume(t, es, 1, func(_ context.Context, e store.Recorded) error {
		assert.Nil(t, e.Metadata)
		return nil
	})
}
