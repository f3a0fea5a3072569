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

// A transfer changes two streams, or none. A conflict names the stream that was not as expected.
func ExampleStore_AppendAll() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	type amount struct{ Cents int }

	results, err := es.AppendAll(ctx,
		store.To("account-1", store.NoStream, store.Event{Type: "opened"}, store.Event{Type: "deposited", Data: amount{5000}}),
		store.To("account-2", store.NoStream, store.Event{Type: "opened"}),
	)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(r.Stream, "is at version", r.Last)
	}

	transfer := func(from, to store.Expected) error {
		_, err := es.AppendAll(ctx,
			store.To("account-1", from, store.Event{Type: "withdrawn", Data: amount{1000}}),
			store.To("account-2", to, store.Event{Type: "deposited", Data: amount{1000}}),
		)
		return err
	}
	fmt.Println(transfer(store.Version(2), store.StreamExists))

	err = transfer(store.Version(3), store.Version(1))
	var conflict *store.WrongExpectedVersionError
	if errors.As(err, &conflict) {
		fmt.Println(conflict.Stream, "is at version", conflict.Actual, "and nothing was written")
	}
	// Output:
	// account-1 is at version 2
	// account-2 is at version 1
	// <nil>
	// account-2 is at version 2 and nothing was written
}
