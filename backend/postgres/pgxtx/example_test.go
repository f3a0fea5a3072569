package pgxtx_test

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/postgres/pgxtx"
	"github.com/eventstore-go/eventstore/store"
)

var paid = store.Event{Type: "order.paid"}

// A store on the pool of a program.
func ExampleOpenDB() {
	pool, err := pgxpool.New(context.Background(), "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	db := pgxtx.OpenDB(pool)
	defer db.Close() //nolint:errcheck // an example
	es := store.New(postgres.New(db, nil), nil)
	defer es.Close() //nolint:errcheck // an example
}

// A transaction of the program's that takes a row and an event.
func ExampleWithTx() {
	var pool *pgxpool.Pool
	var es *store.Store
	place := func(ctx context.Context) error {
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback(ctx) //nolint:errcheck // after a commit this does nothing
		if _, err := tx.Exec(ctx, "update orders set paid = true where id = $1", 17); err != nil {
			return err
		}
		if _, err := pgxtx.WithTx(es, tx).Append(ctx, "order-17", store.Version(1), paid); err != nil {
			return err // the deferred Rollback undoes both
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
		es.Committed() // subscribers look at once
		return nil
	}
	_ = place
}

// A transaction that the store begins and commits.
func ExampleInTx() {
	var es *store.Store // over pgxtx.OpenDB
	place := func(ctx context.Context) error {
		return pgxtx.InTx(ctx, es, func(tx pgx.Tx, in *store.Store) error {
			if _, err := tx.Exec(ctx, "update orders set paid = true where id = $1", 17); err != nil {
				return err
			}
			_, err := in.Append(ctx, "order-17", store.Version(1), paid)
			return err
		})
	}
	_ = place
}

// A projection whose handler sends its statements in one batch.
func ExampleHandler() {
	var es *store.Store // over pgxtx.OpenDB
	handler := pgxtx.Handler(func(ctx context.Context, tx pgx.Tx, events []store.Recorded) error {
		batch := &pgx.Batch{}
		for _, e := range events {
			batch.Queue("update orders set events = events + 1 where stream = $1", e.Stream)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	project := func(ctx context.Context) error { return es.Project(ctx, "orders", handler, nil) }
	_ = project
}

// The handlers of a router have the transaction in their context.
func ExampleFrom() {
	type Paid struct{ Cents int64 }
	router := store.NewRouter()
	store.On(router, func(ctx context.Context, e store.Recorded, paid Paid) error {
		_, err := pgxtx.From(ctx).Exec(ctx, "update orders set cents = cents - $1 where stream = $2", paid.Cents, e.Stream)
		return err
	})
	_ = pgxtx.Handler(func(ctx context.Context, _ pgx.Tx, events []store.Recorded) error {
		return router.HandleBatch(ctx, store.TxFrom(ctx), events)
	})
}
