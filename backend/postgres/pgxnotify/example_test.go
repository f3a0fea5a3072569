package pgxnotify_test

import (
	"database/sql"
	"log"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/postgres/pgxnotify"
	"github.com/eventstore-go/eventstore/store"
)

// A store whose subscribers hear at once of what other processes append.
func Example() {
	const url = "postgres://localhost/shop"
	db, err := sql.Open("pgx", url)
	if err != nil {
		log.Fatal(err)
	}
	backend := postgres.New(db, nil)
	notifier, err := pgxnotify.New(url, backend.Channel(), nil)
	if err != nil {
		log.Fatal(err)
	}
	es := store.New(backend, &store.Options{Notifier: notifier})
	defer es.Close() //nolint:errcheck // an example
}
