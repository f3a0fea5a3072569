package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// In columns of type jsonb the data of events can be queried in SQL.
func Example_jsonb() {
	ctx := context.Background()
	db, err := sql.Open("pgx", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	backend := postgres.New(db, &postgres.Options{DataType: "jsonb"})
	if err := migrate.Up(ctx, backend); err != nil { // the type counts when the schema is created; see also ConvertData
		log.Fatal(err)
	}
	es := store.New(backend, nil)
	defer es.Close() //nolint:errcheck // an example
	_, err = es.Append(ctx, "order-17", store.Any, store.Event{Type: "order.placed", Data: map[string]any{"customer": "c-1", "cents": 4200}})
	if err != nil {
		log.Fatal(err)
	}
	var cents int64
	err = db.QueryRowContext(ctx, `
		select sum((data->>'cents')::bigint) from eventstore.events
		where event_type = 'order.placed' and data->>'customer' = 'c-1'`).Scan(&cents)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cents)
}
