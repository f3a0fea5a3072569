package hatest_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/postgres/pgxnotify"
	"github.com/eventstore-go/eventstore/backend/postgres/pqnotify"
	"github.com/eventstore-go/eventstore/internal/history/delivery"
	"github.com/eventstore-go/eventstore/store"
)

const (
	schema     = "shop"
	mailer     = "mailer" // the subscription
	sums       = "sums"   // the projection
	partitions = 4
)

// plan is what a process is to do.
type plan struct {
	Name    string
	Driver  string
	URL     string
	Journal string // a file to create
}

// worker is one process: two writers, the subscription and the projection. A line on its standard input ends the writers, and the
// end of the input ends all.
type worker struct {
	plan

	db      *sql.DB
	es      *store.Store
	journal *delivery.Journal
}

// work carries out a plan. What the library logs goes to the standard error.
func work(text string) (err error) {
	var w worker
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
	w.db.SetMaxOpenConns(20)
	w.db.SetMaxIdleConns(20)
	b := postgres.New(w.db, &postgres.Options{Schema: schema})
	defer func() { err = errors.Join(err, b.Close()) }()
	notifier, err := w.notifier(b)
	if err != nil {
		return err
	}
	w.es = store.New(b, &store.Options{Name: w.Name, Notifier: notifier})
	defer func() { err = errors.Join(err, w.es.Close()) }()

	reading, stop := context.WithCancel(context.Background())
	writing, stopWriters := context.WithCancel(reading)
	go func() {
		defer stop()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			stopWriters()
		}
	}()
	var all sync.WaitGroup
	errs := make(chan error, 4)
	for _, run := range []func() error{
		func() error { return (&writer{worker: &w, name: w.Name + "-plain"}).run(writing) },
		func() error { return (&writer{worker: &w, name: w.Name + "-tx", inTx: true}).run(writing) },
		func() error { return w.again(reading, mailer, w.consume) },
		func() error { return w.again(reading, sums, w.project) },
	} {
		all.Go(func() { errs <- run() })
	}
	all.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

func (w *worker) notifier(b *postgres.Backend) (store.Notifier, error) {
	if w.Driver == "pgx" {
		return pgxnotify.New(w.URL, b.Channel(), nil)
	}
	return pqnotify.New(w.URL, b.Channel(), nil)
}

// note adds a line to the journal.
func (w *worker) note(l line) error {
	l.At, l.Process = now(), w.Name
	return w.journal.Add(l)
}

// again calls a reader, and calls it again if it has ended by itself, which it notes.
func (w *worker) again(ctx context.Context, name string, run func(context.Context) error) error {
	for {
		err := run(ctx)
		if ctx.Err() != nil && !errors.Is(err, store.ErrPositionLost) {
			return nil
		}
		if noted := w.note(line{Kind: ended, Stream: name, Error: err.Error(), Lost: errors.Is(err, store.ErrPositionLost)}); noted != nil {
			return noted
		}
		if pause(ctx, 100*time.Millisecond) {
			return nil
		}
	}
}

func (w *worker) consume(ctx context.Context) error {
	return w.es.Consume(ctx, store.All, mailer, func(_ context.Context, e store.Recorded) error {
		return w.note(line{Kind: delivered, Stream: e.Stream, Number: e.Number, IDs: store.IDs(e)})
	}, nil)
}

func (w *worker) project(ctx context.Context) error {
	return w.es.Project(ctx, sums, w.apply, &store.ProjectOptions{Partitions: partitions})
}

// apply adds events to the sums of their streams, and sees whether each is the next one of its stream.
func (w *worker) apply(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
	for _, e := range events {
		m, err := store.Decode[money](e)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			insert into sums as s (stream, cents, version, applied, disorder)
			values ($1, $2, $3::bigint, 1, case when $3::bigint = 1 then 0 else 1 end)
			on conflict (stream) do update set cents = s.cents + excluded.cents, version = excluded.version, applied = s.applied + 1,
				disorder = s.disorder + case when excluded.version = s.version + 1 then 0 else 1 end`, e.Stream, m.Cents, e.Version)
		if err != nil {
			return err
		}
	}
	return w.note(line{Kind: applied, Number: events[len(events)-1].Number})
}
