package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/postgres"
)

// Which of many stores have new events? Look at all of them at once, and compare with the last look.
func ExampleActivities() {
	ctx := context.Background()
	db, err := sql.Open("pgx", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	tenants := []string{"tenant_1", "tenant_2", "tenant_3"}
	before, err := postgres.Activities(ctx, db, tenants...)
	if err != nil {
		log.Fatal(err)
	}
	// Later:
	now, err := postgres.Activities(ctx, db, tenants...)
	if err != nil {
		log.Fatal(err)
	}
	for _, tenant := range tenants {
		if !now[tenant].Same(before[tenant]) {
			fmt.Println(tenant, "has new events")
		}
	}
}
