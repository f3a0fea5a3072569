package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/batch"
)

// worker runs one partition of a projection.
type worker struct {
	applier
	size     *batch.Size
	stopping context.Context // ends when the partition is to be given up
	stop     context.CancelFunc
	ended    result // valid when it has ended
}

func newWorker(p *projection, record ProjectionRecord, partition int) *worker {
	w := &worker{size: batch.NewSize(p.opts.BatchSize, p.opts.BatchTime), applier: applier{
		projection: p, record: record, partition: partition, meter: batch.NewMeter(time.Now()), aside: batch.NewAside(p.hub.pollEvery),
	}}
	w.stopping, w.stop = context.WithCancel(context.Background())
	return w
}

// errStopped says that this Store gives the partition up.
var errStopped = errors.New("stopped")

// pauseFunc waits, unless there is no more reason to try again.
type pauseFunc func(ctx context.Context, d time.Duration) error

// process applies events in order, as a plan says: all are new, or all are parked. replaying is pause, but replays what is parked
// meanwhile.
func (w *worker) process(ctx context.Context, list []task, replaying pauseFunc) error {
	plan := w.size.Plan(list[0].parked != nil)
	defer w.goOn(&plan)
	var why error // the first event has failed
	for {
		todo := plan.Next(len(list), w.tried(list))
		var err error
		switch todo.Do {
		case batch.Apply:
			if w.stopping.Err() != nil {
				return errStopped // the next owner of the partition reads what is left
			}
			list, why, err = w.apply(ctx, &plan, list, todo)
		case batch.Ask:
			err = w.ask(ctx, &plan, list[0].event, why, todo.Attempt)
		case batch.LeaveOut, batch.PutAside:
			list, err = w.settle(ctx, &plan, list, why, todo)
		case batch.Wait, batch.WaitReplaying:
			err = w.wait(ctx, &plan, list[0], todo, replaying)
		case batch.Postpone:
			list = w.postpone(list, todo.Attempt)
			plan.Postponed()
		case batch.End:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// goOn notes that the partition does not wait at an event any more.
func (w *worker) goOn(plan *batch.Plan) {
	if plan.Blocks() {
		w.subscriber.waitsAt(nil)
	}
}

// tried returns how often the first event of a list has failed since it was released, if it is parked.
func (w *worker) tried(list []task) int {
	if len(list) == 0 || list[0].parked == nil {
		return 0
	}
	return w.aside.Tried(list[0].parked.Key, list[0].parked.ID)
}

// apply applies a batch. It returns what is left, and why the batch has failed, or an error that ends it all.
func (w *worker) apply(ctx context.Context, plan *batch.Plan, list []task, todo batch.Todo) (left []task, why, err error) {
	begun := time.Now()
	err = w.attempt(ctx, list[:todo.N], batch.Apply, nil, todo.Attempt)
	var failed *handlerError
	switch {
	case err == nil:
		w.goOn(plan)
		plan.Applied(time.Since(begun))
		return list[todo.N:], nil, nil
	case errors.As(err, &failed):
		plan.Failed()
		return list, failed.err, nil
	case errors.Is(err, errAgain):
		w.subscriber.notTaken(ctx, list[0].event, todo.Attempt+1, err)
		plan.Refused()
		return list, nil, nil
	}
	return list, nil, err
}

// ask asks OnError about an event.
func (w *worker) ask(ctx context.Context, plan *batch.Plan, e Recorded, why error, attempt int) error {
	w.subscriber.trouble(e.Number, why)
	if plan.Blocks() {
		w.subscriber.waitsAt(why)
	}
	switch w.decide(e, why, attempt) {
	case Stop:
		return why
	case Skip:
		plan.Decided(batch.Skip)
	case Park:
		plan.Decided(batch.Park)
	default:
		w.subscriber.logDecision(ctx, Retry, e, attempt, why)
		plan.Decided(batch.Retry)
	}
	return nil
}

// settle leaves the first event out, or parks it, as was decided. It returns what is left.
func (w *worker) settle(ctx context.Context, plan *batch.Plan, list []task, why error, todo batch.Todo) ([]task, error) {
	err := w.attempt(ctx, list[:1], todo.Do, why, todo.Attempt)
	switch {
	case err == nil:
		decision := Skip
		if todo.Do == batch.PutAside {
			decision = Park
		}
		w.subscriber.gaveUp(ctx, decision, list[0].event, todo.Attempt, why)
		w.goOn(plan)
		plan.Settled()
		return list[1:], nil
	case errors.Is(err, errAgain):
		w.subscriber.notTaken(ctx, list[0].event, todo.Attempt+1, err)
		w.subscriber.logDecision(ctx, Retry, list[0].event, todo.Attempt, why)
		plan.Refused()
		return list, nil
	}
	return list, err
}

// wait waits before the first event is applied again.
func (w *worker) wait(ctx context.Context, plan *batch.Plan, first task, todo batch.Todo, replaying pauseFunc) error {
	pause := w.pause
	if todo.Do == batch.WaitReplaying {
		pause = replaying
	}
	if err := pause(ctx, w.backoff(todo.Times)); err != nil {
		return err
	}
	if first.parked == nil && !w.subscriber.inFlight(first.event) {
		return errVoid // its stream was created again
	}
	plan.Waited()
	return nil
}

// postpone has the first event of the list, which is parked, replayed later, and returns those of other keys.
func (w *worker) postpone(list []task, attempt int) []task {
	p := list[0].parked
	w.aside.Postpone(p.Key, batch.Postponed{ID: p.ID, Number: p.Number, Attempts: attempt, At: time.Now().Add(w.backoff(attempt))})
	return slices.DeleteFunc(list, func(t task) bool { return t.parked.Key == p.Key })
}

func (w *worker) decide(e Recorded, err error, attempt int) Decision {
	if w.opts.OnError == nil {
		return Retry
	}
	return w.opts.OnError(e, err, attempt)
}

// backoff returns the wait after an attempt.
func (w *worker) backoff(attempt int) time.Duration {
	return backoffAfter(attempt, w.opts.MinBackoff, w.opts.MaxBackoff)
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
