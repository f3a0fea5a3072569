-- name: AddOrder :exec
insert into orders (id, customer, cents) values ($1, $2, $3);

-- name: ListOrders :many
select id from orders order by id;
