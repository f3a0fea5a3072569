package store_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// shop returns a store with three events.
func shop(ctx context.Context) *store.Store {
	es := store.New(memory.New(), nil)
	for _, e := range []struct{ stream, what string }{{"order-1", "placed"}, {"order-2", "placed"}, {"order-1", "paid"}} {
		if _, err := es.Append(ctx, e.stream, store.Any, store.Event{Type: "order." + e.what}); err != nil {
			log.Fatal(err)
		}
	}
	return es
}

// A handler for all events. It is called for each one at least once, also when the program is started again.
func ExampleStore_Consume() {
	ctx, cancel := context.WithCancel(context.Background())
	es := shop(ctx)
	defer es.Close() //nolint:errcheck // an example

	err := es.Consume(ctx, store.All, "order-mails", func(_ context.Context, e store.Recorded) error {
		fmt.Println(e.Number, e.Stream, e.Type)
		if e.Number == 3 {
			cancel() // a program would go on
		}
		return nil // acknowledged; an error has the event handled again
	}, nil)
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// 1 order-1 order.placed
	// 2 order-2 order.placed
	// 3 order-1 order.paid
	// true
}

// Events in pages, acknowledged by hand. A new subscriber goes on behind what was acknowledged.
func ExampleStore_Subscribe() {
	ctx := context.Background()
	es := shop(ctx)
	defer es.Close() //nolint:errcheck // an example

	for range 2 {
		sub, err := es.Subscribe(ctx, store.All, "order-summary", &store.SubscribeOptions{BufferSize: 2})
		if err != nil {
			log.Fatal(err)
		}
		events, err := sub.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range events {
			fmt.Println(e.Number, e.Stream, e.Type)
		}
		if err := sub.Ack(ctx, events...); err != nil {
			log.Fatal(err)
		}
		if err := sub.Close(); err != nil {
			log.Fatal(err)
		}
		fmt.Println("closed")
	}
	// Output:
	// 1 order-1 order.placed
	// 2 order-2 order.placed
	// closed
	// 3 order-1 order.paid
	// closed
}

// One event at a time. The event that the loop ends with is not acknowledged.
func ExampleSubscriber_Events() {
	ctx := context.Background()
	es := shop(ctx)
	defer es.Close() //nolint:errcheck // an example

	sub, err := es.Subscribe(ctx, "order-1", "one-order", nil)
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range sub.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Number, e.Type)
		if e.Type == "order.paid" {
			break
		}
	}
	if err := sub.Close(); err != nil {
		log.Fatal(err)
	}
	list, err := es.Subscriptions(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(list[0].Name, "is at", list[0].Checkpoint, "of", list[0].Head)
	// Output:
	// 1 order.placed
	// 2 order.paid
	// one-order is at 1 of 2
}

// What is appended from now on.
func ExampleStore_Watch() {
	ctx := context.Background()
	es := shop(ctx)
	defer es.Close() //nolint:errcheck // an example

	w, err := es.Watch(ctx, store.All, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close() //nolint:errcheck // an example
	if _, err := es.Append(ctx, "order-2", store.Any, store.Event{Type: "order.paid"}); err != nil {
		log.Fatal(err)
	}
	events, err := w.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(events[0].Number, events[0].Stream, events[0].Type)
	// Output:
	// 4 order-2 order.paid
}

// Watch shows new events, one by one.
func ExampleWatcher_Events() {
	ctx := context.Background()
	es := shop(ctx)
	defer es.Close() //nolint:errcheck // an example

	w, err := es.Watch(ctx, "order-1", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close() //nolint:errcheck // an example
	if _, err := es.Append(ctx, "order-1", store.Any, store.Event{Type: "order.shipped"}); err != nil {
		log.Fatal(err)
	}
	for e, err := range w.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Version, e.Type)
		break // a program would go on
	}
	// Output: 3 order.shipped
}

// Subscription shows how far a subscription is, whichever process runs it.
func ExampleStore_Subscription() {
	ctx := context.Background()
	es := shop(ctx)
	defer es.Close() //nolint:errcheck // an example

	sub, err := es.Subscribe(ctx, store.All, "order-mails", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := sub.WaitUntil(ctx, store.Live); err != nil {
		log.Fatal(err)
	}
	info, err := es.Subscription(ctx, sub.Stream(), sub.Name())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Name, "is", info.Lag(), "events behind")
	// Output: order-mails is 3 events behind
}
