// Sqlcpgx shows code that sqlc has generated for pgx/v5: in a transaction that also appends an event, and in a projection's handler.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/postgres/pgxtx"
	"github.com/eventstore-go/eventstore/examples/transactions/sqlcpgx/orders"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

//go:embed schema.sql
var schema string

// Order is a row of the table orders, and what the event says.
type Order = orders.Order

// errTooMuch is what the program finds out behind the append: then neither the row nor the event may stay.
var errTooMuch = errors.New("customer-8 may not spend so much")

func main() {
	url := os.Getenv("EVENTSTORE_DB")
	if url == "" {
		log.Fatal("set EVENTSTORE_DB to the URL of a PostgreSQL database: postgres://user@host/database")
	}
	if err := run(context.Background(), url, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string, out io.Writer) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	db := pgxtx.OpenDB(pool)
	defer db.Close() //nolint:errcheck // the program ends
	backend := postgres.New(db, &postgres.Options{Schema: "eventstore"})
	if err := migrate.Up(ctx, backend); err != nil {
		return err
	}
	es := store.New(backend, nil)
	defer es.Close() //nolint:errcheck // the program ends
	if _, err := pool.Exec(ctx, schema); err != nil {
		return err
	}
	queries := orders.New(pool)

	place := func(o Order) error {
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback(ctx) //nolint:errcheck // after a commit this does nothing
		if err := queries.WithTx(tx).AddOrder(ctx, orders.AddOrderParams(o)); err != nil {
			return err
		}
		if _, err := pgxtx.WithTx(es, tx).Append(ctx, o.Customer, store.NoStream, store.Event{Type: "order.placed", Data: o}); err != nil {
			return err
		}
		if o.Cents > 1_000_000 {
			return errTooMuch // the deferred Rollback undoes both
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
		es.Committed() // subscribers look at once
		return nil
	}
	for _, o := range []Order{
		{ID: "17", Customer: "customer-7", Cents: 4200},
		{ID: "18", Customer: "customer-7", Cents: 100},
		{ID: "19", Customer: "customer-8", Cents: 9_999_999},
	} {
		fmt.Fprintf(out, "order %s: %v\n", o.ID, place(o)) //nolint:errcheck // a line of the example
	}
	ids, err := queries.ListOrders(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "rows: %v\n", ids) //nolint:errcheck // a line of the example

	// The handler gets the transaction of the projection: what the queries write is committed together with how far it has come.
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- es.Project(running, "spendings", pgxtx.Handler(func(ctx context.Context, tx pgx.Tx, events []store.Recorded) error {
			in := queries.WithTx(tx)
			for _, e := range events {
				o, err := store.Decode[Order](e)
				if err != nil {
					return err
				}
				if err := in.AddSpending(ctx, orders.AddSpendingParams{Customer: o.Customer, Cents: o.Cents}); err != nil {
					return err
				}
			}
			return nil
		}), nil)
	}()
	head, err := es.Head(ctx)
	if err == nil {
		err = es.WaitForPosition(ctx, "spendings", head)
	}
	stop()
	if e := <-ended; !errors.Is(e, context.Canceled) {
		err = errors.Join(err, e)
	}
	if err != nil {
		return err
	}
	cents, err := queries.Spending(ctx, "customer-7")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "customer-7 spent %d cents\n", cents)
	return err
}
