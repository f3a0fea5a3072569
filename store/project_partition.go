package store

import (
	"context"
	"errors"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/batch"
)

// run runs the partition until there is a reason not to, which it leaves in the worker that it sends to ended. pages are those that
// partitions share.
func (w *worker) run(ctx context.Context, pages *pages, ended chan<- *worker) {
	w.ended.exited = true
	defer func() {
		if w.ended.exited {
			if w.ended.panicked = recover(); w.ended.panicked != nil {
				w.logPanic(ctx, w.ended.panicked)
			}
		}
		if w.subscriber != nil {
			if err := w.subscriber.Close(); errors.Is(err, ErrPositionLost) {
				w.ended.err = errors.Join(w.ended.err, err)
			} else if err != nil {
				w.hub.log.Warn("eventstore: a partition did not end in good order", "projection", w.name, "partition", w.partition, "err", err)
			}
		}
		w.stop()
		ended <- w
	}()
	w.ended.err = w.runUntil(ctx, pages)
	if errors.Is(w.ended.err, errStopped) {
		w.ended.err = nil
	}
	w.ended.exited = false
}

func (w *worker) runUntil(ctx context.Context, pages *pages) error {
	opts, err := w.options(pages)
	if err != nil {
		return err
	}
	if w.subscriber, err = w.hub.subscribe(ctx, w.record.partition(w.partition), opts); err != nil {
		return err
	}
	for {
		events, err := w.next(ctx)
		if err == nil && len(events) > 0 {
			if err = w.load(ctx, w.subscriber.epoch); err == nil {
				err = w.process(ctx, tasks(events), w.pauseReplaying)
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

// options are those of the subscription that is the partition. It chooses the events of the partition that were not applied before the
// projection was partitioned as it is.
func (w *worker) options(pages *pages) (runOptions, error) {
	o, err := w.opts.subscribeOptions().checked()
	if err != nil {
		return o, err
	}
	o.Start, o.kind, o.pages = StartOrigin, viaProject, pages
	o.projection, o.partition = w.name, w.partition
	chooser, err := w.record.chooser(w.partition)
	if err != nil {
		return o, err
	}
	if !chooser.All() || w.opts.PartitionBy != nil {
		o.choose = func(streamID int64, e *Recorded) bool {
			_, hash := w.key(e)
			return chooser.Mine(hash, e.Number, streamID)
		}
	}
	if onState := w.opts.OnState; onState != nil {
		o.OnState = func(state SubscriptionState) { onState(w.partition, state) }
	}
	return o, nil
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
		w.aside.Forget() // another process may replay them
		return nil, errVoid
	case wait.Err() != nil:
		return nil, nil
	}
	return nil, err
}

// misplaced deals with an event for which PartitionBy has failed.
func (w *worker) misplaced(ctx context.Context, failed *CallbackError) error {
	w.subscriber.trouble(failed.Event.Number, failed)
	attempt := max(failed.attempt, 1)
	switch w.decide(failed.Event, failed, attempt) {
	case Skip:
		w.subscriber.logDecision(ctx, Skip, failed.Event, attempt, failed)
		w.subscriber.over(failed.Event.Number)
		return void(w.subscriber.Ack(context.WithoutCancel(ctx), failed.Event))
	case Stop, Park:
		return failed
	case Retry:
	}
	w.subscriber.logDecision(ctx, Retry, failed.Event, attempt, failed)
	if err := w.pause(ctx, w.backoff(attempt)); err != nil {
		return err
	}
	return void(w.subscriber.Nack(ctx, failed.Event))
}

// load reads which keys are parked, unless that was done under the lease of an epoch. While it can't, nothing is applied.
func (w *worker) load(ctx context.Context, epoch int64) error {
	for w.aside.Stale(epoch) {
		w.aside.Forget()
		changes, err := w.lookParked(ctx, epoch)
		if err == nil {
			w.aside.Loaded(changes)
			return nil
		}
		if err := w.notRead(ctx, err); err != nil {
			return err
		}
		if err := w.pause(ctx, w.opts.RetryInterval); err != nil {
			return err
		}
	}
	return nil
}

// lookParked reads which keys are parked, under the lease of an epoch. It returns [ProjectionRecord].Changes, which it reads first, so that
// no later change is taken for known.
func (w *worker) lookParked(ctx context.Context, epoch int64) (changes int64, err error) {
	record, err := w.look(ctx)
	if err != nil {
		return 0, err
	}
	if !record.same(w.record) {
		return 0, &ProjectionError{w.name, ErrProjectionNotFound}
	}
	keys, err := timed(ctx, w.opts.Timeout, func(ctx context.Context) ([]string, error) {
		return w.storage.ParkedKeys(ctx, w.name, w.partition, w.record.Partitions)
	})
	if err != nil {
		return 0, err
	}
	w.subscriber.over(w.aside.Parked(epoch, keys)...)
	w.subscriber.over(0) // it was not read before
	return record.Changes, nil
}

// look reads the projection, and notes when.
func (w *worker) look(ctx context.Context) (ProjectionRecord, error) {
	w.aside.Looking(time.Now())
	return timed(ctx, w.opts.Timeout, func(ctx context.Context) (ProjectionRecord, error) {
		return readProjection(ctx, w.storage, w.name)
	})
}

// timed does something with a context that ends after a while.
func timed[T any](ctx context.Context, d time.Duration, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return do(ctx)
}

// notRead notes that what is parked can't be read. It returns an error if trying again would not help.
func (w *worker) notRead(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrProjectionNotFound):
		return &SubscriptionError{w.record.partition(w.partition), ErrSubscriptionNotFound} // the projector finds out
	case final(err):
		return err
	}
	w.subscriber.trouble(0, err)
	w.hub.lines.warn(ctx, "eventstore: what a projection has parked can't be read; retrying", "projection", w.name, "partition", w.partition, "err", err)
	w.aside.Unread(time.Now().Add(w.opts.RetryInterval))
	return nil
}

// replay applies parked events that are ready, if there may be any. It does nothing while the lease is not valid. After an error of
// the database it returns nil, and reads again after RetryInterval: new events of other keys are applied meanwhile.
func (w *worker) replay(ctx context.Context) error {
	epoch, _, ok := w.subscriber.grant()
	if !ok {
		return nil
	}
	if err := w.load(ctx, epoch); err != nil {
		return err
	}
	switch w.aside.Next(time.Now()) {
	case batch.Rest:
		return nil
	case batch.Look:
		if changed, err := w.changed(ctx); err != nil || !changed {
			return err
		}
	case batch.Replay:
	}
	return w.replayReady(ctx)
}

// changed reports whether what is parked was changed since it was read, by an operator or a hard delete. Then it was read again.
func (w *worker) changed(ctx context.Context) (bool, error) {
	record, err := w.look(ctx)
	if err != nil {
		return false, w.notRead(ctx, err)
	}
	w.subscriber.over(0) // it was not read before
	if !w.aside.Looked(record.Changes) {
		return false, nil
	}
	changes, err := w.lookParked(ctx, w.aside.Epoch())
	if err != nil {
		return false, w.notRead(ctx, err)
	}
	w.aside.Loaded(changes)
	return true, nil
}

// replayReady applies parked events that have not failed, and are not behind one of their key that has.
func (w *worker) replayReady(ctx context.Context) error {
	begun := time.Now()
	if !w.aside.Begin() {
		return nil
	}
	for {
		list, err := w.ready(ctx, begun)
		if err != nil {
			return w.notRead(ctx, err)
		}
		if len(list) == 0 {
			break
		}
		err = w.process(ctx, list, w.pause)
		if errors.Is(err, errDiscarded) {
			for _, t := range list { // it may be one that has failed; the others are tried again
				w.subscriber.over(t.parked.Number)
			}
		} else if err != nil {
			return err
		}
	}
	w.subscriber.over(w.aside.Finish(begun)...)
	if _, err := w.lookParked(ctx, w.aside.Epoch()); err != nil {
		return w.notRead(ctx, err)
	}
	w.aside.Finished()
	return nil
}

// ready returns parked events that may be applied now, in order: at most BatchSize, of about as many bytes as a page has, and none
// that was not read within half of Timeout, but the first. Behind an event that is retried there is none of its key.
func (w *worker) ready(ctx context.Context, begun time.Time) (list []task, err error) {
	reading, bytes, retried := time.Now(), 0, map[string]bool{}
	page, err := timed(ctx, w.opts.Timeout, func(ctx context.Context) ([]ParkedEvent, error) {
		return w.storage.ReadParked(ctx, ParkedRequest{
			Projection: w.name, Ready: true, ExceptKeys: w.aside.Busy(begun), Partition: w.partition, Partitions: w.record.Partitions,
			AfterNumber: -1, Limit: w.opts.BatchSize,
		})
	})
	if err != nil {
		return nil, err
	}
	for i := range page {
		p := &page[i]
		if retried[p.Key] {
			continue
		}
		if len(list) > 0 && time.Since(reading) > w.opts.Timeout/2 {
			break // the others are ready next time, too
		}
		retried[p.Key] = w.aside.Tried(p.Key, p.ID) > 0
		e, err := timed(ctx, w.opts.Timeout, func(ctx context.Context) (Recorded, error) { return w.hub.storage.ReadEvent(ctx, p.ID) })
		if err != nil && !errors.Is(err, ErrEventNotFound) {
			return nil, err
		}
		if bytes += e.Size(); len(list) > 0 && bytes > w.hub.pageBytes {
			break
		}
		e.Number, e.codec = p.Number, w.hub.codec
		list = append(list, task{event: e, parked: p, gone: err != nil})
	}
	return list, nil
}

// untilReplay returns how long it is until replay is to be called.
func (w *worker) untilReplay() time.Duration {
	epoch, _, ok := w.subscriber.grant()
	return w.aside.Wait(epoch, ok, time.Now())
}

// pauseReplaying is pause after an event has failed. What is parked of other keys is replayed meanwhile.
func (w *worker) pauseReplaying(ctx context.Context, d time.Duration) error {
	until := time.Now().Add(d)
	for {
		if err := w.replay(ctx); err != nil {
			return err
		}
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		if err := w.pause(ctx, min(left, w.untilReplay())); err != nil {
			return err
		}
	}
}
