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

func ExampleStore_Stream() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	for _, what := range []string{"opened", "renamed", "moved", "closed"} {
		if _, err := es.Append(ctx, "account-7", store.Any, store.Event{Type: what}); err != nil {
			log.Fatal(err)
		}
	}

	for e, err := range es.Stream(ctx, "account-7", &store.ReadOptions{From: 2, Limit: 2}) {
		if err != nil {
			log.Fatal(err) // an error comes once, and last
		}
		fmt.Println(e.Version, e.Type)
	}
	for e, err := range es.Stream(ctx, "account-7", &store.ReadOptions{Backward: true, Limit: 1}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("the last is", e.Version, e.Type)
	}
	for _, err := range es.Stream(ctx, "account-8", nil) {
		fmt.Println(errors.Is(err, store.ErrStreamNotFound))
	}
	// Output:
	// 2 renamed
	// 3 moved
	// the last is 4 closed
	// true
}

// Seen gives the version to expect. Here the stream ends with a link whose event was hard deleted, so the number of the last
// event is too low.
func ExampleSeen() {
	ctx := context.Background()
	es := store.New(memory.New(), &store.Options{HardDelete: true})
	check := func(_ store.AppendResult, err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	person := store.Event{Type: "registered", ID: uuid.New()}
	check(es.Append(ctx, "person-9", store.NoStream, person))
	check(es.Append(ctx, "account-7", store.NoStream, store.Event{Type: "opened"}))
	check(es.Link(ctx, "account-7", store.Version(1), person.ID))
	if err := es.Delete(ctx, "person-9", store.Any, store.HardDelete); err != nil {
		log.Fatal(err)
	}

	var seen store.Seen
	last := int64(0)
	for e, err := range es.Stream(ctx, "account-7", &store.ReadOptions{Seen: &seen}) {
		if err != nil {
			log.Fatal(err)
		}
		last = e.Number
	}
	_, err := es.Append(ctx, "account-7", store.Version(last), store.Event{Type: "closed"})
	fmt.Println(errors.Is(err, store.ErrWrongExpectedVersion))
	res, err := es.Append(ctx, "account-7", seen.Expected(), store.Event{Type: "closed"})
	fmt.Println(res.Last, err)
	// Output:
	// true
	// 3 <nil>
}

// Page returns one page as a slice. A page that is shorter than was asked for ends the stream.
func ExampleStore_Page() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	for i := range 5 {
		if _, err := es.Append(ctx, "counter", store.Any, store.Event{Type: "counted", Data: i}); err != nil {
			log.Fatal(err)
		}
	}

	const size = 2
	for checkpoint := int64(0); ; {
		page, err := es.Page(ctx, "counter", &store.ReadOptions{After: checkpoint, PageSize: size})
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range page {
			n, err := store.Decode[int](e)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Print(n, " ")
			checkpoint = e.Number
		}
		if len(page) < size {
			break
		}
	}
	// Output: 0 1 2 3 4
}
