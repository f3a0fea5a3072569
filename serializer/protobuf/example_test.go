package protobuf_test

import (
	"context"
	"fmt"
	"log"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/protobuf"
	"github.com/eventstore-go/eventstore/store"
)

// Messages go in and come out as pointers. Those of a program are its own; here one stands in that everybody has.
func Example() {
	ctx := context.Background()
	types := serializer.NewTypes()
	protobuf.Register[*wrapperspb.StringValue](types)
	es := store.New(memory.New(), &store.Options{
		Serializer: serializer.New(protobuf.Format{}, &serializer.Options{Types: types}),
	})
	defer es.Close() //nolint:errcheck // the program ends

	if _, err := es.Append(ctx, "order-17", store.NoStream, store.Event{Data: wrapperspb.String("placed")}); err != nil {
		log.Fatal(err)
	}
	for e, err := range es.Stream(ctx, "order-17", nil) {
		if err != nil {
			log.Fatal(err)
		}
		value, err := store.Decode[any](e)
		if err != nil {
			log.Fatal(err)
		}
		switch v := value.(type) {
		case *wrapperspb.StringValue:
			fmt.Println(e.Type, v.GetValue())
		}
	}
	// Output:
	// google.protobuf.StringValue placed
}
