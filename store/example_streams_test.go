package store_test

import (
	"context"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// Streams are listed page by page, here by cursor, the longest first.
func ExampleStore_Streams() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	for stream, n := range map[string]int{"order-1": 3, "order-2": 1, "order-3": 2, "user-1": 9} {
		for range n {
			if _, err := es.Append(ctx, stream, store.Any, store.Event{Type: "happened"}); err != nil {
				log.Fatal(err)
			}
		}
	}

	list := &store.ListOptions{SortBy: store.SortVersion, Descending: true, PageSize: 2}
	list.Search = "order-"
	for {
		page, err := es.Streams(ctx, list)
		if err != nil {
			log.Fatal(err)
		}
		for _, s := range page.Streams {
			fmt.Println(s.Stream, s.Version, s.Status())
		}
		if list.Cursor = page.Next; list.Cursor == "" {
			break
		}
		fmt.Println("--")
	}
	// Output:
	// order-1 3 active
	// order-3 2 active
	// --
	// order-2 1 active
}
