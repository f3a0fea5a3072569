package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/jmoiron/sqlx"

	"github.com/eventstore-go/eventstore/store"
)

// total is a row of the read model.
type total struct {
	Customer string `db:"customer"`
	Cents    int64  `db:"cents"`
}

// A handler of a projection is given a *sql.Tx. For single statements sqlx.Named and sqlx.Rebind are enough:
//
//	query, args, err := sqlx.Named("update totals set cents = :cents where customer = :customer", row)
//	...
//	_, err = tx.ExecContext(ctx, sqlx.Rebind(sqlx.DOLLAR, query), args...)
//
// withSqlx gives it everything that sqlx has. Such a Tx does not know its driver, whose name is then "": init says what placeholders
// that has.
func withSqlx(tx *sql.Tx, db *sqlx.DB) *sqlx.Tx { return &sqlx.Tx{Tx: tx, Mapper: db.Mapper} }

func init() { sqlx.BindDriver("", sqlx.DOLLAR) }

// project keeps a read model until it has every event, and prints it.
func project(ctx context.Context, out io.Writer, es *store.Store, db *sqlx.DB) error {
	if _, err := db.ExecContext(ctx, "create table if not exists totals (customer text primary key, cents bigint not null)"); err != nil {
		return err
	}
	head, err := es.Head(ctx)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- es.Project(running, "totals", func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
			return apply(ctx, withSqlx(tx, db), events)
		}, nil)
	}()
	err = es.WaitForPosition(ctx, "totals", head)
	stop()
	if end := <-ended; !errors.Is(end, context.Canceled) {
		err = errors.Join(err, end)
	}
	if err != nil {
		return err
	}
	var totals []total
	if err := db.SelectContext(ctx, &totals, "select customer, cents from totals order by customer"); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "read model: %v\n", totals)
	return err
}

// apply adds up what customers have ordered for, in the transaction that keeps the projection's checkpoint: exactly once.
func apply(ctx context.Context, tx *sqlx.Tx, events []store.Recorded) error {
	for _, e := range events {
		o, err := store.Decode[Order](e)
		if err != nil {
			return err
		}
		_, err = tx.NamedExecContext(ctx, `insert into totals (customer, cents) values (:customer, :cents)
			on conflict (customer) do update set cents = totals.cents + excluded.cents`, total{o.Customer, o.Cents})
		if err != nil {
			return err
		}
	}
	return nil
}
