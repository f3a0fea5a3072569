package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/aggregate"
)

type (
	Deposited struct{ Cents int64 }
	Withdrawn struct{ Cents int64 }
	Balance   struct{ Cents int64 }
)

func (b Balance) With(value any) (Balance, error) {
	switch v := value.(type) {
	case Deposited:
		b.Cents += v.Cents
	case Withdrawn:
		b.Cents -= v.Cents
	}
	return b, nil
}

// A withdrawal is decided on the balance as it is, whoever else withdraws at the same time.
func Example() {
	ctx := context.Background()
	types := serializer.NewTypes()
	serializer.Register[Deposited](types, "deposited")
	serializer.Register[Withdrawn](types, "withdrawn")
	es := store.New(memory.New(), &store.Options{Serializer: serializer.JSON(types)})
	defer es.Close() //nolint:errcheck // the program ends
	accounts := aggregate.New(es, &aggregate.Options[Balance]{Fold: Balance.With, Type: "balance/1", SnapshotEvery: 100})

	errNotCovered := errors.New("not covered")
	withdraw := func(cents int64) error {
		_, err := accounts.Do(ctx, "account-7", func(b Balance) ([]store.Event, error) {
			if b.Cents < cents {
				return nil, errNotCovered
			}
			return []store.Event{{Data: Withdrawn{cents}}}, nil
		})
		return err
	}
	if _, err := es.Append(ctx, "account-7", store.NoStream, store.Event{Data: Deposited{5000}}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(withdraw(4000), withdraw(4000))
	state, err := accounts.Load(ctx, "account-7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(state.Value.Cents, "cents at version", state.Version)
	// Output:
	// <nil> not covered
	// 1000 cents at version 2
}

// The balance as it was at a time: the position at which all events ended then, and the state at that position.
func ExampleRepository_LoadAtPosition() {
	ctx := context.Background()
	types := serializer.NewTypes()
	serializer.Register[Deposited](types, "deposited")
	es := store.New(memory.New(), &store.Options{Serializer: serializer.JSON(types)})
	defer es.Close() //nolint:errcheck // the program ends
	accounts := aggregate.New(es, &aggregate.Options[Balance]{Fold: Balance.With})

	if _, err := es.Append(ctx, "account-7", store.NoStream, store.Event{Data: Deposited{5000}}); err != nil {
		log.Fatal(err)
	}
	time.Sleep(time.Millisecond)
	endOfYear := time.Now()
	time.Sleep(time.Millisecond)
	if _, err := es.Append(ctx, "account-7", store.Version(1), store.Event{Data: Deposited{1000}}); err != nil {
		log.Fatal(err)
	}

	position, err := es.PositionAt(ctx, endOfYear)
	if err != nil {
		log.Fatal(err)
	}
	state, err := accounts.LoadAtPosition(ctx, "account-7", position)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(state.Value.Cents, "cents at version", state.Version)
	// Output: 5000 cents at version 1
}

// The balance as it was at a version, as to explain a decision that was made there.
func ExampleRepository_LoadAt() {
	ctx := context.Background()
	types := serializer.NewTypes()
	serializer.Register[Deposited](types, "deposited")
	es := store.New(memory.New(), &store.Options{Serializer: serializer.JSON(types)})
	defer es.Close() //nolint:errcheck // the program ends
	accounts := aggregate.New(es, &aggregate.Options[Balance]{Fold: Balance.With})
	for _, cents := range []int64{100, 200, 300} {
		if _, err := es.Append(ctx, "account-7", store.Any, store.Event{Data: Deposited{cents}}); err != nil {
			log.Fatal(err)
		}
	}

	state, err := accounts.LoadAt(ctx, "account-7", 2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(state.Value.Cents)
	// Output: 300
}
