package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

const projection = "revenue"

// ordered is an event of an order's stream.
type ordered struct {
	Cents int64 `json:"cents"`
}

var types = serializer.NewTypes()

func init() { serializer.Register[ordered](types, "ordered") }

// revenues is the table that the projections of all tenants write: what each has sold.
const revenues = `create table if not exists revenues (tenant text primary key, orders bigint not null, cents bigint not null)`

// createRevenues creates the table. Of several processes that do so at the same time, "if not exists" would let one fail.
func createRevenues(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	for _, statement := range []string{`select pg_advisory_xact_lock(hashtext('revenues'))`, revenues} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// revenue is the handler of a tenant's projection.
func revenue(ctx context.Context, tx *sql.Tx, tenant string, events []store.Recorded) error {
	var orders, cents int64
	for _, e := range events {
		o, ok, err := store.As[ordered](e)
		if err != nil {
			return err
		}
		if ok {
			orders++
			cents += o.Cents
		}
	}
	_, err := tx.ExecContext(ctx, `insert into revenues values ($1, $2, $3)
		on conflict (tenant) do update set orders = revenues.orders + excluded.orders, cents = revenues.cents + excluded.cents`, tenant, orders, cents)
	return err
}

// order places an order with a tenant.
func (all *tenants) order(ctx context.Context, tenant string, number int, cents int64) error {
	return all.use(tenant, func(es *store.Store) error {
		_, err := es.Append(ctx, fmt.Sprint("order-", number), store.Any, store.Event{Data: ordered{cents}})
		return err
	})
}
