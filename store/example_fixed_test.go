package store_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/storetest"
)

// With ids and times from the options, each run of a test records the same events.
func ExampleOptions_fixed() {
	ctx := context.Background()
	es := store.New(memory.New(), &store.Options{
		NewID: storetest.IDs(),
		Now:   storetest.Clock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), time.Minute),
	})
	defer es.Close() //nolint:errcheck // the program ends
	if _, err := es.Append(ctx, "order-17", store.NoStream, store.Event{Type: "order.placed"}, store.Event{Type: "order.paid"}); err != nil {
		log.Fatal(err)
	}
	for e, err := range es.Stream(ctx, "order-17", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.ID, e.CreatedAt.Format(time.TimeOnly), e.Type)
	}
	// Output:
	// 00000000-0000-7000-8000-000000000001 12:00:00 order.placed
	// 00000000-0000-7000-8000-000000000002 12:01:00 order.paid
}

// Owner finds the subscriptions that this process runs in the list of all.
func ExampleStore_Owner() {
	ctx := context.Background()
	es := store.New(memory.New(), &store.Options{Name: "web-1"})
	defer es.Close() //nolint:errcheck // the program ends
	sub, err := es.Subscribe(ctx, store.All, "mails", &store.SubscribeOptions{WaitForLease: true})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close() //nolint:errcheck // it has handled nothing
	list, err := es.Subscriptions(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range list {
		fmt.Println(s.Name, s.Owner == es.Owner(), strings.HasPrefix(s.Owner, "web-1/"))
	}
	// Output:
	// mails true true
}
