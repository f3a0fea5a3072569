// Quickstart shows the store in one file: append, conflict, read, read all, and a transaction that changes a table
// together with the events. It runs on SQLite in memory and needs no setup.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"

	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

type moved struct{ Cents int64 }

func main() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", sqlite.Memory()) // on disk: sqlite.DSN("events.db")
	check(err)
	defer db.Close() //nolint:errcheck // the program ends
	backend := sqlite.New(db, nil)
	check(migrate.Up(ctx, backend)) // creates the store's tables
	es := store.New(backend, nil)

	fmt.Println("Append two events to a stream that must be new:")
	res, err := es.Append(ctx, "account-7", store.NoStream,
		store.Event{Type: "deposited", Data: moved{Cents: 5000}},
		store.Event{Type: "withdrawn", Data: moved{Cents: 1200}})
	check(err)
	fmt.Printf("  %s is at version %d\n", res.Stream, res.Last)

	fmt.Println("Append to what we believe is version 1:")
	_, err = es.Append(ctx, "account-7", store.Version(1), store.Event{Type: "closed"})
	var conflict *store.WrongExpectedVersionError // or errors.Is(err, store.ErrWrongExpectedVersion)
	if !errors.As(err, &conflict) {
		log.Fatal("no conflict: ", err)
	}
	fmt.Printf("  refused: it is at version %d by now\n", conflict.Actual)

	fmt.Println("Change a table of our own and append, in one transaction:")
	_, err = db.ExecContext(ctx, "create table balances (account text primary key, cents integer not null)")
	check(err)
	check(es.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "insert into balances (account, cents) values ('account-8', 300)"); err != nil {
			return err
		}
		_, err := es.WithTx(tx).Append(ctx, "account-8", store.NoStream, store.Event{Type: "deposited", Data: moved{Cents: 300}})
		return err // nil commits both, an error rolls both back
	}))
	var cents int64
	check(db.QueryRowContext(ctx, "select cents from balances where account = 'account-8'").Scan(&cents))
	fmt.Printf("  the table says %d\n", cents)

	fmt.Println("Read one stream:")
	for e, err := range es.Stream(ctx, "account-7", nil) {
		check(err)
		m, err := store.Decode[moved](e)
		check(err)
		fmt.Printf("  version %d: %s %d\n", e.Version, e.Type, m.Cents)
	}

	fmt.Println("Read all streams, in their one order:")
	for e, err := range es.All(ctx, nil) {
		check(err)
		fmt.Printf("  position %d: %s in %s\n", e.Number, e.Type, e.Stream)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
