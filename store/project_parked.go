package store

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/google/uuid"
)

// load learns what is parked in the partition, if that was not done under this lease.
func (w *worker) load(ctx context.Context, epoch int64) error {
	if w.epoch == epoch {
		return nil
	}
	w.later = nil
	w.epoch = epoch // if that fails this lease is given up, so that what was sent under it comes again
	record, err := w.lookParked(ctx)
	if err != nil {
		return w.notLooked(ctx, err)
	}
	w.changes = record.Changes
	return w.replayReady(ctx)
}

// lookParked reads which keys are parked. The record is read first, so that no change after it is taken for known.
func (w *worker) lookParked(ctx context.Context) (ProjectionRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, w.p.opts.Timeout)
	defer cancel()
	record, err := readProjection(ctx, w.p.storage, w.p.name)
	if err == nil && !record.same(w.record) {
		err = &ProjectionError{w.p.name, ErrProjectionNotFound}
	}
	if err != nil {
		return record, err
	}
	keys, err := w.p.storage.ParkedKeys(ctx, w.p.name, w.partition, w.record.Partitions)
	if err != nil {
		return record, err
	}
	w.parked = make(map[string]bool, len(keys))
	for _, key := range keys {
		w.parked[key] = true
	}
	maps.DeleteFunc(w.later, func(key string, _ *replayRetry) bool { return !w.parked[key] })
	w.looked = time.Now()
	w.subscriber.subscription.solved(0, 0) // it was not read before
	return record, nil
}

// notLooked waits after an error of the database. What is in flight comes again.
func (w *worker) notLooked(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrProjectionNotFound):
		return &SubscriptionError{w.record.partition(w.partition), ErrSubscriptionNotFound} // the projector finds out
	case final(err):
		return err
	}
	w.trouble(0, err)
	w.p.hub.lines.warn(ctx, "eventstore: what a projection has parked can't be read; retrying", "projection", w.p.name, "partition", w.partition, "err", err)
	w.lose()
	if err := w.pause(ctx, w.p.opts.RetryInterval); err != nil {
		return err
	}
	return errVoid
}

// replay applies what is parked and may be applied again, if that has changed.
func (w *worker) replay(ctx context.Context) error {
	if epoch := w.subscriber.subscription.epoch(); epoch != 0 {
		if w.epoch != epoch {
			return w.load(ctx, epoch)
		}
	}
	switch {
	case len(w.parked) == 0:
		return nil
	case w.untilRetry() <= 0:
		return w.replayReady(ctx)
	case time.Since(w.looked) < w.p.hub.pollEvery:
		return nil
	}
	w.looked = time.Now()
	look, cancel := context.WithTimeout(ctx, w.p.opts.Timeout)
	defer cancel()
	record, err := readProjection(look, w.p.storage, w.p.name)
	if err != nil {
		return w.notLooked(ctx, err)
	}
	if record.Changes == w.changes {
		return nil
	}
	if record, err = w.lookParked(ctx); err != nil {
		return w.notLooked(ctx, err)
	}
	w.changes = record.Changes
	return w.replayReady(ctx)
}

// replayReady applies what is parked and has not failed, nor is behind something of its key that has.
func (w *worker) replayReady(ctx context.Context) error {
	if len(w.parked) == 0 {
		return nil
	}
	now := time.Now() // what fails again has to wait until next time, so that new events are not kept waiting
	for {
		list, err := w.ready(ctx, now)
		if err != nil {
			return w.notLooked(ctx, err)
		}
		if len(list) == 0 {
			// What was due, and has not failed again, was applied or is not there any more.
			maps.DeleteFunc(w.later, func(_ string, r *replayRetry) bool { return !r.at.After(now) })
			break
		}
		if err := w.process(ctx, list); err != nil {
			return err
		}
	}
	if _, err := w.lookParked(ctx); err != nil {
		return w.notLooked(ctx, err)
	}
	return nil
}

// ready reads parked events that may be applied now, as many as a page has.
func (w *worker) ready(ctx context.Context, now time.Time) ([]task, error) {
	ctx, cancel := context.WithTimeout(ctx, w.p.opts.Timeout)
	defer cancel()
	r := ParkedRequest{
		Projection: w.p.name, Ready: true, Partition: w.partition, Partitions: w.record.Partitions, AfterNumber: -1, Limit: w.p.opts.BatchSize,
	}
	for {
		parked, err := w.p.storage.ReadParked(ctx, r)
		if err != nil {
			return nil, err
		}
		var list []task
		bytes := 0
		for i := range parked {
			p := &parked[i]
			if r := w.later[p.Key]; r != nil && r.at.After(now) {
				continue
			}
			e, err := w.p.store.Event(ctx, p.ID)
			if err != nil && !errors.Is(err, ErrEventNotFound) {
				return nil, err
			}
			if bytes += e.Size(); len(list) > 0 && bytes > w.p.hub.pageBytes {
				return list, nil // it is ready the next time, too
			}
			e.Number = p.Number
			list = append(list, task{event: e, parked: p, gone: err != nil})
		}
		if len(list) > 0 || len(parked) < r.Limit {
			return list, nil
		}
		last := parked[len(parked)-1]
		r.AfterNumber, r.AfterID = last.Number, last.ID
	}
}

// parkedIDs returns the ids of parked events.
func parkedIDs(list []task) []uuid.UUID {
	ids := make([]uuid.UUID, len(list))
	for i := range list {
		ids[i] = list[i].parked.ID
	}
	return ids
}
