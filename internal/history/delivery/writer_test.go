package delivery_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/eventstore-go/eventstore/internal/history"
	"github.com/eventstore-go/eventstore/store"
)

const (
	streams   = 40                   // that all writers share
	hands     = 3                    // writers in a process
	pace      = 8 * time.Millisecond // between two things that a writer does
	patience  = time.Second          // for an answer of the database, at first
	most      = 8 * time.Second      // and when it has given none: a machine that is very busy needs longer, each time anew
	retries   = 3                    // of an append that nobody has answered
	afterFail = 100 * time.Millisecond
)

// writer appends at random. It is for one goroutine.
type writer struct {
	*worker

	es   *store.Store
	name string
	rng  *rand.Rand
	made int // events so far

	patience time.Duration
}

// heard notes whether there was an answer.
func (r *writer) heard(answer bool) {
	if answer {
		r.patience = patience
	} else {
		r.patience = min(2*r.patience, most)
	}
}

// write runs writers until ctx ends.
func (w *worker) write(ctx context.Context) (err error) {
	es := store.New(w.b, nil)
	defer func() { err = errors.Join(err, es.Close()) }()
	all, ctx := errgroup.WithContext(ctx)
	for i := range hands {
		r := &writer{worker: w, es: es, name: fmt.Sprintf("%s-%d", w.Process, i), rng: rand.New(rand.NewPCG(w.Seed, uint64(i))), patience: patience}
		all.Go(func() error { return r.run(ctx) })
	}
	return all.Wait()
}

// run appends until ctx ends, and notes what came of each append.
func (r *writer) run(ctx context.Context) error {
	for !wait(ctx, pace) {
		var done []history.Write
		if r.rng.IntN(10) < 7 {
			done = []history.Write{r.alone(ctx)}
		} else {
			done = r.together(ctx)
		}
		for _, w := range done {
			if err := r.journal.Add(w); err != nil {
				return err
			}
		}
		if len(done) == 0 || done[0].Outcome == history.Unknown {
			wait(ctx, afterFail)
		}
	}
	return nil
}

// plan makes an append of new events.
func (r *writer) plan() history.Write {
	w := history.Write{Kind: history.Append, Stream: fmt.Sprintf("stream-%d", r.rng.IntN(streams)), Outcome: history.Unknown}
	for range 1 + r.rng.IntN(4) {
		w.IDs = append(w.IDs, fmt.Sprintf("%s-%d", r.name, r.made))
		r.made++
	}
	return w
}

// events returns the events of an append: again the same if it is asked again.
func events(w history.Write) []store.Event {
	list := make([]store.Event, len(w.IDs))
	for i, id := range w.IDs {
		list[i] = store.Event{ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(id)), Type: "happened", Data: id}
	}
	return list
}

// alone makes an append, again if there is no answer. It has ended when the writer is told to end.
func (r *writer) alone(ctx context.Context) history.Write {
	w := r.plan()
	for range retries {
		under, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.patience)
		res, err := r.es.Append(under, w.Stream, store.Any, events(w)...)
		cancel()
		r.heard(err == nil)
		if err == nil {
			w.First, w.Outcome = res.First, history.Committed
			return w
		}
		if wait(ctx, afterFail) {
			break
		}
	}
	return w
}

var errRollback = errors.New("rolled back")

// together makes some appends in one transaction, which stays open for a while, and may be rolled back.
func (r *writer) together(ctx context.Context) []history.Write {
	list := make([]history.Write, 1+r.rng.IntN(3))
	for i := range list {
		list[i] = r.plan()
	}
	slices.SortStableFunc(list, func(x, y history.Write) int { return strings.Compare(x.Stream, y.Stream) }) // no deadlocks
	linger := time.Duration(r.rng.IntN(60)) * time.Millisecond
	if r.rng.IntN(20) == 0 {
		linger = time.Duration(r.rng.IntN(1000)) * time.Millisecond
	}
	keep := r.rng.IntN(4) > 0
	prepared := false
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.patience+linger)
	defer cancel()
	err := r.es.InTx(ctx, func(tx *sql.Tx) error {
		for i := range list {
			res, err := r.es.WithTx(tx).Append(ctx, list[i].Stream, store.Any, events(list[i])...)
			if err != nil {
				return err
			}
			list[i].First = res.First
		}
		wait(ctx, linger)
		if !keep {
			return errRollback
		}
		prepared = true
		return nil
	})
	r.heard(err == nil || errors.Is(err, errRollback))
	outcome := history.Refused // nobody asked for a commit
	switch {
	case err == nil:
		outcome = history.Committed
	case prepared:
		outcome = history.Unknown
	}
	for i := range list {
		list[i].Outcome = outcome
	}
	return list
}
