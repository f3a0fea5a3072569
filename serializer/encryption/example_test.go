package encryption_test

import (
	"context"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/store"
)

// Moved is about a person, and says so by its method EventSubject.
type Moved struct{ Customer, To string }

func (m Moved) EventSubject() string { return m.Customer }

// A person is forgotten when the key is deleted. In a program the keys are those of package sqlkeys.
func Example() {
	ctx := context.Background()
	types := serializer.NewTypes()
	serializer.Register[Moved](types, "customer.moved")
	secret := encryption.New(encryption.NewMemoryKeys(), nil, nil)
	es := store.New(memory.New(), &store.Options{Serializer: serializer.New(serializer.JSONFormat{}, &serializer.Options{
		Types: types, Codings: []serializer.Coding{secret},
	})})
	defer es.Close() //nolint:errcheck // the program ends

	_, err := es.Append(ctx, "moves", store.NoStream, store.Event{Data: Moved{"c-1", "London"}}, store.Event{Data: Moved{"c-2", "Paris"}})
	if err != nil {
		log.Fatal(err)
	}
	if err := secret.Forget(ctx, "c-1"); err != nil {
		log.Fatal(err)
	}
	for e, err := range es.Stream(ctx, "moves", nil) {
		if err != nil {
			log.Fatal(err)
		}
		value, err := store.Decode[any](e)
		if err != nil {
			log.Fatal(err)
		}
		switch v := value.(type) {
		case Moved:
			fmt.Println(v.Customer, "moved to", v.To)
		case serializer.Forgotten:
			fmt.Println(v.Subject, "is forgotten")
		}
	}
	// Output:
	// c-1 is forgotten
	// c-2 moved to Paris
}
