package bank_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/store"
)

const (
	accounts   = 1000
	projection = "balances"
	ttl        = time.Second // of leases
)

// What workers do.
const (
	transfers = "transfers"
	projects  = "projects"
)

// plan is what a worker is to do.
type plan struct {
	Role   string
	Name   string // in the database
	Driver string
	URL    string
	Fault  string // what is wrong with its storage
}

// moved is an event of an account: money that came, or with a minus sign went.
type moved struct {
	Transfer uuid.UUID `json:"transfer"`
	Cents    int64     `json:"cents"`
	// Poison makes the projection fail on the event: "flaky" twice in each process, "bad" until there is a cure.
	Poison string `json:"poison,omitempty"`
}

// worker is one process. It ends when its standard input does.
type worker struct {
	plan

	db *sql.DB
	es *store.Store

	mu    sync.Mutex
	flaky map[uuid.UUID]int // how often a flaky event has failed
}

// work carries out a plan.
func work(text string) (err error) {
	w := worker{flaky: map[uuid.UUID]int{}}
	if err := json.Unmarshal([]byte(text), &w.plan); err != nil {
		return err
	}
	if w.db, err = sql.Open(w.Driver, w.URL); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.db.Close()) }()
	w.db.SetMaxOpenConns(12)
	w.es = store.New(faulty(postgres.New(w.db, &postgres.Options{Schema: "bank"}), w.Fault), &store.Options{
		LeaseTTL: ttl, PollInterval: 50 * time.Millisecond,
	})
	defer func() { _ = w.es.Close() }() // the server may be away
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	switch w.Role {
	case transfers:
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { w.transferAll(ctx) })
		}
		wg.Wait()
		return nil
	case projects:
		return w.project(ctx)
	}
	return fmt.Errorf("nobody %s", w.Role)
}

// transferAll transfers money until ctx ends. What fails is done or not; the events will tell.
func (w *worker) transferAll(ctx context.Context) {
	for !pause(ctx, time.Duration(rand.IntN(40))*time.Millisecond) {
		_ = w.transfer(ctx)
	}
}

// transfer takes money from one account to another, and notes it in the journal, in one transaction of its own.
func (w *worker) transfer(ctx context.Context) error {
	from, to := rand.IntN(accounts), rand.IntN(accounts)
	if from == to {
		return nil
	}
	id, cents := uuid.New(), int64(1+rand.IntN(10_000))
	out, in := moved{Transfer: id, Cents: -cents}, moved{Transfer: id, Cents: cents}
	switch rand.IntN(1000) {
	case 0:
		in.Poison = "bad"
	case 1, 2, 3:
		out.Poison = "flaky"
	}
	first, second := account(from), account(to)
	events := map[string]moved{first: out, second: in}
	if first > second { // streams are locked in one order
		first, second = second, first
	}
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	bound := w.es.WithTx(tx)
	for _, stream := range []string{first, second} {
		if _, err := bound.Append(ctx, stream, store.Any, store.Event{Type: "moved", Data: events[stream], CorrelationID: id}); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `insert into journal (transfer, debit, credit, cents) values ($1, $2, $3, $4)`, id.String(), account(from), account(to), cents); err != nil {
		return err
	}
	if rand.IntN(50) == 0 {
		return errors.New("a customer changes their mind")
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	w.es.Committed()
	return nil
}

func account(n int) string { return fmt.Sprintf("account-%d", n) }

// project runs the projection until ctx ends, again and again if it has to.
func (w *worker) project(ctx context.Context) error {
	for ctx.Err() == nil {
		err := w.es.Project(ctx, projection, w.apply, &store.ProjectOptions{
			Partitions: 4, BatchSize: 200, OnError: store.RetryThen(3, store.Park),
			MinBackoff: 5 * time.Millisecond, MaxBackoff: 100 * time.Millisecond, RetryInterval: 100 * time.Millisecond,
		})
		if ctx.Err() == nil {
			fmt.Println("the projection has ended:", err)
			pause(ctx, 100*time.Millisecond)
		}
	}
	return nil
}

var errPoison = errors.New("poison")

// apply adds events to balances, and sees whether each is the next one of its account.
func (w *worker) apply(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
	for _, e := range events {
		m, err := store.Decode[moved](e)
		if err != nil {
			return err
		}
		if err := w.poisoned(ctx, tx, e.ID, m.Poison); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			insert into balances as b (account, cents, version, applied, disorder)
			values ($1, $2, $3::bigint, 1, case when $3::bigint = 1 then 0 else 1 end)
			on conflict (account) do update set cents = b.cents + excluded.cents, version = excluded.version, applied = b.applied + 1,
				disorder = b.disorder + case when excluded.version = b.version + 1 then 0 else 1 end`, e.Stream, m.Cents, e.Version)
		if err != nil {
			return err
		}
	}
	pause(ctx, rand.N(40*time.Millisecond)) // for something to go wrong in
	return nil
}

// poisoned returns why an event is not to be applied now.
func (w *worker) poisoned(ctx context.Context, tx *sql.Tx, id uuid.UUID, poison string) error {
	switch poison {
	case "flaky":
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.flaky[id]++; w.flaky[id] <= 4 { // in its batch, and alone
			return errPoison
		}
	case "bad":
		var cured bool
		if err := tx.QueryRowContext(ctx, `select exists (select 1 from cure)`).Scan(&cured); err != nil {
			return err
		}
		if !cured {
			return errPoison
		}
	}
	return nil
}

// pause waits so long, or until ctx ends, which it reports.
func pause(ctx context.Context, d time.Duration) (ended bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-ctx.Done():
		return true
	}
}
