package relay_test

import (
	"context"
	"fmt"
	"log"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/relay"
)

// printer prints what is published. A program has a publisher of watermill for Kafka, NATS, RabbitMQ or another broker.
type printer struct{ done func() }

func (p printer) Publish(topic string, messages ...*message.Message) error {
	for _, m := range messages {
		fmt.Println(topic, m.Metadata.Get(relay.HeaderStream), m.Metadata.Get(relay.HeaderVersion), string(m.Payload))
	}
	p.done()
	return nil
}

func (printer) Close() error { return nil }

func ExampleRun() {
	ctx, cancel := context.WithCancel(context.Background())
	es := store.New(memory.New(), nil)
	defer es.Close() //nolint:errcheck // the program ends
	if _, err := es.Append(ctx, "order-17", store.NoStream, store.Event{Type: "order.placed", Data: 1200}); err != nil {
		log.Fatal(err)
	}

	err := relay.Run(ctx, es, "to-broker", printer{cancel}, &relay.Options{Topic: relay.To("orders")}) // a program goes on until it is told to end
	fmt.Println(err)
	// Output:
	// orders order-17 1 1200
	// context canceled
}

// An event as a CloudEvent in JSON, for consumers that speak the standard.
func ExampleCloudEvents() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	defer es.Close() //nolint:errcheck // the program ends
	if _, err := es.Append(ctx, "order-17", store.NoStream, store.Event{Type: "order.placed", Data: map[string]int{"cents": 1200}}); err != nil {
		log.Fatal(err)
	}
	format := relay.CloudEvents("/shop/orders")
	for e, err := range es.All(ctx, nil) {
		if err != nil {
			log.Fatal(err)
		}
		m, err := format(e)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m.UUID == e.ID.String(), m.Metadata.Get(relay.HeaderContentType))
	}
	// Output:
	// true application/cloudevents+json; charset=UTF-8
}
