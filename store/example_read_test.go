package store_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

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

// A filter chooses events in the database. Here it reads a category, all streams whose names begin with "account-", and finds the last
// event of a type.
func ExampleReadOptions_filter() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	for _, stream := range []string{"account-7", "order-1", "account-8", "order-2", "account-7"} {
		if _, err := es.Append(ctx, stream, store.Any, store.Event{Type: "opened"}, store.Event{Type: "closed"}); err != nil {
			log.Fatal(err)
		}
	}

	accounts := store.EventFilter{StreamPrefix: "account-", Types: []string{"opened"}}
	for e, err := range es.All(ctx, &store.ReadOptions{Filter: accounts}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Number, e.Stream, e.Type)
	}
	closed := store.EventFilter{Types: []string{"closed"}}
	for e, err := range es.All(ctx, &store.ReadOptions{Filter: closed, Backward: true, Limit: 1}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("the last is", e.Number, e.Stream, e.Type)
	}
	// Output:
	// 1 account-7 opened
	// 5 account-8 opened
	// 9 account-7 opened
	// the last is 10 account-7 closed
}

// A reader that looks from time to time goes on with Seen.Version, not with the number of the last event that it got: so it
// does not look at the events again that its filter has left out.
func ExampleReadOptions_seen() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	checkpoint := int64(0)
	for range 3 {
		if _, err := es.Append(ctx, "account-7", store.Any, store.Event{Type: "paid"}, store.Event{Type: "noted"}, store.Event{Type: "noted"}); err != nil {
			log.Fatal(err)
		}
		var seen store.Seen
		paid := store.EventFilter{Types: []string{"paid"}}
		for e, err := range es.All(ctx, &store.ReadOptions{After: checkpoint, Filter: paid, Seen: &seen}) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(e.Number, e.Type)
		}
		checkpoint = seen.Version
		fmt.Println("up to", checkpoint)
	}
	// Output:
	// 1 paid
	// up to 3
	// 4 paid
	// up to 6
	// 7 paid
	// up to 9
}

// Types shows what there is in a store.
func ExampleStore_Types() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	for _, stream := range []string{"account-7", "account-8"} {
		if _, err := es.Append(ctx, stream, store.Any, store.Event{Type: "opened"}, store.Event{Type: "paid"}, store.Event{Type: "paid"}); err != nil {
			log.Fatal(err)
		}
	}

	types, err := es.Types(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range types {
		fmt.Println(t.Type, t.Events, "first at", t.First, "last at", t.Last)
	}
	// Output:
	// paid 4 first at 2 last at 6
	// opened 2 first at 1 last at 4
}

// To page backward, give Before the number of the last event that you have. Below the first event a page is empty.
func ExampleStore_Page_backward() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	for i := range 5 {
		if _, err := es.Append(ctx, "counter", store.Any, store.Event{Type: "counted", Data: i}); err != nil {
			log.Fatal(err)
		}
	}

	for before := int64(store.End); ; {
		page, err := es.Page(ctx, "counter", &store.ReadOptions{Backward: true, Before: before, PageSize: 2})
		if err != nil {
			log.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			fmt.Print(e.Number, " ")
			before = e.Number
		}
	}
	// Output: 5 4 3 2 1
}

// The past of a stream: the position where all events ended at a time, and the version that the stream had there.
func ExampleStore_PositionAt() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	for _, what := range []string{"opened", "renamed"} {
		if _, err := es.Append(ctx, "account-7", store.Any, store.Event{Type: what}); err != nil {
			log.Fatal(err)
		}
	}
	time.Sleep(time.Millisecond)
	yesterday := time.Now() // by the clock of the store
	time.Sleep(time.Millisecond)
	if _, err := es.Append(ctx, "account-7", store.Any, store.Event{Type: "closed"}); err != nil {
		log.Fatal(err)
	}

	position, err := es.PositionAt(ctx, yesterday)
	if err != nil {
		log.Fatal(err)
	}
	version, err := es.VersionAt(ctx, "account-7", position)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("position", position, "version", version)
	for e, err := range es.Stream(ctx, "account-7", &store.ReadOptions{Limit: int(version)}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Type)
	}
	// Output:
	// position 2 version 2
	// opened
	// renamed
}

// Collect makes a slice of a sequence.
func ExampleCollect() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	if _, err := es.Append(ctx, "account-7", store.NoStream, store.Event{Type: "opened"}, store.Event{Type: "closed"}); err != nil {
		log.Fatal(err)
	}

	events, err := store.Collect(es.Stream(ctx, "account-7", nil))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(events), events[1].Type)
	// Output: 2 closed
}
