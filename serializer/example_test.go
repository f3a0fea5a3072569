package serializer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

type OrderPlaced struct {
	Customer string `json:"customer"`
}

// Registered types need no Type at the append, and come back as values of their own type. What is not registered goes
// in and comes out as JSON.
func Example() {
	ctx := context.Background()
	types := serializer.NewTypes()
	serializer.Register[OrderPlaced](types, "order.placed")
	es := store.New(memory.New(), &store.Options{Serializer: serializer.JSON(types)})
	defer es.Close() //nolint:errcheck // the program ends

	_, err := es.Append(ctx, "order-17", store.NoStream,
		store.Event{Data: OrderPlaced{Customer: "c-1"}},
		store.Event{Type: "order.packed", Data: json.RawMessage(`{"boxes":2}`)},
	)
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range es.Stream(ctx, "order-17", nil) {
		if err != nil {
			log.Fatal(err)
		}
		value, err := store.Decode[any](e)
		if errors.Is(err, store.ErrUnknownType) {
			fmt.Printf("%s is not registered: %s\n", e.Type, e.Data)
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		switch v := value.(type) {
		case OrderPlaced:
			fmt.Printf("%s by %s\n", e.Type, v.Customer)
		}
	}
	// Output:
	// order.placed by c-1
	// order.packed is not registered: {"boxes":2}
}
