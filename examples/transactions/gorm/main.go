// Gorm shows a transaction of gorm that writes a row of the application's table and appends an event: both or neither.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	pgdriver "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// Order is a row of the table orders, and what the event says.
type Order struct {
	ID       string `gorm:"primaryKey" json:"id"`
	Customer string `json:"customer"`
	Cents    int64  `json:"cents"`
}

// errTooMuch is what the program finds out behind the append: then neither the row nor the event may stay.
var errTooMuch = errors.New("customer-8 may not spend so much")

func main() {
	url := os.Getenv("EVENTSTORE_DB")
	if url == "" {
		log.Fatal("set EVENTSTORE_DB to the URL of a PostgreSQL database: postgres://user@host/database")
	}
	if err := run(context.Background(), url, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// sqlTx returns the *sql.Tx of a transaction of gorm. With gorm.Config.PrepareStmt it is wrapped.
func sqlTx(tx *gorm.DB) (*sql.Tx, error) {
	pool := tx.Statement.ConnPool
	if prepared, ok := pool.(*gorm.PreparedStmtTX); ok {
		pool = prepared.Tx
	}
	if t, ok := pool.(*sql.Tx); ok {
		return t, nil
	}
	return nil, fmt.Errorf("gorm is in no transaction: its connection is a %T", pool)
}

func run(ctx context.Context, url string, out io.Writer) error {
	for _, prepare := range []bool{false, true} {
		if _, err := fmt.Fprintln(out, "prepared statements:", prepare); err != nil {
			return err
		}
		if err := example(ctx, url, fmt.Sprintf("eventstore_%t", prepare), &gorm.Config{PrepareStmt: prepare, Logger: logger.Discard}, out); err != nil {
			return err
		}
	}
	return nil
}

func example(ctx context.Context, url, schema string, config *gorm.Config, out io.Writer) error {
	db, err := gorm.Open(pgdriver.Open(url), config)
	if err != nil {
		return err
	}
	pool, err := db.DB() // what gorm runs on is a *sql.DB, which the backend shares
	if err != nil {
		return err
	}
	defer pool.Close() //nolint:errcheck // the program ends
	backend := postgres.New(pool, &postgres.Options{Schema: schema})
	if err := migrate.Up(ctx, backend); err != nil {
		return err
	}
	es := store.New(backend, nil)
	defer es.Close() //nolint:errcheck // the program ends
	if err := errors.Join(db.Migrator().DropTable(&Order{}), db.AutoMigrate(&Order{})); err != nil {
		return err
	}

	place := func(o Order) error {
		err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&o).Error; err != nil {
				return err
			}
			t, err := sqlTx(tx)
			if err != nil {
				return err
			}
			if _, err := es.WithTx(t).Append(ctx, o.Customer, store.NoStream, store.Event{Type: "order.placed", Data: o}); err != nil {
				return err
			}
			if o.Cents > 1_000_000 {
				return errTooMuch
			}
			return nil // commits both; an error rolls both back
		})
		if err == nil {
			es.Committed() // subscribers look at once
		}
		return err
	}
	return placeAll(ctx, out, es, place, func() (ids []string, err error) {
		return ids, db.WithContext(ctx).Model(&Order{}).Order("id").Pluck("id", &ids).Error
	})
}

// placeAll places three orders, of which one goes through, and prints what is there then.
func placeAll(ctx context.Context, out io.Writer, es *store.Store, place func(Order) error, ids func() ([]string, error)) error {
	for _, o := range []Order{{"17", "customer-7", 4200}, {"18", "customer-7", 100}, {"19", "customer-8", 9_999_999}} {
		fmt.Fprintf(out, "order %s: %v\n", o.ID, place(o)) //nolint:errcheck // a line of the example
	}
	rows, err := ids()
	if err != nil {
		return err
	}
	var events []string
	for e, err := range es.All(ctx, nil) {
		if err != nil {
			return err
		}
		events = append(events, e.Stream+": "+string(e.Data))
	}
	_, err = fmt.Fprintf(out, "rows: %v\nevents: %v\n", rows, events)
	return err
}
