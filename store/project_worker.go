package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// worker runs one partition of a projection.
type worker struct {
	p          *projector
	record     ProjectionRecord
	partition  int
	generation int64
	layouts    []layout
	pages      *pages
	stopping   context.Context // ends when the partition is to be given up
	stop       context.CancelFunc
	subscriber *Subscriber

	size    int             // of the next batch
	meter   meter           // of events applied
	epoch   int64           // of the lease in which parked was read
	parked  map[string]bool // keys that have parked events
	changes int64           // ProjectionRecord.Changes when parked was read
	looked  time.Time       // when changes were looked at
	pending bool            // parked events that are ready may be there, and are to be applied
	unread  time.Time       // parked events could not be read, and are to be read again then
	// later has parked events whose replay is to be tried again, by key. Until then nothing of the key is replayed.
	later map[string]*retry

	handling []Recorded // events that the handler is called for now, or nil
	attempts int        // how often it has failed on those

	// Valid when it has ended.
	err      error
	panicked any
	exited   bool
}

// smallestBatch is what batches begin with.
const smallestBatch = 100

func newWorker(p *projector, partition int) *worker {
	w := &worker{
		p: p, record: p.record, partition: partition, generation: p.record.Generation, layouts: p.layouts, pages: p.pages,
		size: min(smallestBatch, p.opts.BatchSize), meter: meter{since: time.Now()},
	}
	w.stopping, w.stop = context.WithCancel(context.Background())
	return w
}

// run runs the partition until there is a reason not to, which it leaves in err.
func (w *worker) run(ctx context.Context) {
	w.exited = true
	defer func() {
		if w.exited {
			if w.panicked = recover(); w.panicked != nil {
				w.logPanic(ctx, w.panicked)
			}
		}
		if w.subscriber != nil {
			if err := w.subscriber.Close(); errors.Is(err, ErrPositionLost) {
				w.err = errors.Join(w.err, err)
			} else if err != nil {
				w.p.hub.log.Warn("eventstore: a partition did not end in good order", "projection", w.p.name, "partition", w.partition, "err", err)
			}
		}
		w.stop()
		w.p.ended <- w
	}()
	w.err = w.runUntil(ctx)
	if errors.Is(w.err, errStopped) {
		w.err = nil
	}
	w.exited = false
}

// logPanic logs a panic with its stack. Project panics with it on the caller's goroutine.
func (w *worker) logPanic(ctx context.Context, p any) {
	about := []any{"projection", w.p.name, "partition", w.partition}
	if w.handling != nil && w.subscriber != nil { // the first event of the batch stands for it
		about = append(w.subscriber.subscription.about(&w.handling[0], w.attempts+1), "events", len(w.handling))
	}
	w.p.hub.log.ErrorContext(ctx, logPanic, append(about, "panic", p, "stack", string(debug.Stack()))...)
}

// errStopped says that this Store gives the partition up.
var errStopped = errors.New("stopped")

func (w *worker) runUntil(ctx context.Context) error {
	opts, err := w.options().checked()
	if err != nil {
		return err
	}
	if w.subscriber, err = w.p.hub.subscribe(ctx, w.record.partition(w.partition), opts); err != nil {
		return err
	}
	for {
		events, err := w.next(ctx)
		if err == nil && len(events) > 0 {
			if err = w.load(ctx, w.subscriber.epoch); err == nil {
				err = w.process(ctx, tasks(events))
			}
		}
		if err == nil {
			err = w.replay(ctx)
		}
		if err != nil && !errors.Is(err, errVoid) { // what is void comes again
			return err
		}
	}
}

// options are those of the subscription that is the partition.
func (w *worker) options() *SubscribeOptions {
	o := w.p.opts.subscribeOptions()
	o.Start, o.existing, o.pages = StartOrigin, true, w.pages
	o.projection, o.partition = w.p.name, w.partition
	if w.record.Partitions > 1 || w.p.opts.PartitionBy != nil || len(w.layouts) > 0 {
		o.choose = w.choose
	}
	if onState := w.p.opts.OnState; onState != nil {
		o.OnState = func(state SubscriptionState) { onState(w.partition, state) }
	}
	return o
}

