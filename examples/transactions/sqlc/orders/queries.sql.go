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
	_, err := q.db.ExecContext(ctx, addOrder, arg.ID, arg.Customer, arg.Cents)
	return err
}

const listOrders = `-- name: ListOrders :many
select id from orders order by id
`

func (q *Queries) ListOrders(ctx context.Context) ([]string, error) {
	rows, err := q.db.QueryContext(ctx, listOrders)
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
	if err := rows.Close(); err != nil {
		return nil, err
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return items, nil
}
