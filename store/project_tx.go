package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store/internal/batch"
)

// applier applies batches of a partition, each in a transaction together with its checkpoint.
type applier struct {
	*projection
	record     ProjectionRecord
	partition  int
	subscriber *Subscriber
	meter      batch.Meter // of events applied
	aside      *batch.Aside
	handling   *Operation // that the handler is called for now, or nil
}

// key returns the partition key of an event.
func (a *applier) key(e *Recorded) (key string, hash int64) {
	if a.opts.PartitionBy == nil {
		return PartitionKey(e.Stream)
	}
	return PartitionKey(a.opts.PartitionBy(*e))
}

// handlerError is an error of the handler, or of a commit that the database has refused for what the handler wrote.
type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }
func (e *handlerError) Unwrap() error { return e.err }

// errAgain says that nothing was written, for a reason that is not in the events.
var errAgain = errors.New("the database did not let it")

// errDiscarded says that a parked event was discarded, or hard deleted, when it was about to be applied.
var errDiscarded = errors.New("discarded")

// attempt deals with a batch in one transaction. The error is a handlerError, errAgain, errVoid, errDiscarded, or final.
func (a *applier) attempt(ctx context.Context, list []task, how batch.Do, why error, attempts int) (err error) {
	lease := a.subscriber.lease()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(lease, func() { cancel(context.Cause(lease)) })()
	defer func() {
		if err != nil && lease.Err() != nil {
			err = errVoid
		} else if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	known := a.subscriber.known() // before the transaction: whatever its isolation level, it sees all this
	tx, err := a.storage.BeginTx(ctx, nil)
	if err != nil {
		return again(err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	storage := a.storage.WithTx(tx).(ProjectionStorage)
	direct, aside := a.sort(list, how, why, attempts)
	if len(direct) > 0 {
		if err := a.handle(ctx, tx, direct, attempts); err != nil {
			if d, ok := a.storage.(DeadlockDetector); ok && !errors.Is(err, ErrSelfDeadlock) && d.SelfDeadlock(ctx, tx, err) {
				err = fmt.Errorf("%w: %w", ErrSelfDeadlock, err)
			}
			if errors.Is(err, ErrUnregisteredType) || errors.Is(err, ErrSelfDeadlock) || errors.Is(err, ErrNoTransactions) {
				return err // no retry mends the program
			}
			if a.storage.Temporary(ctx, StepHandler, tx, err) {
				return again(err)
			}
			return &handlerError{err}
		}
	}
	checkpoint, err := a.note(ctx, tx, storage, known, list, aside, len(direct))
	if err != nil {
		return err
	}
	if err := a.storage.CommitTx(ctx, tx); err != nil {
		if len(direct) > 0 && !a.storage.Temporary(ctx, StepCommit, nil, err) {
			return &handlerError{err} // a deferred constraint
		}
		if ctx.Err() != nil {
			return errVoid // the partition is given up as it is, after the transaction, whatever becomes of that
		}
		// Nobody knows whether it was committed. With the next lease comes the checkpoint that is in the database, and what
		// is left of the transaction is fenced off.
		a.hub.lines.warn(ctx, "eventstore: a batch may not be committed; looking at its checkpoint", "projection", a.name, "partition", a.partition, "err", err)
		a.lose(nil)
		return errVoid
	}
	return a.committed(ctx, list, aside, len(direct), checkpoint)
}

// handle calls the handler.
func (a *applier) handle(ctx context.Context, tx *sql.Tx, events []Recorded, attempts int) (err error) {
	op := a.subscriber.subscription.operation(OpProject)
	op.Events, op.Attempt = events, attempts+1
	ctx, end := a.hub.observe(ctx, op)
	outcome := Outcome{Err: errHandler, Count: len(events)} // unless it returns
	defer func() { end(outcome) }()
	a.handling = &op
	outcome.Err = a.handler(context.WithValue(ctx, txKey{}, tx), tx, events)
	a.handling = nil
	return outcome.Err
}

// errHandler says that a handler did not return.
var errHandler = errors.New("the handler has ended its goroutine")

// again says that an error is not in the events, unless it is final.
func again(err error) error {
	if final(err) {
		return err
	}
	return fmt.Errorf("%w: %w", errAgain, err)
}

// sort returns the events that are to be handled, and those that are to be parked: one that is put aside, and new ones of a key that
// has parked events.
func (a *applier) sort(list []task, how batch.Do, why error, attempts int) (direct []Recorded, aside []ParkedEvent) {
	if how == batch.LeaveOut {
		return nil, nil
	}
	direct = make([]Recorded, 0, len(list))
	for i := range list {
		e := &list[i].event
		e.Replaying = e.Number <= a.record.ReplayUntil
		if list[i].gone {
			continue
		}
		if how == batch.Apply && (list[i].parked != nil || a.aside.Empty()) {
			direct = append(direct, *e)
			continue
		}
		key, hash := a.key(e)
		if how == batch.Apply && !a.aside.Has(key) {
			direct = append(direct, *e)
			continue
		}
		p := ParkedEvent{
			Projection: a.name, Key: key, Hash: hash, Number: e.Number, ID: e.ID, Stream: e.Stream, Version: e.Version, Type: e.Type,
			Failed: how == batch.PutAside,
		}
		if p.Failed {
			p.Attempts = attempts
		}
		if was := list[i].parked; was != nil {
			p.ParkedAt = was.ParkedAt
			p.Attempts += was.Attempts
		}
		if why != nil {
			p.Error = why.Error()
		}
		aside = append(aside, p)
	}
	return direct, aside
}

// note writes, in the transaction, how far the partition has come, and what is parked. It returns the checkpoint.
func (a *applier) note(ctx context.Context, tx *sql.Tx, storage ProjectionStorage, known CheckpointRequest, list []task, aside []ParkedEvent, handled int) (checkpoint int64, err error) {
	r := AdvanceRequest{CheckpointRequest: CheckpointRequest{
		ID: known.ID, Epoch: a.aside.Epoch(), StreamID: known.StreamID, Known: known.Known, Era: known.Era,
	}}
	r.Handled, r.Rate = int64(handled), a.meter.Rate(handled, time.Now())
	if list[0].parked == nil {
		var ok bool
		r.From = list[0].event.Number
		if r.CheckpointRequest, ok = a.subscriber.checkpointRequest(list[len(list)-1].event.Number); !ok || r.StreamID != known.StreamID {
			return 0, errVoid // of a stream that was created again meanwhile, or of another lease
		}
		r.Epoch, r.Seen, r.Known, r.Era = a.aside.Epoch(), known.Seen, known.Known, known.Era
		// What was left out since then comes with the next batch.
		r.Checkpoint = max(list[len(list)-1].event.Number, min(r.Checkpoint, known.Checkpoint))
	} else if n, err := storage.Unpark(ctx, a.name, parkedIDs(list)); err != nil {
		return 0, a.notNoted(ctx, tx, handled, err)
	} else if n != int64(len(list)) {
		return 0, errDiscarded
	}
	if len(aside) > 0 {
		if err := storage.Park(ctx, aside); err != nil {
			return 0, a.notNoted(ctx, tx, handled, err)
		}
	}
	err = storage.Advance(ctx, r)
	switch {
	case errors.Is(err, ErrLeaseLost):
		a.lose(err)
		return 0, errVoid
	case errors.Is(err, sql.ErrTxDone) && ctx.Err() == nil:
		return 0, &InvalidError{Field: "handler", Reason: "has ended the transaction, which is not its own", Err: err}
	case err != nil:
		return 0, a.notNoted(ctx, tx, handled, err)
	}
	return r.Checkpoint, nil
}

// notNoted returns a handlerError if the handler is why the transaction did not take the checkpoint: it has ignored an error that had
// aborted the transaction. Otherwise the batch is tried again, unless err is final.
func (a *applier) notNoted(ctx context.Context, tx *sql.Tx, handled int, err error) error {
	if handled == 0 || final(err) || a.storage.Temporary(ctx, StepStorage, tx, err) {
		return again(err)
	}
	return &handlerError{err}
}

// lose gives the lease up: it is taken again, with the checkpoint that is in the database.
func (a *applier) lose(why error) { a.subscriber.lose(a.aside.Epoch(), why) }

// committed notes what was committed.
func (a *applier) committed(ctx context.Context, list []task, aside []ParkedEvent, handled int, checkpoint int64) error {
	a.meter.Add(handled, time.Now())
	a.hub.progress.tell()
	for _, p := range aside {
		a.aside.Put(p.Key, true)
	}
	if list[0].parked != nil {
		a.subscriber.applied(func(number int64) bool {
			return slices.ContainsFunc(list, func(t task) bool { return t.event.Number == number })
		})
		return nil
	}
	last := list[len(list)-1].event
	a.subscriber.committed(checkpoint)
	a.subscriber.applied(func(number int64) bool { return number > 0 && !a.aside.Retries(number) })
	if err := a.subscriber.Ack(context.WithoutCancel(ctx), last); err != nil {
		// The lease has expired, for all this process knows. It must not go on with what was committed.
		a.lose(nil)
		return void(err)
	}
	return nil
}

// parkedIDs returns the ids of parked events.
func parkedIDs(list []task) []uuid.UUID {
	ids := make([]uuid.UUID, len(list))
	for i := range list {
		ids[i] = list[i].parked.ID
	}
	return ids
}

// logPanic logs a panic with its stack. Project panics with it on the caller's goroutine.
func (a *applier) logPanic(ctx context.Context, p any) {
	about := []any{"projection", a.name, "partition", a.partition}
	if op := a.handling; op != nil && a.subscriber != nil { // the first event of the batch stands for it
		about = append(a.subscriber.subscription.about(&op.Events[0], op.Attempt), "events", len(op.Events))
	}
	a.hub.log.ErrorContext(ctx, logPanic, append(about, "panic", p, "stack", string(debug.Stack()))...)
}
