package delivery_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/history/delivery"
)

// What workers do.
const (
	writes   = "writes"
	consumes = "consumes"
)

// plan is what a worker is to do.
type plan struct {
	Role    string
	Process string // its name in the history, and in the database
	Driver  string
	URL     string
	Schema  string
	Journal string // a file to create
	Seed    uint64

	// Of one that consumes:
	Subscriptions []delivery.Subscription
	TTL           time.Duration // of leases
	Listen        string        // with which driver it listens to hints; "" for not at all
	Fault         string        // what is wrong with its storage
	Hold          bool          // whether its first checkpoint waits until the worker is told to go on
}

// worker is one process. It is told what to do through its standard input: a line tells it to go on, and the end of the
// input to end in good order.
type worker struct {
	plan

	db      *sql.DB
	b       *postgres.Backend
	journal *delivery.Journal
	told    chan struct{}
}

// work carries out a plan.
func work(text string) (err error) {
	w := worker{told: make(chan struct{}, 1)}
	if err := json.Unmarshal([]byte(text), &w.plan); err != nil {
		return err
	}
	if w.journal, err = delivery.Create(w.Journal); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.journal.Close()) }()
	if w.db, err = sql.Open(w.Driver, w.URL); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.db.Close()) }()
	w.b = postgres.New(w.db, &postgres.Options{Schema: w.Schema})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			w.told <- struct{}{}
		}
	}()
	switch w.Role {
	case writes:
		return w.write(ctx)
	case consumes:
		return w.consume(ctx)
	}
	return fmt.Errorf("nobody %s", w.Role)
}

// wait waits so long, or until ctx ends, which it reports.
func wait(ctx context.Context, d time.Duration) (ended bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-ctx.Done():
		return true
	}
}
