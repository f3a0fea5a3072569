package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

// bank is a store of what happened to accounts, with the tables that are kept beside it.
type bank struct {
	db *sql.DB
	es *store.Store
}

// moved is an event of an account: money that came, or, with a minus sign, went.
type moved struct {
	Cents int64 `json:"cents"`
}

var types = serializer.NewTypes()

func init() { serializer.Register[moved](types, "bank.moved") }

// leaseTTL is how long a program waits for the partitions of one that was killed.
const leaseTTL = store.DefaultLeaseTTL / 3

// backend is what both backends are.
type backend interface {
	store.Storage
	migrate.Backend
}

// open opens the database at target, a PostgreSQL URL or the path of a SQLite file, and creates what is missing there.
func open(ctx context.Context, target string) (*bank, error) {
	db, storage, err := connect(target)
	if err != nil {
		return nil, err
	}
	b := &bank{db: db, es: store.New(storage, &store.Options{Serializer: serializer.JSON(types), LeaseTTL: leaseTTL})}
	if err = migrate.Up(ctx, storage); err == nil {
		err = createBalances(ctx, db)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// createBalances creates the table of balances. Of two programs that do so at the same time one may fail: then it is there.
func createBalances(ctx context.Context, db *sql.DB) (err error) {
	for range 2 {
		_, err = db.ExecContext(ctx, `create table if not exists bank_balances (account text primary key, cents bigint not null, events bigint not null)`)
		if err == nil {
			return nil
		}
	}
	return err
}

func connect(target string) (*sql.DB, backend, error) {
	if strings.HasPrefix(target, "postgres://") || strings.HasPrefix(target, "postgresql://") {
		db, err := sql.Open("pgx", target)
		if err != nil {
			return nil, nil, err
		}
		return db, postgres.New(db, &postgres.Options{Schema: "bank"}), nil
	}
	db, err := sql.Open("sqlite", sqlite.DSN(target))
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", target, err)
	}
	return db, sqlite.New(db, &sqlite.Options{Prefix: "bank_"}), nil
}

func (b *bank) close() {
	_ = b.es.Close() // after an interrupt the leases may not be given up; they expire
	_ = b.db.Close()
}
