-- name: AddOrder :exec
insert into orders (id, customer, cents) values ($1, $2, $3);

-- name: ListOrders :many
select id from orders order by id;

-- name: AddSpending :exec
insert into spendings (customer, cents) values ($1, $2)
on conflict (customer) do update set cents = spendings.cents + excluded.cents;

-- name: Spending :one
select cents from spendings where customer = $1;
