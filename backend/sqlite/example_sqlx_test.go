package sqlite_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jmoiron/sqlx"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// An application that uses sqlx hands over the *sql.DB and the *sql.Tx that its own types hold. Its tables and the
// events change together, here and with PostgreSQL alike.
func Example_sqlx() {
	ctx := context.Background()
	db, err := sqlx.Open("sqlite", sqlite.Memory())
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // the program ends
	backend := sqlite.New(db.DB, nil)
	if err := migrate.Up(ctx, backend); err != nil {
		log.Fatal(err)
	}
	es := store.New(backend, nil)
	db.MustExec("create table orders (id text primary key, customer text not null)")

	type order struct {
		ID       string `db:"id"`
		Customer string `db:"customer"`
	}
	placeFirst := func(o order) error {
		tx, err := db.BeginTxx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
		if _, err := tx.NamedExecContext(ctx, "insert into orders (id, customer) values (:id, :customer)", o); err != nil {
			return err
		}
		if _, err := es.WithTx(tx.Tx).Append(ctx, o.Customer, store.NoStream, store.Event{Type: "order.placed", Data: o}); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		es.Committed() // whoever waits for events looks now
		return nil
	}
	fmt.Println(placeFirst(order{ID: "17", Customer: "customer-7"}))
	fmt.Println(placeFirst(order{ID: "18", Customer: "customer-7"})) // it is the second: neither row nor event stays

	var orders []order
	if err := db.SelectContext(ctx, &orders, "select id, customer from orders"); err != nil {
		log.Fatal(err)
	}
	head, err := es.Head(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(orders, head)
	// Output:
	// <nil>
	// store: "customer-7": want no stream, stream is at version 1
	// [{17 customer-7}] 1
}
