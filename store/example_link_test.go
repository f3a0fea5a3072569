package store_test

import (
	"context"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// A link puts a recorded event into another stream too, here into one of all that happened in a month. It has a version
// of its own there, and keeps where it came from.
func ExampleStore_Link() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	for _, stream := range []string{"order-17", "order-18"} {
		if _, err := es.Append(ctx, stream, store.NoStream, store.Event{Type: "placed"}, store.Event{Type: "paid"}); err != nil {
			log.Fatal(err)
		}
	}

	for e, err := range es.All(ctx, nil) {
		if err != nil {
			log.Fatal(err)
		}
		if e.Type != "paid" {
			continue
		}
		if _, err := es.Link(ctx, "paid-2026-03", store.Any, e.ID); err != nil {
			log.Fatal(err)
		}
	}
	for e, err := range es.Stream(ctx, "paid-2026-03", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d: %s, version %d of %s\n", e.Number, e.Type, e.Version, e.Stream)
	}
	// Output:
	// 1: paid, version 2 of order-17
	// 2: paid, version 2 of order-18
}
