package store_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// A soft delete hides a stream until it is undeleted; All still shows its events. A hard delete, which must be enabled, destroys them.
func ExampleStore_Delete() {
	ctx := context.Background()
	es := store.New(memory.New(), &store.Options{HardDelete: true})
	for _, stream := range []string{"user-1", "user-2", "user-3"} {
		if _, err := es.Append(ctx, stream, store.NoStream, store.Event{Type: "registered"}); err != nil {
			log.Fatal(err)
		}
	}

	if err := es.Delete(ctx, "user-1", store.Version(1), store.SoftDelete); err != nil {
		log.Fatal(err)
	}
	if err := es.Delete(ctx, "user-2", store.StreamExists, store.HardDelete); err != nil {
		log.Fatal(err)
	}
	_, err := es.Append(ctx, "user-1", store.Any, store.Event{Type: "renamed"})
	fmt.Println("user-1 is deleted:", errors.Is(err, store.ErrStreamDeleted))
	if err := es.Undelete(ctx, "user-1", store.Version(1)); err != nil {
		log.Fatal(err)
	}
	_, err = es.Append(ctx, "user-1", store.Version(1), store.Event{Type: "renamed"})
	fmt.Println("user-1 is back:", err == nil)
	_, err = es.Page(ctx, "user-2", nil)
	fmt.Println("user-2 never was:", errors.Is(err, store.ErrStreamNotFound))
	for e, err := range es.All(ctx, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Number, e.Stream)
	}
	// Output:
	// user-1 is deleted: true
	// user-1 is back: true
	// user-2 never was: true
	// 1 user-1
	// 3 user-3
	// 4 user-1
}