// choose chooses the events of the partition that were not applied before the projection was partitioned as it is.
func (w *worker) choose(streamID int64, e *Recorded) bool {
	_, hash := w.key(e)
	if hash%int64(w.record.Partitions) != int64(w.partition) {
		return false
	}
	for _, l := range w.layouts {
		if l.StreamID == streamID && l.applied(hash, e.Number) {
			return false
		}
	}
	return true
}

// key returns the partition key of an event.
func (w *worker) key(e *Recorded) (key string, hash int64) {
	if w.p.opts.PartitionBy == nil {
		return PartitionKey(e.Stream)
	}
	return PartitionKey(w.p.opts.PartitionBy(*e))
}

// next waits for events, but not longer than until it is time to look at what is parked. If it is time now, it returns what is there
// already, so that retries of replays do not keep new events waiting.
func (w *worker) next(ctx context.Context) ([]Recorded, error) {
	until := w.untilReplay()
	wait, cancel := context.WithTimeout(ctx, until)
	defer cancel()
	defer context.AfterFunc(w.stopping, cancel)()
	next := w.subscriber.next
	if until <= 0 {
		next = w.subscriber.there
	}
	events, err := next(wait, false)
	var failed *CallbackError
	switch {
	case len(events) > 0:
		return events, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case w.stopping.Err() != nil:
		return nil, errStopped
	case errors.As(err, &failed):
		return nil, w.misplaced(ctx, failed)
	case errors.Is(err, ErrLeaseLost):
		w.later = nil // another process may replay them
		return nil, errVoid
	case wait.Err() != nil:
		return nil, nil
	}
	return nil, err
}

// misplaced deals with an event for which PartitionBy has failed.
func (w *worker) misplaced(ctx context.Context, failed *CallbackError) error {
	w.trouble(failed.Event.Number, failed)
	attempt := max(failed.attempt, 1)
	switch w.decide(failed.Event, failed, attempt) {
	case Skip:
		w.subscriber.subscription.logFailure(ctx, logSkip, &failed.Event, attempt, failed)
		w.subscriber.subscription.solved(failed.Event.Number, failed.Event.Number)
		return void(w.subscriber.Ack(context.WithoutCancel(ctx), failed.Event))
	case Stop, Park:
		return failed
	case Retry:
	}
	w.subscriber.subscription.logFailure(ctx, logRetry, &failed.Event, attempt, failed)
	if err := w.pause(ctx, w.backoff(attempt).NextBackOff()); err != nil {
		return err
	}
	return void(w.subscriber.Nack(ctx, failed.Event))
}

func (w *worker) decide(e Recorded, err error, attempt int) Decision {
	if w.p.opts.OnError == nil {
		return Retry
	}
	return w.p.opts.OnError(e, err, attempt)
}

// backoff returns the waits after an attempt and those behind it.
func (w *worker) backoff(attempt int) *backoff.ExponentialBackOff {
	return (&ConsumeOptions{MinBackoff: w.p.opts.MinBackoff, MaxBackoff: w.p.opts.MaxBackoff}).backoff(attempt)
}

// pause waits, unless there is no more reason to try again.
func (w *worker) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stopping.Done():
		return errStopped
	case <-w.subscriber.lease().Done():
		return errVoid
	}
}

// trouble notes the last error of the partition.
func (w *worker) trouble(number int64, err error) { w.subscriber.subscription.trouble(number, err) }

// task is an event that is to be applied: as it came, or one that was parked.
type task struct {
	event  Recorded
	parked *ParkedEvent
	gone   bool // parked, but it was hard deleted meanwhile
}

func tasks(events []Recorded) []task {
	list := make([]task, len(events))
	for i := range events {
		list[i].event = events[i]
	}
	return list
}

