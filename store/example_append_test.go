package store_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// The expected version is what the caller believes of the stream. If somebody else was faster, nothing is written, and
// the error says what is true.
func ExampleStore_Append() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)

	res, err := es.Append(ctx, "order-17", store.NoStream,
		store.Event{Type: "order.placed", Data: map[string]int{"cents": 4200}},
		store.Event{Type: "order.paid"},
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("versions", res.First, "to", res.Last)

	_, err = es.Append(ctx, "order-17", store.Version(1), store.Event{Type: "order.cancelled"})
	fmt.Println(errors.Is(err, store.ErrWrongExpectedVersion))
	var conflict *store.WrongExpectedVersionError
	if errors.As(err, &conflict) {
		fmt.Println("it is at version", conflict.Actual)
	}
	fmt.Println(err)
	// Output:
	// versions 1 to 2
	// true
	// it is at version 2
	// store: "order-17": want version 1, stream is at version 2
}
