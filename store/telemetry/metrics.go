package telemetry

import (
	"context"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"

	"github.com/eventstore-go/eventstore/store"
)

// Bounds of histograms, in seconds.
var (
	// seconds are those that the conventions ask for.
	seconds = metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
	// milliseconds are for what the database does for subscriptions.
	milliseconds = metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
	// delays reach from a hint in the same process to a subscription that was down for a day.
	delays = metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
)

// leaseOperation is an attribute of eventstore.lease.duration: acquire or renew.
const leaseOperation = attribute.Key("eventstore.lease.operation")

// metrics are all instruments.
type metrics struct {
	template func(stream string) string

	operations metric.Float64Histogram
	sent       metric.Int64Counter
	processes  metric.Float64Histogram
	consumed   metric.Int64Counter

	lag     metric.Float64Histogram
	retries metric.Int64Counter
	skipped metric.Int64Counter
	parked  metric.Int64Counter

	fetches     metric.Float64Histogram
	fetched     metric.Int64Counter
	ticks       metric.Float64Histogram
	positions   metric.Int64Counter
	leases      metric.Float64Histogram
	lost        metric.Int64Counter
	checkpoints metric.Float64Histogram
	written     metric.Int64Counter

	mu   sync.RWMutex
	sets map[setKey]metric.MeasurementOption
}

func newMetrics(meter metric.Meter, template func(string) string) *metrics {
	histogram := func(name, unit, description string, bounds metric.HistogramOption) metric.Float64Histogram {
		return must(meter.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description), bounds))
	}
	counter := func(name, unit, description string) metric.Int64Counter {
		return must(meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description)))
	}
	return &metrics{
		template: template,

		operations: must(messagingconv.NewClientOperationDuration(meter, seconds)).Inst(),
		sent:       must(messagingconv.NewClientSentMessages(meter)).Inst(),
		processes:  must(messagingconv.NewProcessDuration(meter, seconds)).Inst(),
		consumed:   must(messagingconv.NewClientConsumedMessages(meter)).Inst(),

		lag:     histogram("eventstore.delivery.lag", "s", "Time from an event's creation to its first delivery.", delays),
		retries: counter("eventstore.delivery.retries", "{event}", "Number of events that were handed again to a handler that had failed."),
		skipped: counter("eventstore.delivery.skipped", "{event}", "Number of events that were left out since their handler failed."),
		parked:  counter("eventstore.delivery.parked", "{event}", "Number of events that were set aside since their handler failed."),

		fetches:     histogram("eventstore.fetch.duration", "s", "Duration of reading a page for subscriptions.", milliseconds),
		fetched:     counter("eventstore.fetch.events", "{event}", "Number of events read for subscriptions."),
		ticks:       histogram("eventstore.tick.duration", "s", "Duration of giving committed events their positions.", milliseconds),
		positions:   counter("eventstore.tick.positions", "{position}", "Number of positions that ticks of this process gave."),
		leases:      histogram("eventstore.lease.duration", "s", "Duration of acquiring a lease, or of renewing all.", milliseconds),
		lost:        counter("eventstore.lease.lost", "{lease}", "Number of leases that turned out to be lost."),
		checkpoints: histogram("eventstore.checkpoint.duration", "s", "Duration of writing checkpoints.", milliseconds),
		written:     counter("eventstore.checkpoint.written", "{checkpoint}", "Number of checkpoints written."),

		sets: map[setKey]metric.MeasurementOption{},
	}
}

// must reports an instrument that can't be made; what there is of it does nothing.
func must[T any](instrument T, err error) T {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}

// begin measures what is known when an operation begins.
func (m *metrics) begin(ctx context.Context, op *store.Operation, start time.Time) {
	switch op.Kind {
	case store.OpHandle, store.OpProject:
	default:
		return
	}
	set := m.set(op, "")
	if op.Attempt > 1 {
		m.retries.Add(ctx, int64(len(op.Events)), set)
		return
	}
	for i := range op.Events {
		// Clocks differ: an event may come from the future.
		m.lag.Record(ctx, max(start.Sub(op.Events[i].CreatedAt).Seconds(), 0), set)
	}
}

