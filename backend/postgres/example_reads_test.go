package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/store"
)

// Reads go to a standby, and subscriptions and projections read their events there. What must not lag is read from Primary.
func Example_reads() {
	ctx := context.Background()
	primary, err := sql.Open("pgx", "postgres://db1,db2/shop?target_session_attrs=read-write")
	if err != nil {
		log.Fatal(err)
	}
	standby, err := sql.Open("pgx", "postgres://db2,db1/shop?target_session_attrs=prefer-standby")
	if err != nil {
		log.Fatal(err)
	}
	es := store.New(postgres.New(primary, &postgres.Options{Reads: standby}), nil)
	defer es.Close() //nolint:errcheck // an example

	reserve := func(es *store.Store) error {
		var seen store.Seen
		stock := 10
		for e, err := range es.Stream(ctx, "stock-1", &store.ReadOptions{Seen: &seen}) { // may lag
			if err != nil && !errors.Is(err, store.ErrStreamNotFound) {
				return err
			}
			if e.Type == "reserved" {
				stock--
			}
		}
		if stock == 0 {
			return errors.New("sold out")
		}
		_, err := es.Append(ctx, "stock-1", seen.Expected(), store.Event{Type: "reserved", Data: 1})
		return err
	}
	err = reserve(es)
	for errors.Is(err, store.ErrWrongExpectedVersion) { // perhaps the standby lags: decide again on what the primary has
		err = reserve(es.Primary())
	}
	fmt.Println(err)
}
