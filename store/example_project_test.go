package store_test

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

// bankStore returns a store on SQLite in memory, with a table of balances.
func bankStore(ctx context.Context) (*sql.DB, *store.Store) {
	db, err := sql.Open("sqlite", sqlite.Memory())
	if err != nil {
		log.Fatal(err)
	}
	backend := sqlite.New(db, nil)
	if err := migrate.Up(ctx, backend); err != nil {
		log.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, `create table balances (account text primary key, cents integer not null)`); err != nil {
		log.Fatal(err)
	}
	return db, store.New(backend, nil)
}

type deposit struct{ Cents int64 }

// addUp adds deposits to balances.
func addUp(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
	for _, e := range events {
		d, err := store.Decode[deposit](e)
		if err != nil {
			return err
		}
		if d.Cents < 0 {
			return errors.New("a deposit of less than nothing")
		}
		_, err = tx.ExecContext(ctx, `insert into balances (account, cents) values ($1, $2)
			on conflict (account) do update set cents = cents + excluded.cents`, e.Stream, d.Cents)
		if err != nil {
			return err
		}
	}
	return nil
}

// A projection keeps a table; who has written waits until it has come so far.
func ExampleStore_Project() {
	ctx, stop := context.WithCancel(context.Background())
	db, es := bankStore(ctx)
	defer db.Close() //nolint:errcheck // an example
	ended := make(chan error)
	go func() { ended <- es.Project(ctx, "balances", addUp, nil) }()

	var last store.AppendResult
	for _, cents := range []int64{500, 250} {
		var err error
		if last, err = es.Append(ctx, "account-1", store.Any, store.Event{Type: "deposited", Data: deposit{cents}}); err != nil {
			log.Fatal(err)
		}
	}
	if err := es.WaitFor(ctx, "balances", last); err != nil {
		log.Fatal(err)
	}
	var cents int64
	if err := db.QueryRowContext(ctx, `select cents from balances where account = 'account-1'`).Scan(&cents); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the table says", cents)
	stop()
	fmt.Println(errors.Is(<-ended, context.Canceled))
	// Output:
	// the table says 750
	// true
}

// An event that fails is put aside, and those of its stream behind it, until it is discarded or replayed.
func ExampleStore_Parked() {
	ctx, stop := context.WithCancel(context.Background())
	db, es := bankStore(ctx)
	defer db.Close() //nolint:errcheck // an example
	ended := make(chan error)
	go func() {
		ended <- es.Project(ctx, "balances", addUp, &store.ProjectOptions{OnError: store.RetryThen(1, store.Park)})
	}()
	var last store.AppendResult
	for _, cents := range []int64{500, -1, 250} {
		var err error
		if last, err = es.Append(ctx, "account-1", store.Any, store.Event{Type: "deposited", Data: deposit{cents}}); err != nil {
			log.Fatal(err)
		}
	}
	if err := es.WaitFor(ctx, "balances", last); !errors.Is(err, store.ErrParked) {
		log.Fatal(err)
	}
	parked, err := es.Parked(ctx, "balances", nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range parked {
		fmt.Printf("version %d, %q\n", p.Version, p.Error)
	}
	if _, err := es.DiscardParked(ctx, "balances", &store.ParkedFilter{Numbers: []int64{2}}); err != nil {
		log.Fatal(err)
	}
	if err := es.WaitFor(ctx, "balances", last); err != nil { // what was behind it is applied
		log.Fatal(err)
	}
	var cents int64
	if err := db.QueryRowContext(ctx, `select cents from balances where account = 'account-1'`).Scan(&cents); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the table says", cents)
	stop()
	<-ended //nolint:errcheck // it was stopped
	// Output:
	// version 2, "a deposit of less than nothing"
	// version 3, ""
	// the table says 750
}