// treatment is what is done with the events of a batch.
type treatment int

const (
	apply treatment = iota
	leaveOut
	putAside
)

// process applies events in order, in batches that get smaller down to one event where the handler fails.
func (w *worker) process(ctx context.Context, list []task) error {
	wait, attempt := w.backoff(1), 0
	replays := len(list) > 0 && list[0].parked != nil // they delay only their keys
	goOn := func() {
		if attempt > 0 && !replays {
			w.subscriber.waitsAt(nil)
		}
		wait, attempt = w.backoff(1), 0
	}
	defer goOn()
	for len(list) > 0 {
		if w.stopping.Err() != nil {
			return errStopped // the next owner of the partition reads what is left
		}
		n := min(len(list), max(w.size, 1))
		if n == 1 && list[0].parked != nil {
			attempt = w.tried(list[0])
		}
		begun := time.Now()
		err := w.attempt(ctx, list[:n], apply, nil, attempt)
		var failed *handlerError
		switch {
		case err == nil:
			w.size = w.nextSize(n, time.Since(begun))
			goOn()
			list = list[n:]
			continue
		case !errors.As(err, &failed) && !errors.Is(err, errAgain):
			return err
		case failed != nil && n > 1:
			w.size = n / 2
			continue
		case failed != nil:
			attempt++
			w.trouble(list[0].event.Number, failed.err)
			if !replays {
				w.subscriber.waitsAt(failed.err)
			}
			how := apply
			switch w.decide(list[0].event, failed.err, attempt) {
			case Stop:
				return failed.err
			case Skip:
				how = leaveOut
			case Park:
				how = putAside
			case Retry:
			}
			pause := w.pauseReplaying
			if how != apply {
				err := w.attempt(ctx, list[:1], how, failed.err, attempt)
				if err == nil {
					w.gaveUp(ctx, list[0].event, how, failed.err, attempt)
					goOn()
					list = list[1:]
					if how == putAside && len(list) > 0 && list[0].parked != nil {
						return nil // what is behind it may not be ready any more
					}
					continue
				}
				if !errors.Is(err, errAgain) {
					return err
				}
				w.notTaken(ctx, list, attempt, err) // a database that can't take this either may be why the handler has failed: call it again
				pause = w.pause
			}
			w.subscriber.subscription.logFailure(ctx, logRetry, &list[0].event, attempt, failed.err)
			if replays {
				list, attempt = w.postpone(list, attempt), 0
				continue
			}
			if err := pause(ctx, wait.NextBackOff()); err != nil {
				return err
			}
		default:
			w.notTaken(ctx, list, attempt, err)
			if err := w.pause(ctx, wait.NextBackOff()); err != nil {
				return err
			}
		}
		if list[0].parked == nil && !w.subscriber.inFlight(list[0].event) {
			return errVoid // its stream was created again
		}
	}
	return nil
}

// gaveUp tells the observer and the log what was decided about an event.
func (w *worker) gaveUp(ctx context.Context, e Recorded, how treatment, why error, attempt int) {
	kind, message := OpSkip, logSkip
	if how == putAside {
		kind, message = OpPark, logPark
	}
	w.subscriber.subscription.logFailure(ctx, message, &e, attempt, why)
	w.p.hub.gaveUp(ctx, w.subscriber.subscription.operation(kind), e, attempt, why)
}

// notTaken notes that the database has not taken a batch, for a reason that is not in the events.
func (w *worker) notTaken(ctx context.Context, list []task, attempts int, err error) {
	e := &list[0].event
	w.trouble(e.Number, err)
	w.subscriber.subscription.logFailure(ctx, logAgain, e, attempts+1, err)
}

