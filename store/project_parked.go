package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// load reads which keys are parked, unless that was done under the lease of an epoch. While it can't, nothing is applied.
func (w *worker) load(ctx context.Context, epoch int64) error {
	if w.epoch == epoch {
		return nil
	}
	for {
		w.later = nil
		record, err := w.lookParked(ctx)
		if err == nil {
			w.epoch, w.changes, w.pending, w.unread = epoch, record.Changes, len(w.parked) > 0, time.Time{}
			return nil
		}
		if err := w.notRead(ctx, err); err != nil {
			return err
		}
		if err := w.pause(ctx, w.p.opts.RetryInterval); err != nil {
			return err
		}
	}
}

// lookParked reads which keys are parked. The record is read first, so that no change after it is taken for known.
func (w *worker) lookParked(ctx context.Context) (ProjectionRecord, error) {
	record, err := w.look(ctx)
	if err != nil {
		return record, err
	}
	if !record.same(w.record) {
		return record, &ProjectionError{w.p.name, ErrProjectionNotFound}
	}
	keys, err := timed(ctx, w.p.opts.Timeout, func(ctx context.Context) ([]string, error) {
		return w.p.storage.ParkedKeys(ctx, w.p.name, w.partition, w.record.Partitions)
	})
	if err != nil {
		return record, err
	}
	w.parked = make(map[string]bool, len(keys))
	for _, key := range keys {
		w.parked[key] = true
	}
	w.forget(func(key string, _ *retry) bool { return !w.parked[key] })
	w.subscriber.subscription.solved(0, 0) // it was not read before
	return record, nil
}

// look reads the projection, and notes when.
func (w *worker) look(ctx context.Context) (ProjectionRecord, error) {
	w.looked = time.Now()
	return timed(ctx, w.p.opts.Timeout, func(ctx context.Context) (ProjectionRecord, error) {
		return readProjection(ctx, w.p.storage, w.p.name)
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
	w.trouble(0, err)
	w.p.hub.lines.warn(ctx, "eventstore: what a projection has parked can't be read; retrying", "projection", w.p.name, "partition", w.partition, "err", err)
	w.unread = time.Now().Add(w.p.opts.RetryInterval)
	return nil
}

// replay applies parked events that are ready, if there may be any. It does nothing while the lease is not valid. After an error of
// the database it returns nil, and reads again after RetryInterval: new events of other keys are applied meanwhile.
func (w *worker) replay(ctx context.Context) error {
	epoch, _, ok := w.subscriber.subscription.grant()
	if !ok {
		return nil
	}
	if err := w.load(ctx, epoch); err != nil {
		return err
	}
	if len(w.parked) == 0 || time.Until(w.unread) > 0 {
		return nil
	}
	if !w.pending && w.untilRetry() > 0 {
		if time.Since(w.looked) < w.p.hub.pollEvery {
			return nil
		}
		if changed, err := w.changed(ctx); err != nil || !changed {
			return err
		}
	}
	return w.replayReady(ctx)
}

// changed reports whether what is parked was changed since it was read, by an operator or a hard delete. Then it was read again.
func (w *worker) changed(ctx context.Context) (bool, error) {
	record, err := w.look(ctx)
	if err != nil {
		return false, w.notRead(ctx, err)
	}
	w.subscriber.subscription.solved(0, 0) // it was not read before
	if record.Changes == w.changes {
		return false, nil
	}
	if record, err = w.lookParked(ctx); err != nil {
		return false, w.notRead(ctx, err)
	}
	w.changes = record.Changes
	return true, nil
}

// replayReady applies parked events that have not failed, and are not behind one of their key that has.
func (w *worker) replayReady(ctx context.Context) error {
	if len(w.parked) == 0 {
		return nil
	}
	w.pending = true
	now := time.Now() // what fails again has to wait until next time, so that new events are not kept waiting
	for {
		list, err := w.ready(ctx, now)
		if err != nil {
			return w.notRead(ctx, err)
		}
		if len(list) == 0 {
			break
		}
		err = w.process(ctx, list)
		if errors.Is(err, errDiscarded) {
			for _, t := range list { // it may be one that has failed; the others are tried again
				w.subscriber.subscription.solved(t.parked.Number, t.parked.Number)
			}
		} else if err != nil {
			return err
		}
	}
	w.forget(func(_ string, r *retry) bool { return !r.at.After(now) }) // it was due, and was applied or is not there any more
	if _, err := w.lookParked(ctx); err != nil {
		return w.notRead(ctx, err)
	}
	w.pending = false
	return nil
}

// ready returns parked events that may be applied now, in order: at most BatchSize, of about as many bytes as a page has, and none
// that was not read within half of Timeout, but the first. Behind an event that is retried there is none of its key.
func (w *worker) ready(ctx context.Context, now time.Time) (list []task, err error) {
	begun, bytes, retried := time.Now(), 0, map[string]bool{}
	page, err := timed(ctx, w.p.opts.Timeout, func(ctx context.Context) ([]ParkedEvent, error) {
		return w.p.storage.ReadParked(ctx, ParkedRequest{
			Projection: w.p.name, Ready: true, ExceptKeys: w.waiting(now), Partition: w.partition, Partitions: w.record.Partitions,
			AfterNumber: -1, Limit: w.p.opts.BatchSize,
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
		if len(list) > 0 && time.Since(begun) > w.p.opts.Timeout/2 {
			break // the others are ready next time, too
		}
		again := w.later[p.Key]
		retried[p.Key] = again != nil && again.parked.ID == p.ID
		e, err := timed(ctx, w.p.opts.Timeout, func(ctx context.Context) (Recorded, error) { return w.p.store.Primary().Event(ctx, p.ID) })
		if err != nil && !errors.Is(err, ErrEventNotFound) {
			return nil, err
		}
		if bytes += e.Size(); len(list) > 0 && bytes > w.p.hub.pageBytes {
			break
		}
		e.Number = p.Number
		list = append(list, task{event: e, parked: p, gone: err != nil})
	}
	return list, nil
}

// parkedIDs returns the ids of parked events.
func parkedIDs(list []task) []uuid.UUID {
	ids := make([]uuid.UUID, len(list))
	for i := range list {
		ids[i] = list[i].parked.ID
	}
	return ids
}
