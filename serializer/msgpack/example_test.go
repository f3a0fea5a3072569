package msgpack_test

import (
	"context"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/store"
)

type OrderPlaced struct {
	Customer string `json:"customer"`
	Total    int    `json:"total"`
}

// A store that has written JSON so far writes MessagePack from now on, and reads both.
func Example() {
	ctx := context.Background()
	types := serializer.NewTypes()
	serializer.Register[OrderPlaced](types, "order.placed")
	backend := memory.New()

	before := store.New(backend, &store.Options{Serializer: serializer.JSON(types)})
	if _, err := before.Append(ctx, "orders", store.NoStream, store.Event{Data: OrderPlaced{"c-1", 17}}); err != nil {
		log.Fatal(err)
	}

	now := store.New(backend, &store.Options{Serializer: serializer.New(msgpack.Format{UseJSONTags: true}, &serializer.Options{
		Types:   types,
		Formats: []serializer.Format{serializer.JSONFormat{}},
	})})
	if _, err := now.Append(ctx, "orders", store.Any, store.Event{Data: OrderPlaced{"c-2", 42}}); err != nil {
		log.Fatal(err)
	}
	for e, err := range now.Stream(ctx, "orders", nil) {
		if err != nil {
			log.Fatal(err)
		}
		order, err := store.Decode[OrderPlaced](e)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(order.Customer, order.Total, len(e.Data), "bytes")
	}
	// Output:
	// c-1 17 29 bytes
	// c-2 42 21 bytes
}
