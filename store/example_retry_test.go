package store_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// An append whose answer was lost is sent again, with the same event ids: it succeeds, and nothing is written twice.
func ExampleStore_Append_retry() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	placed := store.Event{ID: uuid.MustParse("0190a5a0-1111-7abc-8def-0123456789ab"), Type: "order.placed"}

	for range 2 {
		res, err := es.Append(ctx, "order-17", store.NoStream, placed)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("version", res.Last, "retried", res.Retried)
	}

	_, err := es.Append(ctx, "order-18", store.NoStream, placed)
	fmt.Println("in another stream it is no retry:", errors.Is(err, store.ErrDuplicateEvent))
	// Output:
	// version 1 retried false
	// version 1 retried true
	// in another stream it is no retry: true
}
