package orders

import (
	"context"
)

const addOrder = `-- name: AddOrder :exec
insert into orders (id, customer, cents) values ($1, $2, $3)
`

type AddOrderParams struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Cents    int64  `json:"cents"`
}

func (q *Queries) AddOrder(ctx context.Context, arg AddOrderParams) error {
	_, err := q.db.Exec(ctx, addOrder, arg.ID, arg.Customer, arg.Cents)
	return err
}

const addSpending = `-- name: AddSpending :exec
insert into spendings (customer, cents) values ($1, $2)
on conflict (customer) do update set cents = spendings.cents + excluded.cents
`

type AddSpendingParams struct {
	Customer string `json:"customer"`
	Cents    int64  `json:"cents"`
}

func (q *Queries) AddSpending(ctx context.Context, arg AddSpendingParams) error {
	_, err := q.db.Exec(ctx, addSpending, arg.Customer, arg.Cents)
	return err
}

const listOrders = `-- name: ListOrders :many
select id from orders order by id
`

func (q *Queries) ListOrders(ctx context.Context) ([]string, error) {
	rows, err := q.db.Query(ctx, listOrders)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		items = append(items, id)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return items, nil
}

const spending = `-- name: Spending :one
select cents from spendings where customer = $1
`

func (q *Queries) Spending(ctx context.Context, customer string) (int64, error) {
	row := q.db.QueryRow(ctx, spending, customer)
	var cents int64
	err := row.Scan(&cents)
	return cents, err
}
