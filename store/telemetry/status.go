package telemetry

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/eventstore-go/eventstore/store"
)

// Attributes of what [Status] measures.
const (
	subscriptionName = attribute.Key("messaging.destination.subscription.name")
	partitionNumber  = attribute.Key("eventstore.partition")
)

// Status measures how far subscriptions and projections have come, whoever runs them, each time that metrics are
// collected: one that stands still shows here, while it tells nothing by itself. One process that does so is enough. Of
// opts the MeterProvider counts. Unregister what comes back before the Store is closed.
func Status(es *store.Store, opts *Options) (metric.Registration, error) {
	var provider metric.MeterProvider
	if opts != nil {
		provider = opts.MeterProvider
	}
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	meter := provider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	gauge := func(name, unit, description string) metric.Int64ObservableGauge {
		return must(meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description)))
	}
	s := &status{
		es:         es,
		checkpoint: gauge("eventstore.subscription.checkpoint", "{position}", "Number of the last event that was dealt with."),
		lag:        gauge("eventstore.subscription.lag", "{event}", "Numbers between the checkpoint and the end of the stream."),
		stalled: must(meter.Float64ObservableGauge("eventstore.subscription.stalled", metric.WithUnit("s"),
			metric.WithDescription("Time since it has moved while there are events behind its checkpoint."))),
		held:   gauge("eventstore.subscription.held", "{lease}", "1 while some process runs it, else 0."),
		parked: gauge("eventstore.projection.parked", "{event}", "Number of events that are set aside."),
		aside:  gauge("eventstore.subscription.parked", "{event}", "Number of events that are set aside."),
		delay: must(meter.Float64ObservableGauge("eventstore.projection.delay", metric.WithUnit("s"),
			metric.WithDescription("Time since the first event that was not looked at came into the stream."))),
	}
	return meter.RegisterCallback(s.observe, s.checkpoint, s.lag, s.stalled, s.held, s.parked, s.aside, s.delay)
}

// status are the instruments.
type status struct {
	es *store.Store

	checkpoint, lag, held, parked, aside metric.Int64ObservableGauge
	stalled, delay                       metric.Float64ObservableGauge
}

func (s *status) observe(ctx context.Context, to metric.Observer) error {
	subscriptions, err := s.es.Subscriptions(ctx)
	if err != nil {
		return err
	}
	for _, i := range subscriptions {
		attributes := []attribute.KeyValue{semconv.MessagingDestinationName(i.Stream), subscriptionName.String(i.Name)}
		s.subscription(to, i, attributes...)
		to.ObserveInt64(s.aside, i.Parked, metric.WithAttributes(attributes...))
	}
	projections, err := s.es.Projections(ctx)
	if err != nil {
		return err
	}
	for _, projection := range projections {
		for _, p := range projection.Partitions {
			attributes := []attribute.KeyValue{
				semconv.MessagingDestinationName(projection.Stream), subscriptionName.String(projection.Name), partitionNumber.Int(p.Partition),
			}
			s.subscription(to, p.SubscriptionInfo, attributes...)
			to.ObserveInt64(s.parked, p.Parked, metric.WithAttributes(attributes...))
			to.ObserveFloat64(s.delay, p.Delay().Seconds(), metric.WithAttributes(attributes...))
		}
	}
	return nil
}

func (s *status) subscription(to metric.Observer, i store.SubscriptionInfo, attributes ...attribute.KeyValue) {
	with := metric.WithAttributes(attributes...)
	held := int64(0)
	if i.Held {
		held = 1
	}
	to.ObserveInt64(s.checkpoint, i.Passed(), with)
	to.ObserveInt64(s.lag, i.Lag(), with)
	to.ObserveFloat64(s.stalled, i.Stalled().Seconds(), with)
	to.ObserveInt64(s.held, held, with)
}
