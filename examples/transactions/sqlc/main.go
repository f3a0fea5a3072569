// Sqlc shows code that sqlc has generated in a transaction that also appends an event: both the row and the event, or neither.
package main

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/examples/transactions/sqlc/orders"
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
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // the program ends
	backend := postgres.New(db, &postgres.Options{Schema: "eventstore"})
	if err := migrate.Up(ctx, backend); err != nil {
		return err
	}
	es := store.New(backend, nil)
	defer es.Close() //nolint:errcheck // the program ends
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return err
	}
	queries := orders.New(db)

	place := func(o Order) error {
		return es.InTx(ctx, func(tx *sql.Tx) error { // or db.BeginTx, and es.Committed behind the commit
			if err := queries.WithTx(tx).AddOrder(ctx, orders.AddOrderParams(o)); err != nil {
				return err
			}
			if _, err := es.WithTx(tx).Append(ctx, o.Customer, store.NoStream, store.Event{Type: "order.placed", Data: o}); err != nil {
				return err
			}
			if o.Cents > 1_000_000 {
				return errTooMuch
			}
			return nil // commits both; an error rolls both back
		})
	}
	return placeAll(ctx, out, es, place, func() ([]string, error) { return queries.ListOrders(ctx) })
}

// placeAll places three orders, of which one goes through, and prints what is there then.
func placeAll(ctx context.Context, out io.Writer, es *store.Store, place func(Order) error, ids func() ([]string, error)) error {
	for _, o := range []Order{
		{ID: "17", Customer: "customer-7", Cents: 4200},
		{ID: "18", Customer: "customer-7", Cents: 100},
		{ID: "19", Customer: "customer-8", Cents: 9_999_999},
	} {
		fmt.Fprintf(out, "order %s: %v\n", o.ID, place(o)) //nolint:errcheck // a line of the example
	}
	rows, err := ids()
	if err != nil {
		return err
	}
	var events []string
	for e, err := range es.All(ctx, nil) {
		if err != nil {
			return err
		}
		events = append(events, e.Stream+": "+string(e.Data))
	}
	_, err = fmt.Fprintf(out, "rows: %v\nevents: %v\n", rows, events)
	return err
}
