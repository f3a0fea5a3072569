// Pgx shows an application that works with pgx and its pool, and nothing else: its own transactions take rows by COPY and events, a
// transaction of the store's takes both, and a projection keeps a table by pgx. The store shares the pool.
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

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/postgres/pgxtx"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

const schema = `
create table if not exists orders (id text primary key, customer text not null, cents bigint not null);
create table if not exists spendings (customer text primary key, cents bigint not null);`

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
	db := pgxtx.OpenDB(pool) // its connections are the pool's
	defer db.Close()         //nolint:errcheck // the program ends
	backend := postgres.New(db, &postgres.Options{Schema: "eventstore"})
	if err := migrate.Up(ctx, backend); err != nil {
		return err
	}
	es := store.New(backend, nil)
	defer es.Close() //nolint:errcheck // the program ends
	if _, err := pool.Exec(ctx, schema); err != nil {
		return err
	}
	shop := &shop{pool: pool, es: es}
	if err := shop.placeAll(ctx, out); err != nil {
		return err
	}
	last, err := shop.cancelOrder(ctx, Order{"17", "customer-7", 4200})
	if err != nil {
		return err
	}
	return shop.project(ctx, out, last)
}

type shop struct {
	pool *pgxpool.Pool
	es   *store.Store
}

// place adds a row and an event in a transaction of the program's own.
func (s *shop) place(ctx context.Context, o Order) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { // or pool.Begin and tx.Commit
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"orders"}, []string{"id", "customer", "cents"},
			pgx.CopyFromRows([][]any{{o.ID, o.Customer, o.Cents}}))
		if err != nil {
			return err
		}
		if _, err := pgxtx.WithTx(s.es, tx).Append(ctx, o.Customer, store.NoStream, store.Event{Type: "order.placed", Data: o}); err != nil {
			return err
		}
		if o.Cents > 1_000_000 {
			return errTooMuch // which undoes both
		}
		return nil
	})
	if err == nil {
		s.es.Committed() // subscribers look at once
	}
	return err
}

// placeAll places three orders, of which one goes through, and prints what is there then.
func (s *shop) placeAll(ctx context.Context, out io.Writer) error {
	for _, o := range []Order{{"17", "customer-7", 4200}, {"18", "customer-7", 100}, {"19", "customer-8", 9_999_999}} {
		fmt.Fprintf(out, "order %s: %v\n", o.ID, s.place(ctx, o)) //nolint:errcheck // a line of the example
	}
	rows, err := s.pool.Query(ctx, "select id from orders order by id")
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	var events []string
	for e, err := range s.es.All(ctx, nil) {
		if err != nil {
			return err
		}
		events = append(events, e.Stream+": "+string(e.Data))
	}
	_, err = fmt.Fprintf(out, "rows: %v\nevents: %v\n", ids, events)
	return err
}

// cancelOrder removes a row and appends an event in a transaction that the store begins and commits.
func (s *shop) cancelOrder(ctx context.Context, o Order) (last store.AppendResult, err error) {
	err = pgxtx.InTx(ctx, s.es, func(tx pgx.Tx, in *store.Store) error {
		if _, err := tx.Exec(ctx, "delete from orders where id = $1", o.ID); err != nil {
			return err
		}
		last, err = in.Append(ctx, o.Customer, store.StreamExists, store.Event{Type: "order.cancelled", Data: Order{o.ID, o.Customer, -o.Cents / 2}})
		return err
	})
	return last, err
}

// project keeps the table spendings until it has come to the last event, and prints it.
func (s *shop) project(ctx context.Context, out io.Writer, last store.AppendResult) error {
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.es.Project(running, "spendings", pgxtx.Handler(addUp), nil) }()
	err := s.es.WaitFor(ctx, "spendings", last)
	stop()
	if e := <-ended; !errors.Is(e, context.Canceled) {
		return errors.Join(err, e)
	}
	if err != nil {
		return err
	}
	var customer string
	var cents int64
	if err := s.pool.QueryRow(ctx, "select customer, cents from spendings").Scan(&customer, &cents); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s spent %d cents\n", customer, cents)
	return err
}

// addUp applies events to the table spendings, in one round trip. The store commits tx together with how far the projection has come.
func addUp(ctx context.Context, tx pgx.Tx, events []store.Recorded) error {
	batch := &pgx.Batch{}
	for _, e := range events {
		o, err := store.Decode[Order](e)
		if err != nil {
			return err
		}
		batch.Queue(`insert into spendings (customer, cents) values ($1, $2)
			on conflict (customer) do update set cents = spendings.cents + excluded.cents`, o.Customer, o.Cents)
	}
	return tx.SendBatch(ctx, batch).Close()
}
