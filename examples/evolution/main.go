// Evolution shows how events of three years are read by one program. In the first year a customer had one name, in the
// second two, and in the third a country; an event that said two things was taken apart, and one that nobody needs any
// more was dropped. Nothing that was recorded has changed. It runs in memory and needs no setup.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

// What a registration was in the second year, and is today. Of the first year, when it was a plain text, no type is left.
type (
	CustomerRegisteredV2 struct {
		First, Last string
	}
	CustomerRegistered struct {
		First, Last, Country string
	}
)

// What one event said, and two say today.
type (
	MovedAndRenamed struct{ Country, Last string }
	Moved           struct{ Country string }
	Renamed         struct{ Last string }
)

// PageViewed is of no use any more.
type PageViewed struct{ Page string }

// today is what the program knows now.
func today() *serializer.Types {
	types := serializer.NewTypes()
	serializer.UpcastRaw(types, "customer.registered", 1, func(name []byte) ([]byte, error) {
		first, last, _ := strings.Cut(strings.Trim(string(name), `"`), " ")
		return fmt.Appendf(nil, `{"First":%q,"Last":%q}`, first, last), nil
	})
	serializer.RegisterVersion[CustomerRegisteredV2](types, "customer.registered", 2)
	serializer.RegisterVersion[CustomerRegistered](types, "customer.registered", 3)
	serializer.Upcast(types, func(old CustomerRegisteredV2) (CustomerRegistered, error) {
		return CustomerRegistered{First: old.First, Last: old.Last, Country: "unknown"}, nil
	})
	serializer.Register[MovedAndRenamed](types, "customer.moved-and-renamed")
	serializer.Register[Moved](types, "customer.moved")
	serializer.Register[Renamed](types, "customer.renamed")
	serializer.UpcastMany(types, func(old MovedAndRenamed) ([]any, error) {
		return []any{Moved{old.Country}, Renamed{old.Last}}, nil
	})
	serializer.Register[PageViewed](types, "page.viewed")
	serializer.Drop[PageViewed](types)
	return types
}

func main() {
	ctx := context.Background()
	backend := memory.New()

	fmt.Println("Three programs write, year after year.")
	_, err := store.New(backend, nil).Append(ctx, "customer-7", store.NoStream,
		store.Event{Type: "customer.registered", Data: "Ada Byron"},
		store.Event{Type: "page.viewed", Data: map[string]string{"Page": "/"}})
	check(err)
	second := serializer.NewTypes()
	serializer.RegisterVersion[CustomerRegisteredV2](second, "customer.registered", 2)
	serializer.Register[MovedAndRenamed](second, "customer.moved-and-renamed")
	_, err = store.New(backend, &store.Options{Serializer: serializer.JSON(second)}).Append(ctx, "customer-8", store.NoStream,
		store.Event{Data: CustomerRegisteredV2{First: "Mary", Last: "Fairfax"}},
		store.Event{Data: MovedAndRenamed{Country: "Italy", Last: "Somerville"}})
	check(err)
	es := store.New(backend, &store.Options{Serializer: serializer.JSON(today())})
	_, err = es.Append(ctx, "customer-9", store.NoStream,
		store.Event{Data: CustomerRegistered{First: "Sofia", Last: "Kovalevskaya", Country: "Sweden"}})
	check(err)

	fmt.Println("The last of them reads it all:")
	router := store.NewRouter()
	store.On(router, func(_ context.Context, e store.Recorded, c CustomerRegistered) error {
		fmt.Printf("  %d: %s %s, %s\n", e.Number, c.First, c.Last, c.Country)
		return nil
	})
	store.On(router, func(_ context.Context, e store.Recorded, m Moved) error {
		fmt.Printf("  %d: moved to %s\n", e.Number, m.Country)
		return nil
	})
	store.On(router, func(_ context.Context, e store.Recorded, r Renamed) error {
		fmt.Printf("  %d: is called %s now\n", e.Number, r.Last)
		return nil
	})
	for e, err := range es.All(ctx, nil) {
		check(err)
		check(router.Handle(ctx, e))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
