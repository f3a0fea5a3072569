package history_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/internal/history"
	"github.com/eventstore-go/eventstore/store"
)

// The streams that all writers of all workers share.
var (
	hot    = []string{"hot-0", "hot-1", "hot-2", "hot-3", "hot-4", "hot-5"}
	mixed  = []string{"mixed-0", "mixed-1"}         // own events and links
	links  = []string{"links-0", "links-1"}         // links only
	doomed = []string{"doomed-0", "doomed-1"}       // hard deleted now and then
	lasts  = slices.Concat(hot, mixed)              // never deleted
	any_   = slices.Concat(hot, hot, mixed, doomed) // to append to
)

// writer writes at random. It is for one goroutine.
type writer struct {
	*worker

	name     string
	rng      *rand.Rand
	versions map[string]int64 // what it believes
	events   int              // made so far
}

// step does one thing and records it.
func (w *writer) step(ctx context.Context) error {
	switch n := w.rng.IntN(100); {
	case n < 50:
		return w.alone(ctx, func() (history.Write, error) { return w.append(ctx, w.es, w.one(any_), 1+w.rng.IntN(5)) })
	case n < 54:
		return w.alone(ctx, func() (history.Write, error) { return w.append(ctx, w.es, w.one(any_), 50+w.rng.IntN(150)) })
	case n < 60:
		return w.alone(ctx, func() (history.Write, error) { return w.link(ctx, w.es) })
	case n < 62:
		return w.alone(ctx, func() (history.Write, error) { return w.delete(ctx, w.es) })
	case n < 72:
		return w.again(ctx)
	default:
		return w.together(ctx)
	}
}

// alone records a write outside a transaction.
func (w *writer) alone(ctx context.Context, f func() (history.Write, error)) error {
	wrote, err := f()
	if err != nil && !refusal(err) {
		return err
	}
	return w.end(ctx, err == nil, wrote)
}

// end records writes that were committed, or refused or rolled back.
func (w *writer) end(ctx context.Context, committed bool, writes ...history.Write) error {
	ended, err := w.clock(ctx)
	if err != nil {
		return err
	}
	for i := range writes {
		if !committed {
			writes[i].Outcome = history.Refused
		}
		if writes[i].Outcome == history.Committed {
			writes[i].Ended = ended
		}
	}
	w.rec.Wrote(slices.DeleteFunc(writes, func(w history.Write) bool { return w.Kind == "" })...)
	return nil
}

// refusal reports whether the error says that a write was not done, as it should.
func refusal(err error) bool {
	return slices.ContainsFunc([]error{
		store.ErrWrongExpectedVersion, store.ErrStreamNotFound, store.ErrDuplicateEvent, store.ErrEventNotFound, store.ErrRetryTx,
	}, func(target error) bool { return errors.Is(err, target) })
}

// append appends n events to a stream, under a belief that may be wrong. The write it returns counts as committed if
// there is no error.
func (w *writer) append(ctx context.Context, es *store.Store, stream string, n int) (history.Write, error) {
	began, err := w.clock(ctx)
	if err != nil {
		return history.Write{}, err
	}
	events, wrote := w.make(stream, n, w.rng.IntN(2) == 0)
	wrote.Began = began
	res, err := es.Append(ctx, stream, w.belief(stream), events...)
	return w.outcome(wrote, res, err), err
}

// make returns n new events, with ids or without, and the write that appends them.
func (w *writer) make(stream string, n int, withIDs bool) ([]store.Event, history.Write) {
	wrote := history.Write{Kind: history.Append, Stream: stream}
	events := make([]store.Event, n)
	for i := range events {
		id := fmt.Sprintf("%s-%d", w.name, w.events)
		w.events++
		events[i] = store.Event{Type: "happened", Data: id}
		if withIDs {
			events[i].ID = uuid.NewSHA1(uuid.NameSpaceOID, []byte(id))
		}
		wrote.IDs = append(wrote.IDs, id)
	}
	return events, wrote
}

// belief returns an expected version for the stream.
func (w *writer) belief(stream string) store.Expected {
	switch n := w.rng.IntN(20); {
	case n < 10:
		return store.Any
	case n < 12:
		return store.StreamExists
	case n < 13:
		return store.NoStream
	default:
		return store.Version(w.versions[stream])
	}
}

// outcome fills in the write what came of it.
func (w *writer) outcome(wrote history.Write, res store.AppendResult, err error) history.Write {
	var conflict *store.WrongExpectedVersionError
	switch {
	case err == nil:
		wrote.First, wrote.Outcome = res.First, history.Committed
		w.versions[wrote.Stream] = res.Last
	case errors.As(err, &conflict):
		wrote.Outcome = history.Refused
		w.versions[wrote.Stream] = conflict.Actual
	default:
		wrote.Outcome = history.Refused
	}
	return wrote
}

