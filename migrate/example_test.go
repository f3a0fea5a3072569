package migrate_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
)

func Example() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", sqlite.Memory())
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // the program ends
	backend := sqlite.New(db, nil)

	before, err := migrate.StatusOf(ctx, backend)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(before.Version, before.Pending[0])
	if err := migrate.Up(ctx, backend); err != nil {
		log.Fatal(err)
	}
	after, err := migrate.StatusOf(ctx, backend)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(after.Version == after.Latest, len(after.Pending))
	// Output:
	// 0 0001_init.up.sql
	// true 0
}
