package store_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// All reads every event in one order. A reader notes the position it has dealt with and goes on behind it: it misses
// nothing, since no event ever appears before one that was seen.
func ExampleStore_All() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	add := func(stream, what string) {
		if _, err := es.Append(ctx, stream, store.Any, store.Event{Type: what}); err != nil {
			log.Fatal(err)
		}
	}
	checkpoint := int64(0)
	read := func() {
		for e, err := range es.All(ctx, &store.ReadOptions{After: checkpoint}) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%d: %s, version %d of %s\n", e.Number, e.Type, e.Version, e.Stream)
			checkpoint = e.Number
		}
	}

	add("order-17", "placed")
	add("order-18", "placed")
	add("order-17", "paid")
	read()
	add("order-18", "cancelled")
	read()
	// Output:
	// 1: placed, version 1 of order-17
	// 2: placed, version 1 of order-18
	// 3: paid, version 2 of order-17
	// 4: cancelled, version 2 of order-18
}

// A reader that has seen more than the store has is told so: events were lost behind its back.
func ExamplePositionLostError() {
	ctx := context.Background()
	restored := store.New(memory.New(), nil) // from a copy that lacks the latest events
	_, err := restored.Page(ctx, store.All, &store.ReadOptions{After: 7})
	var lost *store.PositionLostError
	if errors.As(err, &lost) {
		fmt.Println("the reader has seen", lost.After, "but the store ends at", lost.Head)
	}
	// Output: the reader has seen 7 but the store ends at 0
}