// nextSize returns how large the next batch should be after one of n events that took so long.
func (w *worker) nextSize(n int, took time.Duration) int {
	most, want := w.p.opts.BatchSize, w.p.opts.BatchTime
	switch {
	case took > want && n > 1:
		return n / 2
	case took < want/4 && n >= w.size:
		return min(most, 2*w.size)
	}
	return w.size
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
func (w *worker) attempt(ctx context.Context, list []task, how treatment, why error, attempts int) (err error) {
	lease := w.subscriber.lease()
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
	known := w.subscriber.known() // before the transaction: whatever its isolation level, it sees all this
	tx, err := w.p.storage.BeginTx(ctx, nil)
	if err != nil {
		return again(err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	storage := w.p.storage.WithTx(tx).(ProjectionStorage)
	direct, aside := w.sort(list, how, why, attempts)
	if len(direct) > 0 {
		if err := w.handle(ctx, tx, direct, attempts); err != nil {
			if d, ok := w.p.storage.(DeadlockDetector); ok && !errors.Is(err, ErrSelfDeadlock) && d.SelfDeadlock(ctx, tx, err) {
				err = fmt.Errorf("%w: %w", ErrSelfDeadlock, err)
			}
			if errors.Is(err, ErrUnregisteredType) || errors.Is(err, ErrSelfDeadlock) {
				return err // no retry mends the program
			}
			if w.p.storage.Temporary(ctx, StepHandler, tx, err) {
				return again(err)
			}
			return &handlerError{err}
		}
	}
	checkpoint, err := w.note(ctx, tx, storage, known, list, aside, len(direct))
	if err != nil {
		return err
	}
	if err := w.p.storage.CommitTx(ctx, tx); err != nil {
		if len(direct) > 0 && !w.p.storage.Temporary(ctx, StepCommit, nil, err) {
			return &handlerError{err} // a deferred constraint
		}
		if ctx.Err() != nil {
			return errVoid // the partition is given up as it is, after the transaction, whatever becomes of that
		}
		// Nobody knows whether it was committed. With the next lease comes the checkpoint that is in the database, and what
		// is left of the transaction is fenced off.
		w.p.hub.lines.warn(ctx, "eventstore: a batch may not be committed; looking at its checkpoint", "projection", w.p.name, "partition", w.partition, "err", err)
		w.lose()
		return errVoid
	}
	return w.committed(ctx, list, aside, len(direct), checkpoint)
}

// handle calls the handler.
func (w *worker) handle(ctx context.Context, tx *sql.Tx, events []Recorded, attempts int) (err error) {
	op := w.subscriber.subscription.operation(OpProject)
	op.Events, op.Attempt = events, attempts+1
	ctx, end := w.p.hub.observe(ctx, op)
	outcome := Outcome{Err: errHandler, Count: len(events)} // unless it returns
	defer func() { end(outcome) }()
	w.handling, w.attempts = events, attempts
	outcome.Err = w.p.handler(context.WithValue(ctx, txKey{}, tx), tx, events)
	w.handling = nil
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
func (w *worker) sort(list []task, how treatment, why error, attempts int) (direct []Recorded, aside []ParkedEvent) {
	if how == leaveOut {
		return nil, nil
	}
	direct = make([]Recorded, 0, len(list))
	for i := range list {
		e := &list[i].event
		e.Replaying = e.Number <= w.record.ReplayUntil
		if list[i].gone {
			continue
		}
		if how == apply && (list[i].parked != nil || len(w.parked) == 0) {
			direct = append(direct, *e)
			continue
		}
		key, hash := w.key(e)
		if how == apply && !w.parked[key] {
			direct = append(direct, *e)
			continue
		}
		p := ParkedEvent{
			Projection: w.p.name, Key: key, Hash: hash, Number: e.Number, ID: e.ID, Stream: e.Stream, Version: e.Version, Type: e.Type,
			Failed: how == putAside,
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
func (w *worker) note(ctx context.Context, tx *sql.Tx, storage ProjectionStorage, known CheckpointRequest, list []task, aside []ParkedEvent, handled int) (checkpoint int64, err error) {
	r := AdvanceRequest{CheckpointRequest: CheckpointRequest{
		ID: known.ID, Epoch: w.epoch, StreamID: known.StreamID, Known: known.Known, Era: known.Era,
	}}
	r.Handled, r.Rate = int64(handled), w.meter.rate(handled)
	if list[0].parked == nil {
		var ok bool
		r.From = list[0].event.Number
		if r.CheckpointRequest, ok = w.subscriber.checkpointRequest(list[len(list)-1].event.Number); !ok || r.StreamID != known.StreamID {
			return 0, errVoid // of a stream that was created again meanwhile, or of another lease
		}
		r.Epoch, r.Seen, r.Known, r.Era = w.epoch, known.Seen, known.Known, known.Era
		// What was left out since then comes with the next batch.
		r.Checkpoint = max(list[len(list)-1].event.Number, min(r.Checkpoint, known.Checkpoint))
	} else if n, err := storage.Unpark(ctx, w.p.name, parkedIDs(list)); err != nil {
		return 0, w.notNoted(ctx, tx, handled, err)
	} else if n != int64(len(list)) {
		return 0, errDiscarded
	}
	if len(aside) > 0 {
		if err := storage.Park(ctx, aside); err != nil {
			return 0, w.notNoted(ctx, tx, handled, err)
		}
	}
	err = storage.Advance(ctx, r)
	switch {
	case errors.Is(err, ErrLeaseLost):
		w.subscriber.subscription.warnIfLost(err)
		w.lose()
		return 0, errVoid
	case errors.Is(err, sql.ErrTxDone) && ctx.Err() == nil:
		return 0, &InvalidError{Field: "handler", Reason: "has ended the transaction, which is not its own", Err: err}
	case err != nil:
		return 0, w.notNoted(ctx, tx, handled, err)
	}
	return r.Checkpoint, nil
}

// notNoted returns a handlerError if the handler is why the transaction did not take the checkpoint: it has ignored an error that had
// aborted the transaction. Otherwise the batch is tried again, unless err is final.
func (w *worker) notNoted(ctx context.Context, tx *sql.Tx, handled int, err error) error {
	if handled == 0 || final(err) || w.p.storage.Temporary(ctx, StepStorage, tx, err) {
		return again(err)
	}
	return &handlerError{err}
}

// lose gives the lease up: it is taken again, with the checkpoint that is in the database.
func (w *worker) lose() { w.subscriber.subscription.loseLease(w.epoch) }

// committed notes what was committed.
func (w *worker) committed(ctx context.Context, list []task, aside []ParkedEvent, handled int, checkpoint int64) error {
	w.meter.add(handled)
	w.p.hub.progress.tell()
	for _, p := range aside {
		w.parked[p.Key] = true
	}
	if list[0].parked != nil {
		w.subscriber.subscription.applied(func(number int64) bool {
			return slices.ContainsFunc(list, func(t task) bool { return t.event.Number == number })
		})
		return nil
	}
	last := list[len(list)-1].event
	w.subscriber.subscription.committed(checkpoint)
	w.subscriber.subscription.applied(func(number int64) bool { return number > 0 && !w.retries(number) })
	if err := w.subscriber.Ack(context.WithoutCancel(ctx), last); err != nil {
		// The lease has expired, for all this process knows. It must not go on with what was committed.
		w.lose()
		return void(err)
	}
	return nil
}

// meter measures how many events per second were applied over the last seconds.
type meter struct {
	since time.Time
	count float64
}

// meterSpan is how many seconds the meter looks back, and up to twice as many.
const meterSpan = 5

// rate returns the rate if n events are added.
func (m *meter) rate(n int) float64 {
	return (m.count + float64(n)) / math.Max(time.Since(m.since).Seconds(), 1e-3)
}

// add adds n events.
func (m *meter) add(n int) {
	rate := m.rate(n)
	m.count += float64(n)
	if time.Since(m.since) > 2*meterSpan*time.Second {
		m.since = time.Now().Add(-meterSpan * time.Second)
		m.count = rate * meterSpan
	}
}