// link links events that were read lately.
func (w *writer) link(ctx context.Context, es *store.Store) (history.Write, error) {
	events := w.pick(w.rng, 1+w.rng.IntN(4))
	stream := w.one(slices.Concat(links, mixed))
	if len(events) == 0 {
		return history.Write{}, nil
	}
	began, err := w.clock(ctx)
	if err != nil {
		return history.Write{}, err
	}
	wrote := history.Write{Kind: history.Link, Stream: stream, Began: began}
	var ids []uuid.UUID
	for _, e := range events {
		wrote.IDs, ids = append(wrote.IDs, e.id), append(ids, e.event)
	}
	res, err := es.Link(ctx, stream, w.belief(stream), ids...)
	return w.outcome(wrote, res, err), err
}

// delete hard deletes a stream.
func (w *writer) delete(ctx context.Context, es *store.Store) (history.Write, error) {
	stream := w.one(doomed)
	began, err := w.clock(ctx)
	if err != nil {
		return history.Write{}, err
	}
	err = es.Delete(ctx, stream, store.Any, store.HardDelete)
	wrote := history.Write{Kind: history.Delete, Stream: stream, Began: began}
	if err == nil {
		w.versions[stream] = 0
	}
	return w.outcome(wrote, store.AppendResult{}, err), err
}

// again appends, perhaps under a context that ends meanwhile, and then sends the same again: it is there once.
func (w *writer) again(ctx context.Context) error {
	began, err := w.clock(ctx)
	if err != nil {
		return err
	}
	stream := w.one(lasts)
	events, wrote := w.make(stream, 1+w.rng.IntN(3), true)
	wrote.Began = began
	short, cancel := ctx, func() {}
	if w.rng.IntN(3) == 0 {
		short, cancel = context.WithTimeout(ctx, time.Duration(w.rng.IntN(2000))*time.Microsecond)
	}
	defer cancel()
	res, err := w.es.Append(short, stream, store.Any, events...)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if err != nil && w.rng.IntN(2) == 0 {
		wrote.Outcome = history.Unknown
		w.rec.Wrote(wrote)
		return nil
	}
	version := res.First
	res, err = w.es.Append(ctx, stream, store.Any, events...)
	if err != nil {
		return err
	}
	if version != 0 && (res.First != version || !res.Retried) {
		return fmt.Errorf("the retry of an append at version %d returned %+v", version, res)
	}
	return w.end(ctx, true, w.outcome(wrote, res, nil))
}

// together does several things in one transaction, some slowly, and commits it or rolls it back.
func (w *writer) together(ctx context.Context) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	es := w.es.WithTx(tx)
	streams := make([]string, 1+w.rng.IntN(4))
	for i := range streams {
		streams[i] = w.one(any_)
	}
	if w.rng.IntN(10) > 0 { // else there may be a deadlock
		slices.Sort(streams)
	}
	var writes []history.Write
	for _, stream := range streams {
		wrote, err := w.inTx(ctx, es, stream)
		if err != nil && !refusal(err) {
			return err
		}
		writes = append(writes, wrote)
		if errors.Is(err, store.ErrRetryTx) {
			return first(tx.Rollback(), w.end(ctx, false, writes...))
		}
		if err := w.linger(ctx, tx); err != nil {
			return err
		}
	}
	if w.rng.IntN(3) == 0 {
		return first(tx.Rollback(), w.end(ctx, false, writes...))
	}
	return first(tx.Commit(), w.end(ctx, true, writes...))
}

// inTx does one of the things of a transaction.
func (w *writer) inTx(ctx context.Context, es *store.Store, stream string) (history.Write, error) {
	switch n := w.rng.IntN(20); {
	case n < 17:
		return w.append(ctx, es, stream, 1+w.rng.IntN(3))
	case n < 19:
		return w.link(ctx, es)
	default:
		return w.delete(ctx, es)
	}
}

// linger keeps the transaction open for a while, in the database.
func (w *writer) linger(ctx context.Context, tx *sql.Tx) error {
	if w.rng.IntN(2) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `select pg_sleep(`+fmt.Sprintf("%.3f", w.rng.Float64()*0.01)+`)`)
	return err
}

// hold appends to a stream of the writer's own in transactions that stay open while others go on, until there are no
// others.
func (w *writer) hold(ctx context.Context, others *steps) error {
	for {
		at, finished := others.now()
		if finished {
			return nil
		}
		tx, err := w.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		wrote, err := w.append(ctx, w.es.WithTx(tx), "patient-"+w.name, 1+w.rng.IntN(3))
		if err != nil && !refusal(err) {
			return first(err, tx.Rollback())
		}
		if err := others.wait(ctx, at+1+w.rng.IntN(w.Writers*w.Ops/2)); err != nil {
			return first(err, tx.Rollback())
		}
		if w.rng.IntN(4) == 0 || err != nil {
			err = first(tx.Rollback(), w.end(ctx, false, wrote))
		} else {
			err = first(tx.Commit(), w.end(ctx, true, wrote))
		}
		if err != nil {
			return err
		}
	}
}

func (w *writer) one(of []string) string { return of[w.rng.IntN(len(of))] }
