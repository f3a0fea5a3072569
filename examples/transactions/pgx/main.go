// Pgx shows an application that works with pgx and its pool: a transaction that writes rows by COPY and appends an event, both or
// neither.
//
// A transaction that was begun by pgx itself (pgx.Tx, of pool.Begin) is no *sql.Tx, and database/sql can't take it over: the store can't
// append in it. So begin the transaction by database/sql on a connection of the pool. What only pgx can do, such as COPY, batches and
// large objects, is done on the same connection, which conn.Raw hands out, and so in the same transaction.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// Order is a row of the table orders, and what the event says.
type Order struct {
	ID       string `json:"id"`
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
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	db := stdlib.OpenDBFromPool(pool) // its connections are the pool's
	defer db.Close()                  //nolint:errcheck // the program ends
	backend := postgres.New(db, &postgres.Options{Schema: "eventstore"})
	if err := migrate.Up(ctx, backend); err != nil {
		return err
	}
	es := store.New(backend, nil)
	defer es.Close() //nolint:errcheck // the program ends
	if _, err := pool.Exec(ctx, "create table if not exists orders (id text primary key, customer text not null, cents bigint not null)"); err != nil {
		return err
	}

	place := func(o Order) error {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // gives it back
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
		err = conn.Raw(func(driverConn any) error {
			native := driverConn.(*stdlib.Conn).Conn() // a *pgx.Conn, in the transaction; don't begin or end one on it
			_, err := native.CopyFrom(ctx, pgx.Identifier{"orders"}, []string{"id", "customer", "cents"},
				pgx.CopyFromRows([][]any{{o.ID, o.Customer, o.Cents}}))
			return err
		})
		if err != nil {
			return err
		}
		if _, err := es.WithTx(tx).Append(ctx, o.Customer, store.NoStream, store.Event{Type: "order.placed", Data: o}); err != nil {
			return err
		}
		if o.Cents > 1_000_000 {
			return errTooMuch // the deferred Rollback undoes both
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		es.Committed() // subscribers look at once
		return nil
	}
	return placeAll(ctx, out, es, place, func() ([]string, error) {
		rows, err := pool.Query(ctx, "select id from orders order by id")
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[string])
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
