package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log"

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
