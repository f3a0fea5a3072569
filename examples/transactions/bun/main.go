// Bun shows a transaction of bun that writes a row of the application's table and appends an event: both or neither.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// Order is a row of the table orders, and what the event says.
type Order struct {
	ID       string `bun:",pk" json:"id"`
	Customer string `json:"customer"`
	Cents    int64  `json:"cents"`
}

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
	pool, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer pool.Close() //nolint:errcheck // the program ends
	backend := postgres.New(pool, &postgres.Options{Schema: "eventstore"})
	if err := migrate.Up(ctx, backend); err != nil {
		return err
	}
	es := store.New(backend, nil)
	defer es.Close()                       //nolint:errcheck // the program ends
	db := bun.NewDB(pool, pgdialect.New()) // on the same *sql.DB
	if err := db.ResetModel(ctx, (*Order)(nil)); err != nil {
		return err
	}

	place := func(o Order) error {
		err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			if _, err := tx.NewInsert().Model(&o).Exec(ctx); err != nil {
				return err
			}
			// A bun.Tx has the *sql.Tx that it runs on.
			if _, err := es.WithTx(tx.Tx).Append(ctx, o.Customer, store.NoStream, store.Event{Type: "order.placed", Data: o}); err != nil {
				return err
			}
			if o.Cents > 1_000_000 {
				return errTooMuch
			}
			return nil // commits both; an error rolls both back
		})
		if err == nil {
			es.Committed() // subscribers look at once
		}
		return err
	}
	return placeAll(ctx, out, es, place, func() (ids []string, err error) {
		return ids, db.NewSelect().Model((*Order)(nil)).Column("id").Order("id").Scan(ctx, &ids)
	})
}

// placeAll places three orders, of which one goes through, and prints what is there then.
func placeAll(ctx context.Context, out io.Writer, es *store.Store, place func(Order) error, ids func() ([]string, error)) error {
	for _, o := range []Order{{"17", "customer-7", 4200}, {"18", "customer-7", 100}, {"19", "customer-8", 9_999_999}} {
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
