// Package relay publishes the events of a store to a message broker: Kafka, NATS, RabbitMQ, Google Pub/Sub, AWS and others, through the
// publishers of watermill, https://watermill.io.
//
//	publisher, err := nats.NewPublisher(...) // any message.Publisher
//	...
//	err = relay.Run(ctx, es, "to-nats", publisher, &relay.Options{Topic: relay.To("orders")})
//
// # What it promises
//
//   - At least once: every event that is appended is published, also after crashes of the relay, of the broker and of the database. An
//     event counts as published when Publish has returned nil.
//   - In order per key: the events of a key, by default of a stream, are published one after the other, in their order.
//   - The id of a message is the id of its event. A broker that drops messages whose id it knows, as NATS JetStream does, has each event
//     once. Elsewhere a consumer drops what it has seen: per stream, an event whose version is not above the last one.
//
// After a crash, events that were published but not yet in the checkpoint are published again, in order: by default those of the last
// second, or the last 1,000. The window in which a broker knows ids must be longer than the relay may be down.
//
// # Several processes
//
// A relay is a subscription, [store.Store.Consume]. Relays of one name in several processes take turns: one publishes, and another takes
// over when it ends, or, after store.Options.LeaseTTL, when it dies. Several events are published at a time by Options.Handlers, one of
// each key. To publish from several processes at a time, give each relay a name of its own and a part of the streams, by Options.Filter.
//
// # When the broker is down
//
// Publish is called again, after a wait that grows from MinBackoff to MaxBackoff, for ever: events wait in the store, in their order, and
// nothing is lost. [store.Store.Subscriptions] shows the last error and the lag, the Logger of the Store gets each failure, and
// store/health reports a relay that does not move. An event that can't be published, as one that is larger than the broker takes, delays
// the events of its key only. Park it by Options.OnError:
//
//	OnError: store.RetryThen(10, store.Park)
//
// Then the events of its key behind it are parked, too, so that their order is kept, and [store.Store.ReplayParked] publishes them again.
package relay
