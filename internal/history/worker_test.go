package history_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/history"
	"github.com/eventstore-go/eventstore/store"
)

// plan is what a worker is to do.
type plan struct {
	Worker      int
	Driver, URL string
	Schema      string
	Seed        uint64
	Writers     int
	Ops         int  // of each writer
	Alone       bool // without group commit
}

// worker is one process that writes and reads.
type worker struct {
	plan

	db    *sql.DB
	es    *store.Store
	rec   history.Recorder
	steps *steps

	mu     sync.Mutex
	recent []linkable // guarded by mu: events that were read lately, as a ring
	next   int        // guarded by mu: where the next one goes
}

// linkable is an event with its id in the store.
type linkable struct {
	id    string
	event uuid.UUID
}

// work carries out the plan and writes the history to out as JSON.
func work(text string, out io.Writer) (err error) {
	w := worker{steps: newSteps()}
	if err := json.Unmarshal([]byte(text), &w.plan); err != nil {
		return err
	}
	if w.db, err = sql.Open(w.Driver, w.URL); err != nil {
		return err
	}
	defer func() { err = first(err, w.db.Close()) }()
	w.db.SetMaxIdleConns(40)
	w.es = store.New(postgres.New(w.db, &postgres.Options{Schema: w.Schema, NoGroupCommit: w.Alone}), &store.Options{HardDelete: true})
	defer func() { err = first(err, w.es.Close()) }()
	if err := w.run(context.Background()); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(w.rec.History())
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// run runs writers and readers until the writers have done all they are to do and the readers have read all of it.
func (w *worker) run(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		defer w.steps.finish()
		return w.write(ctx)
	})
	for i, size := range []int{7, 300} {
		all.Go(func() error { return w.follow(ctx, fmt.Sprintf("follower %d.%d", w.Worker, i), size) })
	}
	all.Go(func() error { return w.readAgain(ctx) })
	return all.Wait()
}

// write runs the writers. One more keeps transactions open while the others go on.
func (w *worker) write(ctx context.Context) error {
	patient, busy := errgroup.Group{}, errgroup.Group{}
	others := newSteps()
	holder := w.newWriter(w.Writers)
	patient.Go(func() error { return holder.hold(ctx, others) })
	for i := range w.Writers {
		writer := w.newWriter(i)
		busy.Go(func() error {
			for range w.Ops {
				if err := writer.step(ctx); err != nil {
					return fmt.Errorf("writer %s: %w", writer.name, err)
				}
				w.steps.add()
				others.add()
			}
			return nil
		})
	}
	err := busy.Wait()
	others.finish()
	return first(err, patient.Wait())
}

// newWriter returns the writer with the number i; the seed decides its choices.
func (w *worker) newWriter(i int) *writer {
	return &writer{
		worker:   w,
		name:     fmt.Sprintf("%d.%d", w.Worker, i),
		rng:      rand.New(rand.NewPCG(w.Seed, uint64(w.Worker)<<32|uint64(i))),
		versions: map[string]int64{},
	}
}

// follow reads events as they come.
func (w *worker) follow(ctx context.Context, name string, size int) error {
	r := w.reader(name)
	for {
		at, finished := w.steps.now()
		page, err := r.Next(ctx, size)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		w.remember(page)
		if len(page) == size {
			continue
		}
		if finished {
			return nil
		}
		if err := w.steps.wait(ctx, at+1); err != nil {
			return err
		}
	}
}

// readAgain reads all events from the beginning, again and again.
func (w *worker) readAgain(ctx context.Context) error {
	for i := 0; ; i++ {
		at, finished := w.steps.now()
		r := w.reader(fmt.Sprintf("reader %d.%d", w.Worker, i))
		for n := []int{1000, 50, 333}[i%3]; ; {
			page, err := r.Next(ctx, n)
			if err != nil {
				return fmt.Errorf("%s: %w", r.Name, err)
			}
			if len(page) < n {
				break
			}
		}
		if finished {
			return nil
		}
		if err := w.steps.wait(ctx, at+w.Writers*w.Ops/15); err != nil {
			return err
		}
	}
}

func (w *worker) reader(name string) *history.Reader {
	return &history.Reader{Name: name, Store: w.es, Recorder: &w.rec, Clock: w.clock}
}

// clock is a sequence: every process sees it grow.
func (w *worker) clock(ctx context.Context) (now int64, err error) {
	err = w.db.QueryRowContext(ctx, `select nextval('`+w.Schema+`.clock')`).Scan(&now)
	return now, err
}

// remember keeps events to be linked.
func (w *worker) remember(page []store.Recorded) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range page {
		id, _ := store.Decode[string](e) // it has been decoded before
		if len(w.recent) < 100 {
			w.recent = append(w.recent, linkable{})
		}
		w.recent[w.next] = linkable{id, e.ID}
		w.next = (w.next + 1) % 100
	}
}

// pick returns at most n different events that were read lately.
func (w *worker) pick(rng *rand.Rand, n int) []linkable {
	w.mu.Lock()
	defer w.mu.Unlock()
	var picked []linkable
	for _, i := range rng.Perm(len(w.recent)) {
		if len(picked) < n {
			picked = append(picked, w.recent[i])
		}
	}
	return picked
}

// steps counts what writers have done, for those that wait for it. It is safe for concurrent use.
type steps struct {
	mu       sync.Mutex
	n        int           // guarded by mu, as all below
	finished bool          // there will be no more
	changed  chan struct{} // closed at the next change
}

func newSteps() *steps { return &steps{changed: make(chan struct{})} }

func (s *steps) add() { s.change(func() { s.n++ }) }

func (s *steps) finish() { s.change(func() { s.finished = true }) }

func (s *steps) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *steps) now() (n int, finished bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n, s.finished
}

// wait waits until there are n steps, or will be no more.
func (s *steps) wait(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		enough, changed := s.n >= n || s.finished, s.changed
		s.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