// end measures an operation that has ended.
func (m *metrics) end(ctx context.Context, op *store.Operation, out *store.Outcome, class string, took time.Duration) {
	set, n, duration := m.set(op, class), int64(out.Count), took.Seconds()
	switch op.Kind {
	case store.OpAppend:
		m.operations.Record(ctx, duration, set)
		if class != "invalid" && class != "closed" { // those were not even tried
			m.sent.Add(ctx, int64(op.Count), set)
		}
	case store.OpLink, store.OpDelete, store.OpUndelete:
		m.operations.Record(ctx, duration, set)
	case store.OpRead:
		m.operations.Record(ctx, duration, set)
		m.consumed.Add(ctx, n, set)
	case store.OpHandle, store.OpProject:
		m.processes.Record(ctx, duration, set)
		if op.Attempt <= 1 {
			m.consumed.Add(ctx, int64(len(op.Events)), set)
		}
	case store.OpSkip:
		m.skipped.Add(ctx, int64(len(op.Events)), set)
	case store.OpPark:
		m.parked.Add(ctx, int64(len(op.Events)), set)
	case store.OpFetch:
		m.fetches.Record(ctx, duration, set)
		m.fetched.Add(ctx, n, set)
	case store.OpTick:
		m.ticks.Record(ctx, duration, set)
		m.positions.Add(ctx, n, set)
	case store.OpAcquire:
		m.leases.Record(ctx, duration, set)
	case store.OpRenew:
		m.leases.Record(ctx, duration, set)
		m.lost.Add(ctx, int64(out.Lost))
	case store.OpCheckpoint:
		m.checkpoints.Record(ctx, duration, set)
		m.written.Add(ctx, n, set)
		m.lost.Add(ctx, int64(out.Lost))
	}
}

// setKey is what a set of attributes is made of. There are few.
type setKey struct {
	kind                                     store.OperationKind
	all                                      bool
	template, subscription, partition, class string
}

// set returns the attributes of an operation's measurements, made once.
func (m *metrics) set(op *store.Operation, class string) metric.MeasurementOption {
	key := setKey{
		kind: op.Kind, all: op.Stream == store.All, template: templateOf(m.template, op.Stream),
		subscription: op.Subscription, class: class,
	}
	if op.Kind == store.OpProject {
		key.partition = strconv.Itoa(op.Partition)
	}
	m.mu.RLock()
	set, ok := m.sets[key]
	m.mu.RUnlock()
	if ok {
		return set
	}
	set = metric.WithAttributeSet(attribute.NewSet(key.attributes()...))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sets[key] = set
	return set
}

func (k setKey) attributes() []attribute.KeyValue {
	var list []attribute.KeyValue
	if kind, ok := kinds[k.kind]; ok {
		list = append(list, system, semconv.MessagingOperationName(string(k.kind)))
		if kind.operation.Valid() {
			list = append(list, kind.operation)
		}
	}
	if k.kind == store.OpAcquire || k.kind == store.OpRenew {
		list = append(list, leaseOperation.String(string(k.kind)))
	}
	if k.all { // the names of others are too many
		list = append(list, semconv.MessagingDestinationName(store.All))
	}
	if k.template != "" {
		list = append(list, semconv.MessagingDestinationTemplate(k.template))
	}
	if k.subscription != "" {
		list = append(list, semconv.MessagingDestinationSubscriptionName(k.subscription))
	}
	if k.partition != "" {
		list = append(list, semconv.MessagingDestinationPartitionID(k.partition))
	}
	if k.class != "" {
		list = append(list, semconv.ErrorTypeKey.String(k.class))
	}
	return list
}
