// Command cache keeps a read model in memory: how much each customer has spent. It starts from a snapshot, so that it
// need not read all events again, and follows new ones. Several programs may each have such a cache.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// bought is an event of a customer's stream.
type bought struct {
	Cents int64 `json:"cents"`
}

func main() {
	dir, err := os.MkdirTemp("", "cache")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	if err := run(context.Background(), filepath.Join(dir, "shop.db")); err != nil {
		log.Fatal(err) //nolint:gocritic // the directory is in the system's temporary directory
	}
}

func run(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", sqlite.DSN(path))
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing is open any more
	backend := sqlite.New(db, nil)
	if err := migrate.Up(ctx, backend); err != nil {
		return err
	}
	es := store.New(backend, nil)
	defer es.Close() //nolint:errcheck // nothing was to be written

	for range 2_500 {
		if err := buy(ctx, es, "customer-1", 100); err != nil {
			return err
		}
	}
	fmt.Println("The first time there is no snapshot, and all events are read:")
	if err := session(ctx, es, "customer-1", 50); err != nil {
		return err
	}
	fmt.Println("The second time the cache starts from its snapshot:")
	return session(ctx, es, "customer-2", 70)
}

// session opens a cache, buys something, and shows that the cache has it.
func session(ctx context.Context, es *store.Store, customer string, cents int64) error {
	totals, err := open(ctx, es)
	if err != nil {
		return err
	}
	defer totals.close()
	if err := buy(ctx, es, customer, cents); err != nil {
		return err
	}
	head, err := es.Head(ctx)
	if err != nil {
		return err
	}
	if err := totals.waitFor(ctx, head); err != nil {
		return err
	}
	fmt.Printf("  %d events were read; %s has spent %d\n", totals.read(), customer, totals.of(customer))
	return nil
}

func buy(ctx context.Context, es *store.Store, customer string, cents int64) error {
	_, err := es.Append(ctx, customer, store.Any, store.Event{Type: "bought", Data: bought{cents}})
	return err
}
