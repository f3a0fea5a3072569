// Forgetting shows how a person is forgotten in a history that does not change: what customers' events say is encrypted with
// a key for each of them, and the key is deleted. It runs on SQLite in memory and needs no setup.
package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log"

	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/serializer/encryption/sqlkeys"
	"github.com/eventstore-go/eventstore/store"
)

// CustomerRegistered is about a person, and so says whose it is. The stream's name does not give the person away.
type CustomerRegistered struct{ CustomerID, Name, Mail string }

// EventSubject implements [encryption.Subject].
func (c CustomerRegistered) EventSubject() string { return c.CustomerID }

// OrderPlaced is about money. It is not encrypted, and counts for ever.
type OrderPlaced struct {
	CustomerID string
	Cents      int64
}

func main() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", sqlite.Memory())
	check(err)
	defer db.Close() //nolint:errcheck // the program ends
	backend := sqlite.New(db, nil)
	check(migrate.Up(ctx, backend))

	master := make([]byte, 32) // yours comes from a vault, and stays the same
	rand.Read(master)
	keys, err := sqlkeys.New(db, &sqlkeys.Options{MasterKeys: [][]byte{master}})
	check(err)
	check(keys.Create(ctx))
	secret := encryption.New(keys, nil, nil)
	types := serializer.NewTypes()
	serializer.Register[CustomerRegistered](types, "customer.registered")
	serializer.Register[OrderPlaced](types, "order.placed")
	es := store.New(backend, &store.Options{
		Serializer: serializer.New(serializer.JSONFormat{}, &serializer.Options{Types: types, Codings: []serializer.Coding{secret}}),
	})
	defer es.Close() //nolint:errcheck // the program ends

	_, err = es.Append(ctx, "customer-1", store.NoStream,
		store.Event{Data: CustomerRegistered{"customer-1", "Ada Lovelace", "ada@example.com"}},
		store.Event{Data: OrderPlaced{"customer-1", 4200}})
	check(err)
	_, err = es.Append(ctx, "customer-2", store.NoStream,
		store.Event{Data: CustomerRegistered{"customer-2", "Mary Somerville", "mary@example.com"}})
	check(err)

	fmt.Println("What there is:")
	show(ctx, es)
	fmt.Println("Ada asks to be forgotten.")
	check(secret.Forget(ctx, "customer-1"))
	show(ctx, es)
}

// show prints all events.
func show(ctx context.Context, es *store.Store) {
	for e, err := range es.All(ctx, nil) {
		check(err)
		value, err := store.Decode[any](e)
		check(err)
		switch v := value.(type) {
		case CustomerRegistered:
			fmt.Printf("  %d: %s is %s, %s\n", e.Number, v.CustomerID, v.Name, v.Mail)
		case OrderPlaced:
			fmt.Printf("  %d: %s has ordered for %d cents\n", e.Number, v.CustomerID, v.Cents)
		case serializer.Forgotten:
			fmt.Printf("  %d: %s is forgotten\n", e.Number, v.Subject)
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
