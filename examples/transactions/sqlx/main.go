// Sqlx shows a transaction of sqlx that writes a row of the application's table and appends an event, both or neither; and a
// projection whose handler works with sqlx.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/jmoiron/sqlx"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// Order is a row of the table orders, and what the event says.
type Order struct {
	ID       string `db:"id" json:"id"`
	Customer string `db:"customer" json:"customer"`
	Cents    int64  `db:"cents" json:"cents"`
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
	db, err := sqlx.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close()                                                        //nolint:errcheck // the program ends
	backend := postgres.New(db.DB, &postgres.Options{Schema: "eventstore"}) // the *sql.DB that sqlx runs on
	if err := migrate.Up(ctx, backend); err != nil {
		return err
	}
	es := store.New(backend, nil)
	defer es.Close() //nolint:errcheck // the program ends
	if _, err := db.ExecContext(ctx, "create table if not exists orders (id text primary key, customer text not null, cents bigint not null)"); err != nil {
		return err
	}

	place := func(o Order) error {
		tx, err := db.BeginTxx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
		if _, err := tx.NamedExecContext(ctx, "insert into orders (id, customer, cents) values (:id, :customer, :cents)", o); err != nil {
			return err
		}
		// A *sqlx.Tx has the *sql.Tx that it runs on.
		if _, err := es.WithTx(tx.Tx).Append(ctx, o.Customer, store.NoStream, store.Event{Type: "order.placed", Data: o}); err != nil {
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
	err = placeAll(ctx, out, es, place, func() (ids []string, err error) {
		return ids, db.SelectContext(ctx, &ids, "select id from orders order by id")
	})
	if err != nil {
		return err
	}
	return project(ctx, out, es, db)
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
