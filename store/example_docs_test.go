package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

// The functions here are the listings of docs/projections.md as they stand: TestDocsListings compares them.

type Deposited struct{ Cents int64 }

// tenLines runs the projection of the page's beginning.
func tenLines(ctx context.Context, es *store.Store) error {
	err := es.Project(ctx, "balances", func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
		for _, e := range events {
			if e.Type != "account.deposited" {
				continue
			}
			d, err := store.Decode[Deposited](e)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `insert into balances (account, cents) values ($1, $2)
				on conflict (account) do update set cents = balances.cents + excluded.cents`, e.Stream, d.Cents)
			if err != nil {
				return err
			}
		}
		return nil
	}, nil)
	return err
}

// handlerPerType runs the projection with a router.
func handlerPerType(ctx context.Context, backend *sqlite.Backend) error {
	types := serializer.NewTypes()
	serializer.Register[Deposited](types, "account.deposited")
	es := store.New(backend, &store.Options{Serializer: serializer.JSON(types)})

	router := store.NewRouter()
	store.On(router, func(ctx context.Context, e store.Recorded, d Deposited) error {
		_, err := store.TxFrom(ctx).ExecContext(ctx, `update balances set cents = cents + $1 where account = $2`, d.Cents, e.Stream)
		return err
	})
	err := es.Project(ctx, "balances", router.HandleBatch, nil)
	return err
}

// firstStore returns the store of README, with a table of balances.
func firstStore(ctx context.Context) (*sqlite.Backend, *store.Store) {
	db, err := sql.Open("sqlite", sqlite.Memory())
	if err != nil {
		log.Fatal(err)
	}
	backend := sqlite.New(db, nil)
	if err := migrate.Up(ctx, backend); err != nil {
		log.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, `create table balances (account text primary key, cents bigint not null)`); err != nil {
		log.Fatal(err)
	}
	return backend, store.New(backend, nil)
}

// balance appends deposits to account-17 and returns what the projection has made of them.
func balance(ctx context.Context, backend *sqlite.Backend, es *store.Store) (cents int64) {
	var last store.AppendResult
	for _, cents := range []int64{500, 250} {
		var err error
		last, err = es.Append(ctx, "account-17", store.Any, store.Event{Type: "account.deposited", Data: Deposited{cents}})
		if err != nil {
			log.Fatal(err)
		}
	}
	for errors.Is(es.WaitFor(ctx, "balances", last), store.ErrProjectionNotFound) { // it is just being created
	}
	if err := backend.DB().QueryRowContext(ctx, `select cents from balances where account = 'account-17'`).Scan(&cents); err != nil {
		log.Fatal(err)
	}
	return cents
}

// A projection on a Store without a registry of types.
func ExampleStore_Project_tenLines() {
	ctx, stop := context.WithCancel(context.Background())
	backend, es := firstStore(ctx)
	defer backend.DB().Close() //nolint:errcheck // an example
	ended := make(chan error)
	go func() { ended <- tenLines(ctx, es) }()
	fmt.Println(balance(ctx, backend, es))
	stop()
	fmt.Println(errors.Is(<-ended, context.Canceled))
	// Output:
	// 750
	// true
}

// A projection with a handler per type.
func ExampleOn() {
	ctx, stop := context.WithCancel(context.Background())
	backend, es := firstStore(ctx)
	defer backend.DB().Close() //nolint:errcheck // an example
	if _, err := backend.DB().ExecContext(ctx, `insert into balances values ('account-17', 0)`); err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- handlerPerType(ctx, backend) }()
	fmt.Println(balance(ctx, backend, es))
	stop()
	fmt.Println(errors.Is(<-ended, context.Canceled))
	// Output:
	// 750
	// true
}
